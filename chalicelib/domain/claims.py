"""What a rule owns alone: hosts, listen ports, resources. Two rules can never own the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.resources import CLUSTER, ResourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import RuleSpec

MAX_CLAIMS = 90
"""Claims a rule, by what people name: one DynamoDB transaction takes 100 actions, and the rule itself needs a few."""

SHARED_HTTP = "http"
SHARED_HTTPS = "https"
SHARED = frozenset({SHARED_HTTP, SHARED_HTTPS})
"""The owners of HTTP listen ports: many rules share one, all with TLS or all without; no TCP route may take it."""


TOO_MANY = f"Hosts, listen ports, resources, schedules and dependencies together are {{}}; at most {MAX_CLAIMS} a rule."

MOVED_MEANWHILE = "Resources joined or left the rule meanwhile; try again."

CHANGED_MEANWHILE = "A rule or a schedule that it refers to was changed or deleted meanwhile; try again."


@dataclass(frozen=True, slots=True)
class Links:
    """What a rule refers to: the rules it depends on, and its schedules. They learn of it in the same transaction."""

    rules: frozenset[str] = frozenset()
    schedules: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.rules) + len(self.schedules)


def links(spec: RuleSpec | None) -> Links:
    """The links of a rule with this spec; none without."""
    if spec is None:
        return Links()
    return Links(frozenset(need.rule_id for need in spec.depends_on), frozenset(spec.schedule_ids))


@dataclass(frozen=True, slots=True, order=True)
class OwnedThing:
    """A thing that one rule owns. `key` identifies it, `words` name it to a person.

    `shared_as` is one of SHARED where rules own it together.
    """

    key: str
    words: str
    shared_as: str = ""


def resource_key(ref: ResourceRef) -> str:
    """What a resource is claimed under.

    An instance id is unique over all accounts, so that whoever reaches one by two ways still has one claim on it.
    """
    where = "" if ref.kind is ResourceKind.EC2 else ref.connector.account
    return "#".join(["resource", ref.kind, *([where] if where else []), ref.region, ref.id])


def owned(spec: RuleSpec) -> tuple[OwnedThing, ...]:
    """Everything a rule with this spec owns alone."""
    balancer = spec.load_balancer_id
    things = set(owned_members(spec, spec.resource_ids))
    for route in spec.http:
        for host in route.hosts:
            for path in route.paths:
                things.add(
                    OwnedThing(f"host#{balancer}#{route.listen_port}#{host.lower()}{path}", f"host {host}{path}")
                )
    for tcp in spec.tcp:
        if tcp.listen_port is not None:
            things.add(OwnedThing(f"port#{balancer}#{tcp.listen_port}", f"listen port {tcp.listen_port}"))
    return tuple(sorted(things))


def owned_members(spec: RuleSpec, ids: Iterable[str]) -> tuple[OwnedThing, ...]:
    """What a rule with this spec owns through these of its members."""
    return tuple(OwnedThing(resource_key(spec.ref(id_)), _words(id_)) for id_ in sorted(ids))


def _words(id_: str) -> str:
    return f"DB cluster {id_.removeprefix(CLUSTER)}" if id_.startswith(CLUSTER) else f"instance {id_}"


def shared_ports(spec: RuleSpec) -> tuple[OwnedThing, ...]:
    """The HTTP listen ports of a rule, which other HTTP rules may use too."""
    return tuple(
        OwnedThing(f"port#{spec.load_balancer_id}#{port}", f"listen port {port}", protocol)
        for port, protocol in sorted({(route.listen_port, route.listen_protocol) for route in spec.http})
    )
