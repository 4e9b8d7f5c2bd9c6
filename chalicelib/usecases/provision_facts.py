"""What stands in the account of one load balancer that AutoStop makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.compact import listen_ports
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.network_checks import missing_rules
from chalicelib.domain.provision import Phase
from chalicelib.domain.provisioning import Standing
from chalicelib.domain.provisioning_steps import noticed
from chalicelib.usecases.read_network import read_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network_checks import MissingRule
    from chalicelib.domain.provision import Provision
    from chalicelib.domain.provisioning import KeySecret, OpenedRule
    from chalicelib.ports import (
        ApiKeyRepository,
        Clock,
        Network,
        OpenedRules,
        ProxyAddresses,
        ProxyMachines,
        ProxyRoles,
        ProxySecrets,
        ProxyStore,
    )


@dataclass(slots=True)
class ProxyFacts:
    """Reads all of it anew each time: about eight calls, some ten times in the life of a proxy."""

    machines: ProxyMachines
    addresses: ProxyAddresses
    opened: OpenedRules
    roles: ProxyRoles
    secrets: ProxySecrets
    network: Network
    proxies: ProxyStore
    keys: ApiKeyRepository
    clock: Clock

    def of(self, balancer: LoadBalancer) -> Standing:
        """Raises CloudError, ThrottledError: a part that could not be looked at is not a part that is not there."""
        made = balancer.provision
        secret = self.secrets.find(balancer)
        opened = self.opened.find(balancer)
        removing = made is not None and made.phase is Phase.DELETING
        return Standing(
            secret,
            self._keys(made, secret),
            self.roles.state(balancer),
            tuple(self.machines.find(balancer)),
            tuple(self.addresses.find(balancer)),
            tuple(opened),
            () if removing or not balancer.open_ports else self._missing(balancer, opened),
            made is not None and not removing and self._applied(balancer.id, made.instance_id),
        )

    def noticed(self, made: Provision, standing: Standing) -> Provision:
        """What is to be kept of it."""
        return noticed(made, standing, self.clock.now())

    def _keys(self, made: Provision | None, secret: KeySecret | None) -> frozenset[str]:
        known = {secret.key_id if secret else None}
        if made is not None:
            known |= {made.key_id, *(key.id for key in made.retired)}
        return frozenset(key_id for key_id in known if key_id and self._exists(key_id))

    def _exists(self, key_id: str) -> bool:
        try:
            self.keys.get(key_id)
        except NotFoundError:
            return False
        return True

    def _missing(self, balancer: LoadBalancer, opened: Sequence[OpenedRule]) -> tuple[MissingRule, ...]:
        facts = read_groups(self.network, balancer)
        if not isinstance(facts.groups, dict):
            return ()
        ours = {(rule.group_id, rule.first, rule.last, rule.source) for rule in opened}
        without = {
            id_: replace(
                group,
                ingress=tuple(
                    rule
                    for rule in group.ingress
                    if rule.ports is None
                    or not all((id_, *rule.ports, source) in ours for source in rule.sources or (None,))
                ),
            )
            for id_, group in facts.groups.items()
        }
        ports = listen_ports(self.proxies.rules(balancer.id))
        return missing_rules(balancer, ports, replace(facts, groups=without))

    def _applied(self, load_balancer_id: str, instance_id: str | None) -> bool:
        return any(
            source.name == instance_id and source.config_at is not None
            for source in self.proxies.sources(load_balancer_id)
        )
