"""What `ports.ProxyRoles` promises, of the roles in memory and of IAM on moto.

moto 5.2 checks no permissions and knows a role everywhere at once: what IAM refuses is put on the wire before it, and
the documents are held against what a VM needs by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from chalicelib.adapters.aws import proxy_roles
from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.proxy_roles import IamProxyRoles
from chalicelib.adapters.memory.proxy_parts import FakeProxyRoles
from chalicelib.domain.certificates import Certificate
from chalicelib.domain.errors import CloudError, Fault, NotYetError, ThrottledError
from chalicelib.domain.provisioning import RoleState
from tests.builders import make_balancer
from tests.contract.conftest_aws import ACCOUNT, REGION, fresh_aws
from tests.contract.proxy_account import STAGE, ProxyAccount
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import ProxyRoles

ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
PAIR = Certificate(("*.example.com",), f"{ARN}chain-abcdef", f"{ARN}key-abcdef")
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/autostop-test-proxy-boundary"
LOGS = "/autostop/test/proxy"
BALANCER, OTHER = make_balancer(existing=False), make_balancer("lb_2", existing=False)
BAD = (Fault("certificates[0]", "it expired"),)


class Bench(Protocol):
    roles: ProxyRoles

    def answer(self, faults: tuple[Fault, ...] | CloudError) -> None:
        """What the next proof says."""


class InMemory:
    def __init__(self) -> None:
        self.roles = FakeProxyRoles()

    def answer(self, faults: tuple[Fault, ...] | CloudError) -> None:
        if isinstance(faults, CloudError):
            self.roles.not_yet.append(faults)
        else:
            self.roles.faults = faults


class Aws:
    def __init__(self) -> None:
        self.account = ProxyAccount()
        self.iam = self.account.iam
        self.proved: list[tuple[str, str]] = []
        self._answer: tuple[Fault, ...] | CloudError = ()
        self.roles = IamProxyRoles(STAGE, REGION, LOGS, BOUNDARY, self._prove)
        self.name = self.roles.name(BALANCER)

    def answer(self, faults: tuple[Fault, ...] | CloudError) -> None:
        self._answer = faults

    def _prove(self, balancer: LoadBalancer, role_arn: str) -> tuple[Fault, ...]:
        self.proved.append((balancer.id, role_arn))
        if isinstance(self._answer, CloudError):
            raise self._answer
        return self._answer

    @property
    def role(self) -> dict[str, Any]:
        return self.iam.get_role(RoleName=self.name)["Role"]

    @property
    def policy(self) -> dict[str, Any]:
        return self.iam.get_role_policy(RoleName=self.name, PolicyName="autostop")["PolicyDocument"]

    def put_policy(self, document: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName=self.name, PolicyName="autostop", PolicyDocument=json.dumps(document))

    def trust(self, *principals: dict[str, str]) -> None:
        statements = [{"Effect": "Allow", "Principal": one, "Action": "sts:AssumeRole"} for one in principals]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam.update_assume_role_policy(RoleName=self.name, PolicyDocument=document)


@pytest.fixture(params=["memory", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield Aws()


@pytest.fixture
def aws() -> Iterator[Aws]:
    with fresh_aws():
        yield Aws()


def test_it_is_absent_until_it_is_put_and_right_from_then_on_for_its_load_balancer_only(bench):
    assert bench.roles.state(BALANCER) is RoleState.ABSENT
    for _ in range(2):
        assert bench.roles.put(BALANCER) == bench.roles.name(BALANCER)
        assert bench.roles.state(BALANCER) is RoleState.RIGHT
    assert bench.roles.state(OTHER) is RoleState.ABSENT
    assert bench.roles.name(OTHER) != bench.roles.name(BALANCER)


@pytest.mark.parametrize(
    "change",
    [{"certificates": (PAIR,)}, {"api_key_secret_arn": f"{ARN}mine-abcdef"}],
    ids=["certificates", "secret of its key"],
)
def test_other_secrets_are_other_rights_until_it_is_put_again(bench, change):
    bench.roles.put(BALANCER)
    changed = replace(BALANCER, **change)
    assert bench.roles.state(changed) is RoleState.DIFFERENT
    bench.roles.put(changed)
    assert bench.roles.state(changed) is RoleState.RIGHT
    assert bench.roles.state(BALANCER) is RoleState.DIFFERENT
    assert bench.roles.state(replace(changed, name="renamed", machine_type="t3.small")) is RoleState.RIGHT


def test_it_is_deleted_once_and_twice_and_no_other_is(bench):
    bench.roles.put(BALANCER)
    bench.roles.put(OTHER)
    for _ in range(2):
        bench.roles.delete(BALANCER)
        assert bench.roles.state(BALANCER) is RoleState.ABSENT
    assert bench.roles.state(OTHER) is RoleState.RIGHT
    bench.roles.put(BALANCER)
    assert bench.roles.state(BALANCER) is RoleState.RIGHT


def test_what_the_proof_says_is_said(bench):
    bench.roles.put(BALANCER)
    assert bench.roles.prove(BALANCER) == ()
    bench.answer(NotYetError("AccessDenied", "not authorized to perform: sts:AssumeRole"))
    with pytest.raises(NotYetError):
        bench.roles.prove(BALANCER)
    bench.answer(BAD)
    assert bench.roles.prove(BALANCER) == BAD


# Only AWS has it


def test_its_rights_are_its_own_secrets_and_its_own_log_streams_and_nothing_else(aws):
    aws.roles.put(replace(BALANCER, certificates=(PAIR,)))
    ours = f"{ARN}autostop/test/proxy/lb_1-??????"
    secrets, decrypt, logs = aws.policy["Statement"]
    named = sorted([ours, PAIR.certificate_secret_arn, PAIR.private_key_secret_arn])
    assert secrets == {
        "Effect": "Allow",
        "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
        "Resource": named,
    }
    assert (decrypt["Action"], decrypt["Resource"]) == (["kms:Decrypt"], [f"arn:aws:kms:*:{ACCOUNT}:key/*"])
    assert decrypt["Condition"] == {
        "StringLike": {
            "kms:ViaService": "secretsmanager.*.amazonaws.com",
            "kms:EncryptionContext:SecretARN": named,
        }
    }
    assert (logs["Action"], logs["Resource"]) == (
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{LOGS}:log-stream:lb_1/*"],
    )
    assert aws.iam.list_role_policies(RoleName=aws.name)["PolicyNames"] == ["autostop"]
    assert aws.iam.list_attached_role_policies(RoleName=aws.name)["AttachedPolicies"] == []


def test_where_the_user_named_the_secret_of_its_key_it_reads_that_and_none_of_ours(aws):
    aws.roles.put(replace(BALANCER, api_key_secret_arn=f"{ARN}mine-abcdef"))
    assert aws.policy["Statement"][0]["Resource"] == [f"{ARN}mine-abcdef"]


def test_role_and_profile_are_tagged_and_the_profile_has_just_this_role(aws):
    aws.roles.put(BALANCER)
    tags = {"autostop:proxy": "lb_1", "autostop:stage": STAGE, "Name": "autostop proxy"}
    profile = aws.iam.get_instance_profile(InstanceProfileName=aws.name)["InstanceProfile"]
    for part in (aws.role, profile):
        assert {tag["Key"]: tag["Value"] for tag in part["Tags"]} == tags
    assert [role["RoleName"] for role in profile["Roles"]] == [aws.name]
    assert aws.role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    (order,) = aws.account.of("CreateRole")
    assert order["PermissionsBoundary"] == BOUNDARY, "made with it, for a moment without it is one too many"


@pytest.mark.parametrize(
    ("arn", "known_as"),
    [
        (
            f"arn:aws:sts::{ACCOUNT}:assumed-role/autostop-dev-ProvisionRole-X1/autostop-dev-provision",
            f"arn:aws:iam::{ACCOUNT}:role/autostop-dev-ProvisionRole-X1",
        ),
        (f"arn:aws:iam::{ACCOUNT}:user/ops", f"arn:aws:iam::{ACCOUNT}:user/ops"),
    ],
)
def test_only_the_vm_and_the_function_that_made_it_take_it_on(aws, arn, known_as):
    def me(**_: object) -> tuple[object, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"Arn": arn}

    proxy_roles._caller.cache_clear()
    client("sts", "us-east-1").meta.events.register_first("before-call.sts.GetCallerIdentity", me)
    try:
        aws.roles.put(BALANCER)
        assert aws.roles.prove(BALANCER) == ()
    finally:
        proxy_roles._caller.cache_clear()
    statements = aws.role["AssumeRolePolicyDocument"]["Statement"]
    assert [statement["Principal"] for statement in statements] == [
        {"Service": "ec2.amazonaws.com"},
        {"AWS": known_as},
    ]
    assert {statement["Action"] for statement in statements} == {"sts:AssumeRole"}
    assert aws.proved == [("lb_1", f"arn:aws:iam::{ACCOUNT}:role/{aws.name}")]


@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", CloudError), ("Throttling", ThrottledError)])
def test_a_refusal_is_no_absence(aws, code, kind):
    for call in (aws.roles.state, aws.roles.put, aws.roles.delete):
        aws.account.refusals.append(refusal(code))
        with pytest.raises(CloudError) as caught:
            call(BALANCER)
        assert (type(caught.value), caught.value.code) == (kind, code)
