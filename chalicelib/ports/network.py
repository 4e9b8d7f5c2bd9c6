"""The network of the account: what a load balancer stands in, and what a proxy is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.network import SecurityGroup, Subnet, Vpc


class Network(Protocol):
    """What exists in the stage's own account, one call a question. All raise CloudError, ThrottledError."""

    def vpc(self, region: str, vpc_id: str) -> Vpc | None:
        """None where there is none."""
        ...

    def subnets(self, region: str, ids: Sequence[str]) -> dict[str, Subnet]:
        """Up to 200; those that do not exist are left out. Nothing asked costs no call."""
        ...

    def security_groups(self, region: str, ids: Sequence[str]) -> dict[str, SecurityGroup]:
        """Up to 200, with what they let in; those that do not exist are left out. Nothing asked costs no call."""
        ...

    def zones_offering(self, region: str, machine_type: str) -> frozenset[str]:
        """The zones where this instance type can be had; none for a type that does not exist."""
        ...

    def architectures(self, region: str, machine_type: str) -> frozenset[str]:
        """What processors this instance type has, such as x86_64; none for a type that does not exist there."""
        ...

    def has_key_pair(self, region: str, name: str) -> bool:
        """Whether there is one of exactly this name."""
        ...

    def has_secret(self, arn: str) -> bool:
        """Whether Secrets Manager has it and is not about to delete it. Its value is never read."""
        ...
