"""What an ALB is made of in AWS, and what its checks read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.alb_plan import MakeRule, SetRule
    from chalicelib.domain.alb_seen import (
        Probe,
        Quotas,
        SeenAlb,
        SeenCertificate,
        SeenFunction,
        SeenGroup,
        SeenListener,
        SeenRule,
        SeenZone,
    )
    from chalicelib.domain.alb_steps import PutListener
    from chalicelib.domain.alb_wanted import WantedGroup
    from chalicelib.domain.albs import AccessLogs
    from chalicelib.domain.load_balancers import LoadBalancer


class Albs(Protocol):
    """ALBs and their listeners. All raise CloudError, ThrottledError."""

    def find(self, balancer: LoadBalancer) -> SeenAlb | None:
        """The user's own by its ARN, or the one that we made, by its name and its tag.

        Raises CloudError for one of that name without our tag.
        """
        ...

    def create(self, balancer: LoadBalancer) -> None:
        """Make it, tagged; made already is no error."""
        ...

    def set_groups(self, balancer: LoadBalancer, arn: str) -> None:
        """Put it in just the load balancer's security groups."""
        ...

    def set_logs(self, balancer: LoadBalancer, arn: str, logs: AccessLogs | None) -> None:
        """Have it write its access log there, or not at all."""
        ...

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        """With its listeners and their rules; what is gone already is no error."""
        ...

    def listeners(self, region: str, alb_arn: str) -> Sequence[SeenListener]:
        """Those for HTTP and HTTPS."""
        ...

    def put_listener(self, balancer: LoadBalancer, wanted: PutListener) -> None:
        """Make it, tagged, or correct the one that is there."""
        ...

    def drop_listener(self, balancer: LoadBalancer, arn: str) -> None:
        """What is gone already is no error."""
        ...


class AlbRules(Protocol):
    """Listener rules. All raise CloudError, ThrottledError; NotYetError where somebody took a priority meanwhile."""

    def find(self, region: str, listener_arns: Sequence[str]) -> Sequence[SeenRule]:
        """All but the default ones, of others too; the tags of other stages are those of others."""
        ...

    def create(self, balancer: LoadBalancer, rule: MakeRule) -> None:
        """Make it, tagged."""
        ...

    def change(self, balancer: LoadBalancer, rule: SetRule) -> None:
        """Conditions and action at once."""
        ...

    def move(self, balancer: LoadBalancer, priorities: Sequence[tuple[str, int]]) -> None:
        """By ARN, all at once."""
        ...

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        """What is gone already is no error."""
        ...


class TargetGroups(Protocol):
    """Target groups of a load balancer, by tag. All raise CloudError, ThrottledError."""

    def find(self, balancer: LoadBalancer) -> Sequence[SeenGroup]:
        """Every one, with its targets; those that are being drained are no targets any more."""
        ...

    def create(self, balancer: LoadBalancer, group: WantedGroup | None) -> None:
        """Make it, tagged, without targets; None: the one for a function. Made already is no error."""
        ...

    def probe(self, balancer: LoadBalancer, arn: str, probe: Probe) -> None:
        """Another health check."""
        ...

    def set_multi_value(self, balancer: LoadBalancer, arn: str) -> None:
        """Have the function handed every value of what comes several times, instead of the last."""
        ...

    def register(self, balancer: LoadBalancer, arn: str, targets: Sequence[tuple[str, int | None]]) -> None:
        """Addresses with ports, or the ARN of a function without one."""
        ...

    def deregister(self, balancer: LoadBalancer, arn: str, targets: Sequence[tuple[str, int | None]]) -> None:
        """What is gone already is no error."""
        ...

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        """Gone already is no error. Raises NotYetError while something forwards to it."""
        ...


class WarmUpFunction(Protocol):
    """The Lambda function that answers for what is down. All raise CloudError, ThrottledError."""

    def find(self, region: str) -> SeenFunction | None:
        """None where it is not deployed."""
        ...

    def allow(self, region: str) -> None:
        """Let load balancers call it through target groups of ours; allowed already is no error."""
        ...


class DnsRecords(Protocol):
    """Alias records in Route 53. All raise CloudError, ThrottledError."""

    def find(self, zone_id: str, name: str) -> str | None:
        """Where an A record of this name points to (an address, where it is no alias); None where there is none."""
        ...

    def put(self, zone_id: str, name: str, alb: tuple[str, str], *, over: bool) -> None:
        """An alias to the ALB, by its DNS name and zone. Raises CloudError where one is there, unless `over`."""
        ...

    def delete(self, zone_id: str, name: str, alb: tuple[str, str]) -> None:
        """Only the one to this ALB; any other stays, and one that is gone already is no error."""
        ...


class AlbAccount(Protocol):
    """What exists in the stage's account, one call a question. All raise CloudError, ThrottledError."""

    def certificate(self, arn: str) -> SeenCertificate | None:
        """None where there is none in this account."""
        ...

    def zone(self, zone_id: str) -> SeenZone | None:
        """None where there is none."""
        ...

    def balancer(self, region: str, arn: str) -> SeenAlb | None:
        """None where there is none."""
        ...

    def public_subnets(self, region: str, vpc_id: str, ids: Sequence[str]) -> frozenset[str]:
        """Those of these whose route table leads to an internet gateway."""
        ...

    def quotas(self, region: str) -> Quotas:
        """What one ALB may have."""
        ...


class Resolver(Protocol):
    """DNS as this machine sees it."""

    def addresses(self, name: str) -> frozenset[str]:
        """IPv4 and IPv6; none where the name has none. Raises CloudError where nobody answers."""
        ...
