"""What stands of an ALB in the account, as Elastic Load Balancing shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.albs import AccessLogs


@dataclass(frozen=True, slots=True)
class SeenAlb:
    """A load balancer. `type` is application, network or gateway.

    `state` is provisioning, active, active_impaired or failed.
    `ours`: it has the tag of this load balancer of this stage. `why`: of a state that is not active. `logs`: where its
    access log goes.
    """

    arn: str
    dns_name: str
    zone_id: str
    scheme: str
    vpc_id: str
    type: str = "application"
    state: str = "active"
    why: str | None = None
    group_ids: frozenset[str] = frozenset()
    ours: bool = False
    logs: AccessLogs | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A listener answers 404 with this page.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
    """

    body: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """301 to somewhere else; a # field as ELB writes it keeps the client's own.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html
    """

    protocol: str = "HTTPS"
    port: str = "443"
    host: str = "#{host}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class Forward:
    """To target groups by ARN, with weights. `sticky`: clients stay with the group that they met first."""

    groups: tuple[tuple[str, int], ...]
    sticky: bool = False

    @property
    def arns(self) -> frozenset[str]:
        """The groups, whatever their weights."""
        return frozenset(arn for arn, _ in self.groups)


@dataclass(frozen=True, slots=True)
class OtherAction:
    """What we never make: authentication, several actions, other answers."""


Action: TypeAlias = Fixed | Redirect | Forward | OtherAction


@dataclass(frozen=True, slots=True)
class SeenListener:
    """A listener. `protocol` is http or https. `ours` as for the load balancer."""

    arn: str
    port: int
    protocol: str
    action: Action
    certificate_arn: str | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class SeenRule:
    """A listener rule other than the default one.

    No hosts or no paths: any. `narrowed`: it has conditions of other kinds (headers, methods, queries, addresses).
    `load_balancer_id` and `rule_id` are its tags, None for what is not ours.
    """

    arn: str
    listener_arn: str
    priority: int
    action: Action
    hosts: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    narrowed: bool = False
    load_balancer_id: str | None = None
    rule_id: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The health check of a target group. `matcher` such as 200-399."""

    protocol: str
    port: str
    path: str
    matcher: str
    interval: int
    timeout: int


@dataclass(frozen=True, slots=True)
class SeenGroup:
    """A target group with the tag of this load balancer. `rule_id` None: the one before the function.

    `targets` are addresses (or the function's ARN) with ports. `multi_value`: of the one before the function, whether
    it hands over every value of a header or query parameter that comes several times.
    """

    arn: str
    name: str
    protocol: str
    probe: Probe | None
    targets: frozenset[tuple[str, int | None]] = frozenset()
    rule_id: str | None = None
    multi_value: bool = False


@dataclass(frozen=True, slots=True)
class SeenFunction:
    """The warm-up function. `allowed`: load balancers may call it through target groups of ours."""

    arn: str
    allowed: bool
    code: str = ""
    deployed_at: str = ""


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate in ACM. `status` is ISSUED where it can be used; `names` are all its names."""

    status: str
    names: tuple[str, ...]
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class SeenZone:
    """A hosted zone, its name without the last dot. `vpc_ids` are those that a private one is for."""

    name: str
    private: bool = False
    vpc_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quotas:
    """Of one ALB.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
    """

    rules: int = 100
    target_groups: int = 100
