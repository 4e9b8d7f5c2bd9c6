"""Certificates are read with the VM's own rights (moto), and nothing of what is in them gets into words or logs.

moto checks no permissions: what STS and Secrets Manager refuse is put on the wire before it.
"""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib.adapters.aws.certificate_proof import CertificateProof
from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.memory.clock import START, VirtualClock
from chalicelib.domain.certificates import Certificate
from chalicelib.domain.errors import CloudError, Fault, NotYetError, ThrottledError
from tests.builders import make_balancer
from tests.certificates import make_pair
from tests.contract.conftest_aws import ACCOUNT, REGION, fresh_aws
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import OperationModel

ROLE = f"arn:aws:iam::{ACCOUNT}:role/autostop-test-proxy-lb_1"
ELSEWHERE = "eu-central-1"
GOOD, OTHER = make_pair("a.example.com", start=START), make_pair("b.example.com", start=START)
OLD = make_pair("a.example.com", start=START - timedelta(days=100))


class Bench:
    """`reads`: who read which secret, in which region."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.proof = CertificateProof(self.clock)
        self.reads: list[tuple[str, str, str]] = []
        self.refuse: Callable[[str], Exception | None] = lambda _: None
        self._made = 0

    def secret(self, text: str | bytes, region: str = REGION) -> str:
        self._made += 1
        manager: Any = boto3.client("secretsmanager", region_name=region)
        kind = "SecretBinary" if isinstance(text, bytes) else "SecretString"
        return manager.create_secret(Name=f"s-{self._made}", **{kind: text})["ARN"]

    def faults(self, *pairs: tuple[str, str]) -> tuple[Fault, ...]:
        certificates = tuple(Certificate((f"{n}.example.com",), *pair) for n, pair in enumerate(pairs))
        return self.proof(make_balancer(certificates=certificates), ROLE)

    def pair(self, chain: str | bytes, key: str | bytes) -> tuple[str, str]:
        return self.secret(chain), self.secret(key)

    def signed(self, request: Any, region_name: str, request_signer: Any, **_: object) -> None:
        who = request_signer._credentials.access_key
        self.reads.append((who, region_name, str(request.data)))

    def before(self, model: OperationModel, params: dict[str, Any], **_: object) -> None:
        if refused := self.refuse(str(params["body"])):
            raise refused


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    taps = (
        ("before-sign.secretsmanager.GetSecretValue", made.signed),
        ("before-call.secretsmanager.GetSecretValue", made.before),
    )
    BUILTIN_HANDLERS.extend(taps)
    try:
        with fresh_aws():
            yield made
    finally:
        for tap in taps:
            BUILTIN_HANDLERS.remove(tap)


def test_a_good_pair_has_no_fault_wherever_it_lies_and_whatever_is_around_it(bench):
    elsewhere = (bench.secret(GOOD.chain, ELSEWHERE), bench.secret(f"my key\n{GOOD.key}\n", ELSEWHERE))
    both = bench.secret(GOOD.chain + GOOD.key)
    assert bench.faults(bench.pair(GOOD.chain, GOOD.key), elsewhere, (both, both)) == ()


def test_no_certificates_have_no_fault(bench):
    assert bench.faults() == ()


def test_they_are_read_with_the_rights_of_the_vm_for_the_shortest_time_and_never_with_our_own(bench):
    asked: list[dict[str, Any]] = []
    events = client("sts", REGION).meta.events
    events.register_first("provide-client-params.sts.AssumeRole", lambda params, **_: asked.append(params))
    bench.faults(bench.pair(GOOD.chain, GOOD.key), (bench.secret(GOOD.chain, ELSEWHERE),) * 2)
    assert [region for _, region, _ in bench.reads] == [REGION, REGION, ELSEWHERE, ELSEWHERE]
    assert {who[:4] for who, _, _ in bench.reads} == {"ASIA"}, "AWS gives such ids to credentials that end"
    assert asked == [
        {"RoleArn": ROLE, "RoleSessionName": "autostop-proves-certificates", "DurationSeconds": 900},
    ]


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        ("no PEM, geheim", GOOD.key, "the certificate's secret has no PEM certificate"),
        (GOOD.key, GOOD.chain, "the certificate's secret has no PEM certificate"),
        (GOOD.chain, "geheim", "the private key's secret has 0 PEM private keys, not one"),
        (GOOD.chain, GOOD.key + OTHER.key, "the private key's secret has 2 PEM private keys, not one"),
        (GOOD.chain, OTHER.key, "OpenSSL refuses the pair: the key is not the certificate's"),
        (OLD.chain, OLD.key, f"it expired at {START - timedelta(days=10, hours=1):%Y-%m-%d %H:%M} UTC"),
    ],
    ids=["no PEM", "the wrong way round", "no key", "two keys", "no pair", "expired"],
)
def test_what_cannot_be_served_is_said(bench, chain, key, words):
    (fault,) = bench.faults(bench.pair(chain, key))
    assert fault.field == "certificates[0]"
    assert fault.message.startswith(words)


def test_it_expires_by_our_clock(bench):
    pair = bench.pair(GOOD.chain, GOOD.key)
    bench.clock.advance(timedelta(days=90) - timedelta(hours=1, seconds=1))
    assert bench.faults(pair) == ()
    bench.clock.advance(timedelta(seconds=1))
    (fault,) = bench.faults(pair)
    assert fault == Fault("certificates[0]", f"it expired at {bench.clock.now():%Y-%m-%d %H:%M} UTC")


def test_what_cannot_be_read_is_said_for_each_field_in_the_words_of_aws(bench):
    nowhere = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:nowhere-abcdef"
    faults = bench.faults((nowhere, bench.secret(GOOD.key)), bench.pair(GOOD.chain, b"\x00geheim"), (nowhere,) * 2)
    assert [fault.field for fault in faults] == [
        "certificates[0].certificate_secret_arn",
        "certificates[1].private_key_secret_arn",
        "certificates[2].certificate_secret_arn",
        "certificates[2].private_key_secret_arn",
    ]
    assert faults[0].message.startswith("the proxy could not read it: ResourceNotFoundException: ")
    assert faults[1].message == "the proxy could not read it: NoText: the secret has no text in it"


def test_all_faults_are_found_at_once(bench):
    faults = bench.faults(
        bench.pair(GOOD.chain, OTHER.key), bench.pair(GOOD.chain, GOOD.key), bench.pair(OLD.chain, OLD.key)
    )
    assert [fault.field for fault in faults] == ["certificates[0]", "certificates[2]"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [("AccessDenied", NotYetError), ("Throttling", ThrottledError), ("ValidationError", CloudError)],
)
def test_a_role_that_cannot_be_taken_on_is_asked_for_again_where_that_can_help(bench, code, kind):
    def refuse(**_: object) -> None:
        raise refusal(code, "User is not authorized to perform: sts:AssumeRole", "AssumeRole")

    client("sts", REGION).meta.events.register_first("before-call.sts.AssumeRole", refuse)
    with pytest.raises(CloudError) as caught:
        bench.faults(bench.pair(GOOD.chain, GOOD.key))
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert caught.value.retryable is (kind is not CloudError)
    assert bench.reads == []


def test_rights_that_were_just_given_are_not_known_everywhere_yet(bench):
    """PUT with other certificates: the role is taken on at once, and may read the new ones some seconds later."""
    first, second = bench.pair(GOOD.chain, GOOD.key), bench.pair(OTHER.chain, OTHER.key)
    words = "User is not authorized to perform: secretsmanager:GetSecretValue"
    denied = refusal("AccessDeniedException", words, "GetSecretValue")
    bench.refuse = lambda body: denied if second[1] in body else None
    with pytest.raises(NotYetError) as caught:
        bench.faults(first, second)
    assert (caught.value.code, caught.value.retryable) == ("AccessDeniedException", True)
    assert caught.value.message == f"certificates[1].private_key_secret_arn: {words}"


def test_a_fault_that_is_sure_is_said_though_another_secret_may_be_readable_later(bench):
    first, second = bench.pair("no PEM", GOOD.key), bench.pair(OTHER.chain, OTHER.key)
    bench.refuse = lambda body: refusal("AccessDeniedException") if second[0] in body else None
    (fault,) = bench.faults(first, second)
    assert fault.field == "certificates[0]"


def test_throttling_is_nobodys_fault(bench):
    bench.refuse = lambda _: refusal("ThrottlingException")
    with pytest.raises(ThrottledError):
        bench.faults(bench.pair(GOOD.chain, GOOD.key))


def lines(*texts: str) -> list[str]:
    """What of them would betray them."""
    return [line for text in texts for line in text.splitlines() if len(line) > 5 and not line.startswith("-----")]


def test_nothing_of_a_secret_is_in_a_fault_an_error_or_a_log(bench, caplog):
    caplog.set_level(logging.DEBUG, "chalicelib")
    caplog.set_level(logging.INFO)
    broken = GOOD.chain.replace("A", "geheim#")
    pairs = [
        bench.pair(GOOD.chain, GOOD.key),
        bench.pair(GOOD.chain, OTHER.key),
        bench.pair("geheimes Wort", GOOD.key),
        bench.pair(broken, GOOD.key),
        bench.pair(GOOD.chain, GOOD.key.replace("M", "geheim#", 1)),
        bench.pair(OLD.chain, OLD.key),
        bench.pair(base64.b64encode(GOOD.chain.encode()).decode(), "geheim"),
    ]
    words = str(bench.faults(*pairs)) + repr(bench.proof)
    bench.refuse = lambda _: refusal("ThrottlingException")
    with pytest.raises(ThrottledError) as caught:
        bench.faults(*pairs)
    words += repr(caught.value) + str(caught.value.__cause__) + caplog.text
    assert "geheim" not in words
    for line in lines(GOOD.chain, GOOD.key, OTHER.chain, OTHER.key, OLD.chain, OLD.key, broken):
        assert line not in words
