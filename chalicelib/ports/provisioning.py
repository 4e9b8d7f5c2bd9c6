"""What the VM of a proxy is made of in AWS, and how far its making is. Only the `provision` function uses these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from chalicelib.domain.errors import Fault
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network_checks import MissingRule
    from chalicelib.domain.provision import Provision
    from chalicelib.domain.provisioning import Address, KeySecret, Machine, OpenedRule, RoleState


class Provisions(Protocol):
    """How far the making of load balancers is, kept beside each of them without touching its version."""

    def put(self, balancer: LoadBalancer, provision: Provision) -> LoadBalancer:
        """Store it in place of `balancer.provision`, at the revision after that one.

        Raises LostClaimError where that is no longer the stored one, NotFoundError.
        """
        ...

    def begin_removal(self, balancer: LoadBalancer, provision: Provision) -> LoadBalancer:
        """Store it, and let nobody put a rule on the load balancer or poll it any more.

        Raises ConflictError while a rule is on it, VersionMismatchError, LostClaimError, NotFoundError.
        """
        ...

    def end_removal(self, balancer: LoadBalancer) -> None:
        """Nothing is left of it. Raises LostClaimError, NotFoundError."""
        ...


class ProvisionQueue(Protocol):
    """The queue in front of the `provision` function."""

    def send(self, load_balancer_id: str, delay: timedelta | None = None, *, at_once: bool = False) -> None:
        """Have it looked at, once or more, not before `delay` (at most 15 minutes). Raises CloudError.

        `at_once`: whenever it was to be looked at next.
        """
        ...


class ProxyMachines(Protocol):
    """VMs in EC2, by the tag that has the load balancer's id. All raise CloudError, ThrottledError."""

    def find(self, balancer: LoadBalancer) -> Sequence[Machine]:
        """Every VM of it, those too that were terminated lately."""
        ...

    def launch(self, balancer: LoadBalancer, subnet_id: str, token: str, profile: str, user_data: str) -> str:
        """Launch one from the newest Amazon Linux 2023 image and answer its id; with the same token, the same.

        IMDSv2 only, all of it tagged, its volume encrypted where the load balancer says so. Raises NoRoomError where
        another subnet may have room, NotYetError while EC2 does not know the profile.
        """
        ...

    def set_groups(self, balancer: LoadBalancer, instance_id: str) -> None:
        """Put it in just the load balancer's security groups."""
        ...

    def terminate(self, balancer: LoadBalancer, instance_id: str) -> None:
        """For good; what is gone already is no error."""
        ...


class ProxyAddresses(Protocol):
    """Elastic IPs, by tag. All raise CloudError, ThrottledError."""

    def find(self, balancer: LoadBalancer) -> Sequence[Address]:
        """Every one of it."""
        ...

    def allocate(self, balancer: LoadBalancer) -> None:
        """Another one."""
        ...

    def associate(self, balancer: LoadBalancer, allocation_id: str, instance_id: str) -> None:
        """From wherever it is, to this machine."""
        ...

    def release(self, balancer: LoadBalancer, allocation_id: str) -> None:
        """Take it off its machine and give it back; what is gone already is no error."""
        ...


class OpenedRules(Protocol):
    """Inbound rules that we added to groups of the user's, by tag. All raise CloudError, ThrottledError."""

    def find(self, balancer: LoadBalancer) -> Sequence[OpenedRule]:
        """Every one, in whatever group."""
        ...

    def open(self, balancer: LoadBalancer, rule: MissingRule) -> None:
        """Add it; where somebody just added the same, that is no error (and theirs)."""
        ...

    def close(self, balancer: LoadBalancer, rule: OpenedRule) -> None:
        """Take it away; what is gone already is no error."""
        ...


class ProxyRoles(Protocol):
    """The role and the instance profile of a proxy's VM, both named after it. All raise CloudError, ThrottledError."""

    def state(self, balancer: LoadBalancer) -> RoleState:
        """Whether they are there, and let the VM do just what it must."""
        ...

    def put(self, balancer: LoadBalancer) -> str:
        """Make of them what is missing or different, and answer the profile's name. Under our permissions boundary."""
        ...

    def name(self, balancer: LoadBalancer) -> str:
        """The name of both."""
        ...

    def delete(self, balancer: LoadBalancer) -> None:
        """Both; what is gone already is no error."""
        ...

    def prove(self, balancer: LoadBalancer) -> tuple[Fault, ...]:
        """What is wrong with its certificates, read with the VM's own rights: not readable, no PEM, no pair, expired.

        Raises NotYetError while IAM does not know the role everywhere.
        """
        ...


class ProxySecrets(Protocol):
    """The secret with the proxy's key, named after it. All raise CloudError, ThrottledError."""

    def find(self, balancer: LoadBalancer) -> KeySecret | None:
        """None where there is none, or it is being deleted."""
        ...

    def create(self, balancer: LoadBalancer, token: str, key_id: str) -> str:
        """Make it with a key in it, and answer its ARN."""
        ...

    def renew(self, balancer: LoadBalancer, arn: str, token: str, key_id: str) -> None:
        """Another key in it: a new version."""
        ...

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        """At once, without a way back; what is gone already is no error."""
        ...


class BootScript(Protocol):
    """The user data of a proxy's VM."""

    def __call__(self, balancer: LoadBalancer) -> str:
        """A shell script without a secret in it, at most 16 KB."""
        ...
