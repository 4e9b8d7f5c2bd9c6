"""An AWS Application Load Balancer: what people asked for of it, and what was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Theme:
    """What the pages look like; None: as ours do. `colour` is CSS hex such as #0f5132."""

    title: str | None = None
    logo_url: str | None = None
    colour: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class AccessLogs:
    """Where an ALB writes its access log: a bucket in its region, and what stands before AWSLogs/ in its keys."""

    bucket: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class AlbSettings:
    """What is particular to an ALB. `scheme` is internal or internet-facing; `domain` such as *.autostop.example.com.

    `existing_arn`: an ALB of the user's own, on which only rules of ours are added.
    """

    scheme: str
    domain: str
    certificate_arn: str | None = None
    hosted_zone_id: str | None = None
    existing_arn: str | None = None
    theme: Theme = field(default_factory=Theme)
    access_logs: AccessLogs | None = None


@dataclass(frozen=True, slots=True)
class MadeListener:
    """A listener that rules may be on. `protocol` is http or https."""

    arn: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class MadeRecord:
    """The wildcard alias in Route 53."""

    zone_id: str
    name: str


@dataclass(frozen=True, slots=True)
class PutRule:
    """What stands of a rule. `wanted` is a fingerprint of what was put; `problem`: AWS refused, in its words."""

    rule_id: str
    wanted: str
    at: datetime
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class MadeAlb:
    """What stands of it. `function_arn` is the warm-up function's, `function_target_group_arn` the group before it."""

    alb_arn: str | None = None
    dns_name: str | None = None
    canonical_zone_id: str | None = None
    listeners: tuple[MadeListener, ...] = ()
    function_arn: str | None = None
    function_target_group_arn: str | None = None
    record: MadeRecord | None = None
    rules: tuple[PutRule, ...] = ()
    logs: AccessLogs | None = None
    """Where it was last seen to write its access log."""

    @property
    def listener_arns(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(listener.arn for listener in self.listeners)

    def put(self, rule_id: str) -> PutRule | None:
        """What was last done for this rule."""
        return next((rule for rule in self.rules if rule.rule_id == rule_id), None)


def group_name(id_: str) -> str:
    """The target group of a rule, or of the function behind a load balancer: at most 32 letters, digits and dashes.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
    """
    return f"as-{id_.replace('_', '-')}"[:32]


def covers(name: str, host: str) -> bool:
    """Whether a certificate for `name` is one for `host`, which may be a wildcard itself.

    Its wildcard stands for one label: *.example.com covers no *.a.example.com. https://www.rfc-editor.org/rfc/rfc6125#section-6.4.3
    """
    return name.lower() in {host, f"*.{host.partition('.')[2]}"}


def cname(settings: AlbSettings, dns_name: str) -> str:
    """The record to add where the domain is not in Route 53, as a line of a zone file."""
    return f"{settings.domain}. 300 IN CNAME {dns_name}."
