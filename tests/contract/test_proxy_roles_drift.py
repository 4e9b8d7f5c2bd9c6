"""Whatever somebody does to the role of a proxy is seen, put right, and keeps nobody from deleting it (IAM on moto)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from chalicelib.adapters.aws.clients import client
from chalicelib.domain.errors import CloudError
from chalicelib.domain.provisioning import RoleState
from tests.contract.conftest_aws import ACCOUNT, fresh_aws
from tests.contract.test_proxy_roles import BALANCER, Aws
from tests.unit.aws.conftest import refusal


@pytest.fixture
def aws():
    with fresh_aws():
        yield Aws()


DRIFTS = {
    "more rights": lambda aws: aws.put_policy(
        aws.policy | {"Statement": [*aws.policy["Statement"], {"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    ),
    "fewer rights": lambda aws: aws.put_policy(aws.policy | {"Statement": aws.policy["Statement"][:1]}),
    "no rights": lambda aws: aws.iam.delete_role_policy(RoleName=aws.name, PolicyName="autostop"),
    "no boundary": lambda aws: aws.iam.delete_role_permissions_boundary(RoleName=aws.name),
    "another boundary": lambda aws: aws.iam.put_role_permissions_boundary(
        RoleName=aws.name, PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"
    ),
    "no role in the profile": lambda aws: aws.iam.remove_role_from_instance_profile(
        InstanceProfileName=aws.name, RoleName=aws.name
    ),
    "another role in the profile": lambda aws: into_profile(aws, "somebody-elses"),
    "no profile": lambda aws: (DRIFTS["no role in the profile"](aws), drop_profile(aws)),
    "no role": lambda aws: (
        DRIFTS["no role in the profile"](aws),
        DRIFTS["no rights"](aws),
        aws.iam.delete_role(RoleName=aws.name),
    ),
    "somebody else may take it on": lambda aws: aws.trust(
        {"Service": "ec2.amazonaws.com"}, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    ),
    # IAM shows a role that was deleted since by its unique id: so does a new deployment find the one before.
    "the function that made it is gone": lambda aws: aws.trust(
        {"Service": "ec2.amazonaws.com"}, {"AWS": "AROA1234567890EXAMPLE"}
    ),
}


def into_profile(aws: Aws, role: str) -> None:
    DRIFTS["no role in the profile"](aws)
    with suppress(aws.iam.exceptions.EntityAlreadyExistsException):
        aws.iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    aws.iam.add_role_to_instance_profile(InstanceProfileName=aws.name, RoleName=role)


def drop_profile(aws: Aws) -> None:
    aws.iam.delete_instance_profile(InstanceProfileName=aws.name)


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_seen_and_put_right(aws, drift):
    aws.roles.put(BALANCER)
    before = (aws.policy, aws.role["AssumeRolePolicyDocument"])
    DRIFTS[drift](aws)
    assert aws.roles.state(BALANCER) is RoleState.DIFFERENT
    aws.roles.put(BALANCER)
    assert aws.roles.state(BALANCER) is RoleState.RIGHT
    assert (aws.policy, aws.role["AssumeRolePolicyDocument"]) == before
    profile = aws.iam.get_instance_profile(InstanceProfileName=aws.name)["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == [aws.name]


@pytest.mark.parametrize("drift", DRIFTS)
def test_whatever_somebody_did_to_it_it_can_be_deleted(aws, drift):
    aws.roles.put(BALANCER)
    DRIFTS[drift](aws)
    aws.roles.delete(BALANCER)
    assert aws.roles.state(BALANCER) is RoleState.ABSENT


def test_a_worker_that_died_after_any_call_is_followed_by_one_that_ends_it(aws):
    aws.roles.put(BALANCER)
    calls = [name for name, _ in aws.account.asked if not name.startswith("Get")]
    for done in range(1, len(calls)):
        aws.roles.delete(BALANCER)
        aws.account.asked.clear()
        events = client("iam", "us-east-1").meta.events

        def die(model: Any, done: int = done, **_: object) -> None:
            if not model.name.startswith("Get") and len([n for n, _ in aws.account.asked if n[:3] != "Get"]) > done:
                raise refusal("ServiceUnavailable")

        events.register_first("before-call.iam", die)
        with pytest.raises(CloudError):
            aws.roles.put(BALANCER)
        events.unregister("before-call.iam", die)
        assert aws.roles.state(BALANCER) is not RoleState.RIGHT or done == len(calls) - 1
        aws.roles.put(BALANCER)
        assert aws.roles.state(BALANCER) is RoleState.RIGHT
