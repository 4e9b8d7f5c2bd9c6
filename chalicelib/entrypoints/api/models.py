"""The smaller bodies of the contract. Unknown fields are refused everywhere; every fault is named at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Words = Annotated[str, Field(max_length=500)]


def matches(pattern: str, what: str) -> AfterValidator:
    return AfterValidator(matching(pattern, what))


def matching(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"is not {what}")
        return value

    return check


Region = Annotated[str, matches(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as us-east-1")]
as_instance_id = matching(r"i-[0-9a-f]{8,17}", "an EC2 instance id such as i-0123456789abcdef0")
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html (stored in lower case)
as_database_id = matching(
    r"(?=.{1,63}\Z)[a-z]([a-z0-9]|-(?=[a-z0-9]))*",
    "a database identifier in lower case such as my-database; a cluster has a list of its own, cluster_ids",
)
DatabaseId = Annotated[str, AfterValidator(as_database_id)]
RuleId = Annotated[str, matches(r"ru_[a-z0-9]{1,40}", "a rule id")]
ScheduleId = Annotated[str, matches(r"sc_[a-z0-9]{1,40}", "a schedule id")]
RoleArn = Annotated[
    str,
    matches(
        r"arn:aws[a-z-]*:iam::\d{12}:role/(autostop-)[A-Za-z0-9+=,.@_-]{1,55}",
        "the ARN of a role whose name begins with autostop-, the only ones that AutoStop may assume",
    ),
]
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
ExternalId = Annotated[str, matches(r"[\w+=,.@:/-]{2,1224}", "an external id of 2 to 1224 characters")]
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html (tag restrictions)
TagKey = Annotated[
    str,
    Field(min_length=1, max_length=128),
    matches(r"(?is)(?!aws:).+", "a tag of yours: those of AWS itself, with keys that begin with aws:, cannot be used"),
]
TagValue = Annotated[str, Field(max_length=256)]
LoadBalancerId = Annotated[str, matches(r"lb_[a-z0-9]{1,40}", "a load balancer id")]
Member = Annotated[str, matches(r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, dots, dashes or underscores")]


def unsupported(value: object) -> object:
    """What the contract has and this version has not: its empty value passes, anything else is refused."""
    if value not in (None, [], {}, False):
        raise ValueError("is not supported by this version")
    return value


Later = Annotated[object, BeforeValidator(unsupported)]


class Strict(BaseModel):
    """Unknown fields and silent conversions are refused."""

    # Built when first used: a wake does not wait for the model of a rule.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class WarmUpBody(Strict):
    """`POST /rules/{id}/warm-up`."""

    minutes: float = Field(default=30, gt=0, le=10080)
    reason: Words | None = None


class CoolDownBody(Strict):
    """`POST /rules/{id}/cool-down`."""

    minutes: float = Field(default=30, gt=0, le=10080)
    force: bool = False
    propagate: bool = False
    reason: Words | None = None


def _time(value: object) -> object:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("is not an RFC 3339 time") from None
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_time), AfterValidator(lambda at: at.astimezone(UTC))]


class ApiKeyBody(Strict):
    """`POST /api-keys`."""

    role: Literal["admin", "operator", "viewer", "proxy"]
    name: Name = "unnamed"
    expires_at: Time | None = None
    load_balancer_id: LoadBalancerId | None = None


class CauseBody(Strict):
    """Who is there."""

    kind: Literal["http", "tcp", "held"]
    source: Annotated[str, Field(max_length=64)] | None = None
    port: Port | None = None
    host: Annotated[str, Field(max_length=255)] | None = None
    path: Annotated[str, Field(max_length=2048)] | None = None


class WakeBody(Strict):
    """`POST /load-balancers/{id}/warm-up`."""

    rule_ids: list[RuleId] = Field(min_length=1, max_length=100)
    cause: CauseBody


class AppliedBody(Strict):
    """Since when a configuration is in force."""

    at: Time


class RejectedBody(Strict):
    """Why Envoy did not take a configuration."""

    at: Time
    errors: list[Annotated[str, Field(max_length=2000)]] = Field(max_length=50)


class RuleReportBody(Strict):
    """What a member saw of one rule."""

    id: RuleId
    accepts: bool
    at: Time
    status: int | None = None


class SecretReportBody(Strict):
    """What became of one certificate; `arn` is that of its certificate's secret, `not_after` of what is served."""

    hosts: list[Annotated[str, Field(max_length=255)]] = Field(default=[], max_length=1000)
    arn: Annotated[str, Field(max_length=2048)]
    status: Literal["ok", "missing", "invalid", "expired"]
    not_after: Time | None = None
    detail: Words | None = None


class ReportBody(Strict):
    """`POST /load-balancers/{id}/report`. `secrets`: all of the member's, null as before. `agent`: its version."""

    member: Member
    config: Annotated[str, Field(max_length=64)]
    applied: AppliedBody | None = None
    rejected: RejectedBody | None = None
    rules: list[RuleReportBody] = Field(default=[], max_length=2000)
    secrets: list[SecretReportBody] | None = Field(default=None, max_length=50)
    agent: Annotated[str, matches(r"[0-9A-Za-z.+-]{1,40}", "a version")] | None = None
