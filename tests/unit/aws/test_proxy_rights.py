"""What a proxy's VM may do is within the boundary, whatever its load balancer names; no name is too long for IAM."""

from __future__ import annotations

import json
import re
import unicodedata
from fnmatch import fnmatchcase
from typing import Any

import pytest

from chalicelib.adapters.aws.proxy_names import part_name, secret_name, tags
from chalicelib.adapters.aws.proxy_rights import rights, trust
from chalicelib.adapters.aws.system import RandomIds
from chalicelib.domain.certificates import Certificate
from scripts import policies, provision_policy
from scripts.base_stack import proxy_boundary, template
from tests.builders import make_balancer

ACCOUNT = "123456789012"
REGIONS = [("aws", "us-east-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def within(statement: dict[str, Any], limit: dict[str, Any]) -> bool:
    """Whether all that a statement allows, another allows as well."""
    resources = listed(limit["Resource"])
    granted = limit.get("Condition", {}).get("StringLike", {})
    asked = statement.get("Condition", {}).get("StringLike", {})
    return (
        limit["Effect"] == statement["Effect"] == "Allow"
        and set(statement["Action"]) <= set(listed(limit["Action"]))
        # A pattern as a name: what it stands for is within a wider one that takes it letter by letter.
        and all(any(fnmatchcase(one, pattern) for pattern in resources) for one in statement["Resource"])
        and all(asked.get(key) == value for key, value in granted.items())
    )


def outside(document: dict[str, Any], boundary: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in document["Statement"] if not any(within(one, limit) for limit in boundary["Statement"])]


def secret(partition: str, region: str, name: str) -> str:
    return f"arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:{name}"


@pytest.mark.parametrize("stage", ["dev", "prod", "a-very-long-name-of-a-stage"])
@pytest.mark.parametrize(("partition", "region"), REGIONS)
@pytest.mark.parametrize("own", [False, True], ids=["our key", "the user's own key"])
def test_whatever_it_is_given_is_within_the_boundary(stage, partition, region, own):
    pairs = tuple(
        Certificate(
            (f"{n}.example.com",), secret(partition, region, f"tls/{n}-abcdef"), secret(partition, "eu-west-1", "k")
        )
        for n in range(3)
    )
    key = secret(partition, region, "key-abcdef") if own else None
    for certificates in ((), pairs):
        balancer = make_balancer(
            RandomIds().new("lb"), region=region, certificates=certificates, api_key_secret_arn=key
        )
        given = rights(stage, f"/autostop/{stage}/proxy", region, partition, ACCOUNT, balancer)
        assert outside(given, proxy_boundary(stage)) == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("secretsmanager:PutSecretValue", secret("aws", "us-east-1", "x")),
        ("kms:Decrypt", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"),
        ("logs:PutLogEvents", f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/autostop/dev/proxy:log-stream:other/x"),
        ("logs:PutLogEvents", f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/autostop/prod/proxy:log-stream:lb_1/x"),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/x"),
        ("s3:GetObject", "*"),
    ],
)
def test_what_no_proxy_needs_is_outside(action, resource):
    """A Decrypt without the condition is one for any service."""
    document = {"Statement": [{"Effect": "Allow", "Action": [action], "Resource": [resource]}]}
    assert outside(document, proxy_boundary("dev")) == document["Statement"]


def test_two_load_balancers_have_neither_a_secret_nor_a_log_stream_in_common():
    one, two = (
        rights("dev", "/autostop/dev/proxy", "us-east-1", "aws", ACCOUNT, make_balancer(id_))
        for id_ in ("lb_1", "lb_11")
    )
    for name in ("secret:autostop/dev/proxy/lb_11-abcdef", "log-stream:lb_11/i-1", "log-stream:lb_111/i-1"):
        patterns = [resource for statement in one["Statement"] for resource in statement["Resource"]]
        patterns = [pattern for pattern in patterns if ":kms:" not in pattern]
        assert not any(fnmatchcase(name, pattern.split(f"{ACCOUNT}:", 1)[1]) for pattern in patterns)
        assert not any(fnmatchcase(name, pattern.rsplit("proxy:", 1)[-1]) for pattern in patterns)
    assert one != two


def test_nobody_takes_the_role_on_but_ec2_and_the_function_that_made_it():
    me = f"arn:aws:iam::{ACCOUNT}:role/autostop-dev-ProvisionRole"
    assert [one["Principal"] for one in trust(me)["Statement"]] == [{"Service": "ec2.amazonaws.com"}, {"AWS": me}]


@pytest.mark.parametrize("stage", ["dev", "x" * 19, "x" * 20, "x" * 60])
def test_names_are_as_long_as_iam_and_secrets_manager_take_them_and_ours_to_touch(stage):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    id_ = RandomIds().new("lb")
    name = part_name(stage, id_)
    assert len(name) <= 64
    assert re.fullmatch(r"[\w+=,.@-]+", name, re.ASCII)
    assert name.endswith(f"-proxy-{id_}")
    assert len(secret_name(stage, id_)) <= 512
    assert fnmatchcase(f"arn:aws:iam::{ACCOUNT}:role/{name}", provision_policy.ROLES)
    assert fnmatchcase(f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}", provision_policy.PROFILES)
    ours = secret("aws", "us-east-1", f"{secret_name(stage, id_)}-AbCdEf")
    assert fnmatchcase(ours, provision_policy.SECRETS)


def test_the_boundaries_are_as_large_as_iam_takes_them_and_bound_by_name_what_provision_makes():
    stack = template("dev")["Resources"]
    for name in ("ProxyBoundary", "ProvisionBoundary"):
        text = json.dumps(stack[name]["Properties"]["PolicyDocument"])
        assert len(re.sub(r"\s", "", text)) <= 6144, "a managed policy, without its white space"
    made = f"arn:aws:iam::{ACCOUNT}:policy/{stack['ProxyBoundary']['Properties']['ManagedPolicyName']}"
    assert fnmatchcase(made, provision_policy.BOUNDARY)
    # Whoever could write roles without the boundary, or change the boundary, would be bound by nothing.
    text = policies.text("provision")
    for action in (
        "CreatePolicyVersion",
        "DeleteRolePermissionsBoundary",
        "AttachRolePolicy",
        "iam:*",
        "GetSecretValue",
    ):
        assert action not in text


@pytest.mark.parametrize(
    "name", ["edge (prod)", "Jürgen's <b>", "東京 ✓\n", "a\x00b\u0301", "%" * 300, "a-b_c.d:e/f=g+h@i 9"]
)
def test_a_tag_has_no_character_that_iam_refuses_whatever_the_load_balancer_is_called(name):
    """IAM takes letters, digits, separators and _.:/=+-@ and no others, and 256 of them.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html
    """
    for key, value in tags("dev", make_balancer(name=name)).items():
        assert len(value) <= 256
        assert all(unicodedata.category(one)[0] in "LNZ" or one in "_.:/=+-@" for one in key + value)


def test_a_name_that_iam_takes_is_the_tag_as_it_is():
    assert tags("dev", make_balancer(name="Jürgen 東京 a-b_c.d:e/f=g+h@i 9"))["Name"] == (
        "autostop Jürgen 東京 a-b_c.d:e/f=g+h@i 9"
    )
