"""The steps of making a proxy's VM and of taking it away, each done once and safe to be done again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.access import ApiKey, Role, hash_secret
from chalicelib.domain.errors import InvalidInputError, LostClaimError, NotFoundError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.provisioning import (
    Allocate,
    Associate,
    ClosePorts,
    DropRole,
    DropSecret,
    EndKey,
    Launch,
    MakeKey,
    OpenPorts,
    ProveCertificates,
    PutRole,
    Release,
    SetGroups,
    Terminate,
)

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision
    from chalicelib.domain.provisioning import Act
    from chalicelib.ports import (
        ApiKeyRepository,
        BootScript,
        Clock,
        EventLog,
        Ids,
        OpenedRules,
        ProxyAddresses,
        ProxyMachines,
        ProxyRoles,
        ProxySecrets,
    )


@dataclass(slots=True)
class ProxyActs:
    """Asks AWS; whether it happened is seen by the next look."""

    machines: ProxyMachines
    addresses: ProxyAddresses
    opened: OpenedRules
    roles: ProxyRoles
    secrets: ProxySecrets
    keys: ApiKeyRepository
    script: BootScript
    events: EventLog
    clock: Clock
    ids: Ids

    def do(self, balancer: LoadBalancer, step: Act) -> Provision:
        """Do it, and answer how far it is then.

        Raises CloudError, ThrottledError, NoRoomError; InvalidInputError where the certificates cannot be served.
        """
        made = balancer.provision
        if made is None:
            raise LostClaimError(f"{balancer.id} is no longer ours to make.")
        match step:
            case MakeKey():
                return self._make_key(balancer, made)
            case EndKey(key_id):
                self._end_key(key_id)
                return replace(made, retired=tuple(key for key in made.retired if key.id != key_id))
            case PutRole():
                self.roles.put(balancer)
            case ProveCertificates():
                if faults := self.roles.prove(balancer):
                    raise InvalidInputError(faults)
                return replace(made, proven=balancer.certificates)
            case Launch(subnet_id, token):
                profile, script = self.roles.name(balancer), self.script(balancer)
                machine = self.machines.launch(balancer, subnet_id, token, profile, script)
                return replace(made, instance_id=machine, launched_at=self.clock.now())
            case _:
                self._small(balancer, step)
        return made

    def _small(self, balancer: LoadBalancer, step: Act) -> None:
        match step:
            case Terminate(instance_id):
                self.machines.terminate(balancer, instance_id)
            case SetGroups(instance_id):
                self.machines.set_groups(balancer, instance_id)
            case Allocate():
                self.addresses.allocate(balancer)
            case Associate(allocation_id, instance_id):
                self.addresses.associate(balancer, allocation_id, instance_id)
            case Release(allocation_id):
                self.addresses.release(balancer, allocation_id)
            case OpenPorts(rule):
                self.opened.open(balancer, rule)
            case ClosePorts(rule):
                self.opened.close(balancer, rule)
            case DropRole():
                self.roles.delete(balancer)
            case DropSecret(arn):
                self.secrets.delete(balancer, arn)
            case _:
                raise AssertionError(f"{step} is no small step")

    def _make_key(self, balancer: LoadBalancer, made: Provision) -> Provision:
        """The secret first: a key that no secret holds would be one that nobody could ever use, or find."""
        now, secret = self.clock.now(), self.ids.secret()
        expires = None if balancer.api_key_days is None else now + timedelta(days=balancer.api_key_days)
        name = f"proxy {balancer.name}"[:100]
        key = ApiKey(self.ids.new("ak"), hash_secret(secret), Role.PROXY, name, now, expires, balancer.id)
        token = f"{key.id}_{secret}"
        there = self.secrets.find(balancer)
        if there is None:
            self.secrets.create(balancer, token, key.id)
        else:
            self.secrets.renew(balancer, there.arn, token, key.id)
        self.keys.create(key)
        self._tell(key.id, EventKind.KEY_CREATED, f"Key {key.id} of role proxy was created for {balancer.id}.")
        return replace(made, renew_key=False)

    def _end_key(self, key_id: str) -> None:
        try:
            self.keys.delete(key_id)
        except NotFoundError:
            return
        self._tell(key_id, EventKind.KEY_DELETED, f"Key {key_id} of role proxy was deleted.")

    def _tell(self, key_id: str, kind: EventKind, words: str) -> None:
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, key_id, "autostop", words)])
