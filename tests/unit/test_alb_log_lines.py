"""Lines of an ALB's access log: AWS's own samples, what is not ours, and whatever else may come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.alb_log_lines import MalformedLogLineError, parse

GROUP = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067"
OURS = GROUP.replace("my-targets", "as-ru-0abc")
ROOT = '"Root=1-58337262-36d228ad5d99923122bbe354"'
CERTIFICATE = '"arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012"'

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#access-log-entry-examples
SAMPLES = {
    "http": (
        "http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 "
        '0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - '
        f'{GROUP} {ROOT} "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" '
        "TID_1234abcd5678ef90"
    ),
    "https": (
        "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 "
        '0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" '
        f'ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 {GROUP} {ROOT} "www.example.com" {CERTIFICATE} 1 '
        '2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90'
    ),
    "h2": (
        "h2 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.1.252:48160 10.0.0.66:9000 0.000 "
        '0.002 0.000 200 200 5 257 "GET https://10.0.2.105:773/ HTTP/2.0" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 '
        f'TLSv1.2 {GROUP} {ROOT} "-" "-" 1 2018-07-02T22:22:48.364000Z "redirect" "https://example.com:80/" "-" '
        '"10.0.0.66:9000" "200" "-" "-" TID_1234abcd5678ef90'
    ),
    "ws": (
        "ws 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.0.140:40914 10.0.1.192:8010 0.001 "
        '0.003 0.000 101 101 218 587 "GET http://10.0.0.30:80/ HTTP/1.1" "-" - - '
        f'{GROUP} {ROOT} "-" "-" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.1.192:8010" "101" "-" "-" '
        "TID_1234abcd5678ef90"
    ),
    "wss": (
        "wss 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.0.140:44244 10.0.0.171:8010 0.000 "
        '0.001 0.000 101 101 218 786 "GET https://10.0.0.30:443/ HTTP/1.1" "-" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 '
        f'{GROUP} {ROOT} "-" "-" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.171:8010" "101" "-" "-" '
        "TID_1234abcd5678ef90"
    ),
    "lambda": (
        "http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - 0.000 0.001 0.000 "
        '200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - '
        f'{GROUP} {ROOT} "-" "-" 0 2018-11-30T22:22:48.364000Z "forward" "-" "-" "-" "-" "-" "-" TID_1234abcd5678ef90'
    ),
    "failed lambda": (
        "http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - 0.000 0.001 0.000 "
        '502 - 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - '
        f'{GROUP} {ROOT} "-" "-" 0 2018-11-30T22:22:48.364000Z "forward" "-" "LambdaInvalidResponse" "-" "-" "-" "-" '
        "TID_1234abcd5678ef90"
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_aws_are_read_where_they_are_of_a_rule_and_passed_over_where_not(name):
    line = SAMPLES[name]
    assert parse(line.encode()) is None
    found = parse(line.replace(GROUP, OURS).encode())
    assert (found.rule_id, found.alb) == ("ru_0abc", "app/my-loadbalancer/50dc6c495c0c9188")
    assert (found.ended - found.created).total_seconds() == pytest.approx(11.822641)
    assert found.path == "/"
    assert found.reached is ("lambda" not in name)


def test_every_part_that_is_used_is_where_aws_says():
    line = SAMPLES["http"].replace(GROUP, OURS).replace(":80/ HTTP", ":80/a/b?c=/d HTTP")
    found = parse(line.encode())
    assert found.created == datetime(2018, 7, 2, 22, 22, 48, 364000, tzinfo=UTC)
    assert (found.client, found.path, found.user_agent) == ("192.168.131.39", "/a/b", "curl/7.46.0")
    assert (found.bytes_in, found.bytes_out) == (34, 366)


def test_quotes_within_what_a_client_sent_end_nothing():
    line = SAMPLES["http"].replace(GROUP, OURS).replace("curl/7.46.0", r"a\" \"b\\")
    assert parse(line.encode()).user_agent == r"a\" \"b\\"


def test_an_ipv6_client_has_its_address_without_port():
    line = SAMPLES["http"].replace(GROUP, OURS)
    assert parse(line.replace("192.168.131.39:2817", "[2001:db8::1]:2817").encode()).client == "2001:db8::1"
    assert parse(line.replace("192.168.131.39:2817", "2001:db8::1:2817").encode()).client == "2001:db8::1"


def test_fields_that_aws_may_add_are_passed_over():
    line = SAMPLES["http"].replace(GROUP, OURS)
    assert parse(f'{line} "something new" 7'.encode()) == parse(line.encode())


def test_a_rule_cannot_be_named_by_a_path_or_a_user_agent():
    line = SAMPLES["http"].replace("curl/7.46.0", OURS).replace(":80/ ", f":80/{OURS} ")
    assert parse(line.encode()) is None


@given(st.sampled_from(list(SAMPLES)), st.integers(0, 600), st.binary(max_size=30), st.integers(0, 40))
def test_no_line_raises_anything_but_that_it_is_malformed(name, at, junk, gone):
    line = SAMPLES[name].replace(GROUP, OURS).encode()
    try:
        found = parse(line[:at] + junk + line[at + gone :])
    except MalformedLogLineError:
        return
    assert found is None or found.rule_id.startswith("ru_")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_junk_is_malformed(before, after):
    with pytest.raises(MalformedLogLineError):
        parse(before + b":targetgroup/as-ru-" + after)


def test_bytes_that_are_no_text_in_the_name_of_a_group_are_no_error():
    line = SAMPLES["http"].replace(GROUP, OURS).encode().replace(b"73e2d6bc24d8a067", b"73e2\x80")
    assert parse(line).rule_id == "ru_0abc"
