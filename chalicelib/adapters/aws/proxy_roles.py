"""The role and instance profile of a proxy's VM, and what can be proved with its rights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.adapters.aws.proxy_names import part_name, tags
from chalicelib.adapters.aws.proxy_rights import rights, trust
from chalicelib.domain.errors import CloudError
from chalicelib.domain.provisioning import RoleState

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient

    from chalicelib.domain.errors import Fault
    from chalicelib.domain.load_balancers import LoadBalancer

    Prove = Callable[[LoadBalancer, str], tuple[Fault, ...]]

POLICY = "autostop"
_MISSING = "NoSuchEntity"
_THERE = frozenset({"EntityAlreadyExists"})


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who we are: the role of this function, by which the VM's role knows us."""

    partition: str
    account: str
    role: str


class IamProxyRoles:
    """Implements ProxyRoles. `boundary`: the ARN of the permissions boundary that every such role is made with."""

    def __init__(self, stage: str, home: str, log_group: str, boundary: str, prove: Prove) -> None:
        self._stage, self._home, self._log_group, self._boundary = stage, home, log_group, boundary
        self._prove = prove

    def name(self, balancer: LoadBalancer) -> str:
        return part_name(self._stage, balancer.id)

    def state(self, balancer: LoadBalancer) -> RoleState:
        name = self.name(balancer)
        role, profile = _found(lambda: _iam().get_role(RoleName=name)["Role"]), _profile(name)
        if role is None and profile is None:
            return RoleState.ABSENT
        if role is None or profile is None or [one["RoleName"] for one in profile["Roles"]] != [name]:
            return RoleState.DIFFERENT
        policy = _found(lambda: _iam().get_role_policy(RoleName=name, PolicyName=POLICY)["PolicyDocument"])
        bounded = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") == self._boundary
        # Who made it may be gone, and this function be another one's: it could not take the role on.
        trusting = _plain(role.get("AssumeRolePolicyDocument")) == _plain(trust(_caller().role))
        right = bounded and trusting and _plain(policy) == _plain(self._rights(balancer))
        return RoleState.RIGHT if right else RoleState.DIFFERENT

    def put(self, balancer: LoadBalancer) -> str:
        name, iam, trusted = self.name(balancer), _iam(), json.dumps(trust(_caller().role))
        labels = [{"Key": key, "Value": value} for key, value in tags(self._stage, balancer).items()]
        with passed_over(_THERE):
            iam.create_role(
                RoleName=name,
                Description=f"What the AutoStop proxy {balancer.id} may do",
                AssumeRolePolicyDocument=trusted,
                PermissionsBoundary=self._boundary,
                Tags=cast("Any", labels),
            )
        with translated():
            # Also where the role is there: somebody may have taken its boundary away.
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusted)
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=self._boundary)
            iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(self._rights(balancer)))
        with passed_over(_THERE):
            iam.create_instance_profile(InstanceProfileName=name, Tags=cast("Any", labels))
        _empty(name, but=name)
        with passed_over(frozenset({"LimitExceeded"})):  # one role a profile: it is in it
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return name

    def delete(self, balancer: LoadBalancer) -> None:
        name, iam = self.name(balancer), _iam()
        _empty(name)
        steps: tuple[Callable[[], object], ...] = (
            lambda: iam.delete_instance_profile(InstanceProfileName=name),
            lambda: iam.delete_role_policy(RoleName=name, PolicyName=POLICY),
            lambda: iam.delete_role(RoleName=name),
        )
        for step in steps:
            with passed_over(frozenset({_MISSING})):
                step()

    def prove(self, balancer: LoadBalancer) -> tuple[Fault, ...]:
        me = _caller()
        return self._prove(balancer, f"arn:{me.partition}:iam::{me.account}:role/{self.name(balancer)}")

    def _rights(self, balancer: LoadBalancer) -> Any:  # noqa: ANN401  (JSON)
        me = _caller()
        return rights(self._stage, self._log_group, self._home, me.partition, me.account, balancer)


@cache
def _caller() -> _Caller:
    with translated():
        arn = client("sts", "us-east-1").get_caller_identity()["Arn"]
    # arn:aws:sts::123456789012:assumed-role/NAME/SESSION; a user's own ARN where a person runs it.
    _, partition, _, _, account, who = arn.split(":", 5)
    kind, _, rest = who.partition("/")
    role = f"arn:{partition}:iam::{account}:role/{rest.split('/')[0]}" if kind == "assumed-role" else arn
    return _Caller(partition, account, role)


def _iam() -> IAMClient:
    # IAM is one for all regions; us-east-1 is where its endpoint is.
    return cast("IAMClient", client("iam", "us-east-1"))


def _profile(name: str) -> Any:  # noqa: ANN401  (boto3's answers)
    return _found(lambda: _iam().get_instance_profile(InstanceProfileName=name)["InstanceProfile"])


def _empty(name: str, but: str | None = None) -> None:
    """Take every role `but` this one out of the profile, whoever put it there: it holds one."""
    profile = _profile(name)
    for role in profile["Roles"] if profile else ():
        if role["RoleName"] != but:
            with passed_over(frozenset({_MISSING})):
                _iam().remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])


def _plain(document: Any) -> Any:  # noqa: ANN401  (JSON)
    """The same for documents that mean the same: a list of one is its one, and the order of a list says nothing.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
    """
    if isinstance(document, dict):
        return {key: _plain(value) for key, value in document.items()}
    if not isinstance(document, list):
        return document
    parts = sorted((_plain(part) for part in document), key=repr)
    return parts[0] if len(parts) == 1 else parts


def _found(question: Callable[[], Any]) -> Any:  # noqa: ANN401  (boto3's answers)
    try:
        with translated():
            return question()
    except CloudError as error:
        if error.code == _MISSING:
            return None
        raise
