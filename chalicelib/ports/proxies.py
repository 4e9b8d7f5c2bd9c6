"""Load balancers, and what their proxies poll and prove."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.activity import Heartbeat, Progress, Source
    from chalicelib.domain.certificates import MemberSecrets
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.members import MemberAgent
    from chalicelib.ports.basics import Idempotency, Page


@dataclass(frozen=True, slots=True)
class PollState:
    """What a poll compares: the versions of the two parts, and from when each member must send again.

    `keys` are the API keys that are bound to the load balancer, by id and without their names.
    """

    rules_version: int
    states_version: int
    resend_from: Mapping[str, datetime] = field(default_factory=dict)
    keys: Mapping[str, ApiKey] = field(default_factory=dict)


class ProxyStore(Protocol):
    """What the proxies of one load balancer poll, and what they have proved."""

    def poll(self, load_balancer_id: str) -> PollState:
        """One consistent item read. Raises NotFoundError."""
        ...

    def rules(self, load_balancer_id: str) -> Sequence[str]:
        """The compact rules as JSON texts, at least as new as the last `poll`."""
        ...

    def states(self, load_balancer_id: str, now: datetime) -> Sequence[str]:
        """The compact states as JSON texts, those expired at `now` left out."""
        ...

    def put_state(self, load_balancer_id: str, rule_id: str, state: str | None, until: datetime | None) -> int:
        """Set (or with None take away) a rule's state; answers the states version that carries it.

        `until` None: until it is set again. If it is stored so already, writes nothing and answers the current version.
        """
        ...

    def sources(self, load_balancer_id: str) -> Sequence[Source]:
        """Every member known, with its proven span and the configuration it runs."""
        ...

    def beat(self, load_balancer_id: str, beat: Heartbeat, received_at: datetime, max_silence: timedelta) -> Progress:
        """Advance a member's span (`domain.activity.advance`) under a conditional write; keep its `resend_from` right.

        Raises NotFoundError for a load balancer that does not exist.
        """
        ...

    def applied(self, load_balancer_id: str, member: str, states_version: int, at: datetime) -> None:
        """A member runs this version of the states since (at the latest) `at`; never moves back to an older one."""
        ...


class SecretReports(Protocol):
    """What the proxies of load balancers say of their certificates; the last word of each member."""

    def put(self, load_balancer_id: str, report: MemberSecrets) -> None:
        """In place of what the member said before. Raises NotFoundError."""
        ...

    def of(self, load_balancer_id: str) -> Sequence[MemberSecrets]:
        """Every member's, in no order; none for a load balancer that does not exist."""
        ...


class AgentReports(Protocol):
    """Which agents the proxies of load balancers run; the last word of each member."""

    def put(self, load_balancer_id: str, report: MemberAgent) -> None:
        """In place of what the member said before. Raises NotFoundError."""
        ...

    def of(self, load_balancer_id: str) -> Sequence[MemberAgent]:
        """Every member's, in no order; none for a load balancer that does not exist."""
        ...


class LoadBalancerRepository(Protocol):
    """Load balancers as people see and change them."""

    def create(self, balancer: LoadBalancer, idempotency: Idempotency | None = None) -> LoadBalancer:
        """Store it, with an empty poll state. Raises ConflictError (idempotency key reused for another body)."""
        ...

    def get(self, load_balancer_id: str) -> LoadBalancer:
        """Raises NotFoundError."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[LoadBalancer]:
        """Every load balancer, in no order."""
        ...

    def replace(self, before: LoadBalancer, after: LoadBalancer) -> LoadBalancer:
        """Where what goes beside its rules changes, so does what its proxies poll.

        Raises VersionMismatchError, NotFoundError.
        """
        ...

    def delete(self, balancer: LoadBalancer) -> None:
        """Raises ConflictError while a rule is on it, VersionMismatchError, NotFoundError."""
        ...
