"""Records of VPC flow logs: AWS's own examples of each version, what counts as use, and whatever else may come."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.addresses import networks
from chalicelib.domain.flow_logs import (
    NEEDED,
    VERSION_2,
    FlowFormat,
    FlowFormatError,
    FlowWatch,
    Interface,
    Least,
    gather,
    index_of,
    windows,
)

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
ENI = "eni-1235b8ca123456789"
OK, NO = "ACCEPT OK", "REJECT OK"
VERSION_3 = (
    "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr "
    "pkt-dstaddr protocol bytes packets start end action tcp-flags log-status"
)
VERSION_5 = (
    "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id "
    "instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr "
    "pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status"
)
VERSION_7 = f"{VERSION_2} ecs-cluster-name ecs-cluster-arn ecs-service-name"
VERSION_8 = f"{VERSION_2} reject-reason"

# https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html
SAMPLES = [
    (
        VERSION_2,
        f"2 123456789010 {ENI} 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
        1,
    ),
    (
        VERSION_2,
        f"2 123456789010 {ENI} 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK",
        0,
    ),
    (VERSION_2, f"2 123456789010 {ENI} - - - - - - - 1431280876 1431280934 - NODATA", 0),
    (VERSION_2, f"2 123456789010 {ENI} - - - - - - - 1431280876 1431280934 - SKIPDATA", 0),
    (VERSION_2, f"2 123456789010 {ENI} 203.0.113.12 172.31.16.139 0 0 1 4 336 1432917027 1432917142 ACCEPT OK", 0),
    (VERSION_2, f"2 123456789010 {ENI} 172.31.16.139 203.0.113.12 0 0 1 4 336 1432917094 1432917142 REJECT OK", 0),
    (
        VERSION_2,
        (
            f"2 123456789010 {ENI} 2001:db8:1234:a100:8d6e:3477:df66:f105 2001:db8:1234:a102:3304:8879:34cf:4071 34892 "
            "22 6 54 8855 1477913708 1477913820 ACCEPT OK"
        ),
        1,
    ),
    (
        VERSION_3,
        (
            f"3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 {ENI} 123456789010 IPv4 "
            "52.213.180.42 10.0.0.62 43416 5001 52.213.180.42 10.0.0.62 6 568 8 1566848875 1566848933 ACCEPT 2 OK"
        ),
        1,
    ),
    (
        VERSION_3,
        (
            f"3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 {ENI} 123456789010 IPv4 10.0.0.62 "
            "52.213.180.42 5001 43416 10.0.0.62 52.213.180.42 6 376 7 1566848875 1566848933 ACCEPT 18 OK"
        ),
        0,
    ),
    (
        VERSION_5,
        (
            "5 52.95.128.179 10.0.0.71 80 34210 6 1616729292 1616729349 IPv4 14 15044 123456789012 "
            f"vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b {ENI} ap-southeast-2 apse2-az3 - - "
            "ACCEPT 19 52.95.128.179 10.0.0.71 S3 - - ingress OK"
        ),
        0,
    ),
    (
        VERSION_7,
        f"7 123456789010 {ENI} 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK - - -",
        1,
    ),
    (
        VERSION_8,
        f"8 123456789010 {ENI} 172.31.9.69 172.31.9.12 49761 22 6 20 4249 1418530010 1418530070 REJECT OK BPA",
        0,
    ),
]
ADDRESSES = ("172.31.16.21", "172.31.16.139", "10.0.0.62", "10.0.0.71", "2001:db8:1234:a102:3304:8879:34cf:4071")
WATCH = FlowWatch("ru_1", (Interface(ENI, ADDRESSES),), (22, 3389, 5001))
LAYOUT = FlowFormat.of(VERSION_2)


def index(*ignored):
    return index_of([WATCH], {"ru_1": networks(ignored)})


def record(source="192.0.2.1", target="172.31.16.21", port=22, protocol=6, packets=20, octets=4249, **other):
    said = {"eni": ENI, "start": 1418530010, "end": 1418530070, "action": "ACCEPT", "status": "OK"} | other
    return (
        f"2 123456789010 {said['eni']} {source} {target} 20641 {port} {protocol} {packets} {octets} {said['start']} "
        f"{said['end']} {said['action']} {said['status']}"
    )


LEAST = Least()


def uses(*messages, ignored=(), least=LEAST):
    found = gather(messages, LAYOUT, index(*ignored), least)
    return sum(flows for flows, _, _ in found.used.values())


@pytest.mark.parametrize(("fields", "line", "used"), SAMPLES)
def test_the_examples_of_aws_are_understood_in_every_version(fields, line, used):
    found = gather([line], FlowFormat.of(fields), index(), Least())
    assert (found.malformed, found.foreign) == (0, 0)
    assert sum(flows for flows, _, _ in found.used.values()) == used
    windows_ = found.skipped if "SKIPDATA" in line else found.proved
    assert len(windows_[ENI]) == 1


def test_a_format_may_be_written_as_ec2_takes_it_and_must_have_what_is_needed():
    assert FlowFormat.of(" ".join(f"${{{name}}}" for name in VERSION_2.split())) == LAYOUT
    with pytest.raises(FlowFormatError, match="lacks dstport, log-status"):
        FlowFormat.of(" ".join(name for name in NEEDED if name not in {"dstport", "log-status"}))
    with pytest.raises(FlowFormatError, match="twice"):
        FlowFormat.of(f"{VERSION_2} start")


@pytest.mark.parametrize(
    "nobodys",
    [
        record(port=443),
        record(target="172.31.16.99"),
        record(protocol=1),
        record(action="REJECT"),
        record(packets=2),
        record(source="10.9.1.1"),
        record(eni="eni-other"),
        record(source="-"),
    ],
    ids=["port", "outgoing", "icmp", "rejected", "a scan", "ignored", "of no rule", "no address"],
)
def test_what_is_no_use(nobodys):
    assert uses(record(), ignored=("10.9.0.0/16",)) == 1
    assert uses(nobodys, ignored=("10.9.0.0/16",)) == 0


def test_the_thresholds_are_of_a_record():
    assert uses(record(packets=9, octets=100), least=Least(10, 0)) == 0
    assert uses(record(packets=10, octets=100), least=Least(10, 101)) == 0
    assert uses(record(packets=10, octets=101), least=Least(10, 101)) == 1


def test_windows_that_cannot_be_prove_nothing():
    later = str(int(NOW.timestamp()) + 500)
    written = {"1418530010": "1418530070", "1418540000": "1418530000", "x": "9", "-": "-", "0": "99999", "9" * 30: "9"}
    written |= {"1418600000": "1418700000", "\u0661418530010": "1418530070x"}
    assert len(windows(written, NOW)) == 1
    assert windows({str(int(NOW.timestamp()) - 10): later}, NOW)[0][1] == NOW


@given(st.lists(st.one_of(st.text(), st.none(), st.integers(), st.sampled_from([s for _, s, _ in SAMPLES]))))
def test_whatever_comes_is_counted_and_nothing_is_raised(messages):
    found = gather(messages, LAYOUT, index(), Least())
    plain = {line for fields, line, _ in SAMPLES if fields == VERSION_2}
    assert found.malformed + found.foreign == sum(message not in plain for message in messages)


@given(st.sampled_from([line for _, line, _ in SAMPLES]), st.integers(0, 150), st.text(max_size=8), st.integers(0, 30))
def test_a_mangled_record_raises_nothing(line, at, junk, gone):
    found = gather([line[:at] + junk + line[at + gone :]], LAYOUT, index(), Least())
    for spans in (found.proved, found.skipped):
        for written in spans.values():
            windows(written, NOW)


@pytest.mark.parametrize("count", [1_000_000])
def test_a_million_mangled_records_are_parsed_without_an_exception(count):
    chance, ready = random.Random(5), index("10.0.0.0/8")
    base = [line.split() for fields, line, _ in SAMPLES if fields == VERSION_2]
    junk = ["-", "", "9" * 40, "\u0663", "0x1", "-5", ENI, "ACCEPT", "OK", "NODATA", "\ud800", "1e9", "22"]
    seen = 0
    while seen < count:
        batch = []
        for _ in range(10_000):
            fields = list(chance.choice(base))
            for _ in range(chance.randrange(4)):
                fields[chance.randrange(len(fields))] = chance.choice(junk)
            batch.append(" ".join(fields))
        found = gather(batch, LAYOUT, ready, Least())
        for spans in (*found.proved.values(), *found.skipped.values()):
            windows(spans, NOW)
        seen += len(batch)
    assert seen == count
