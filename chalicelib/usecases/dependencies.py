"""The order of dependencies: walked before a rule is stored, so that a cycle is refused with its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.rules import Rule, RuleSpec
    from chalicelib.ports import RuleRepository

MOST = 50
"""Rules below one rule, all levels together: one transaction holds each of them at the version that was looked up."""


def graph_below(
    rules: RuleRepository, rule_id: str | None, spec: RuleSpec
) -> tuple[Mapping[str, int], tuple[Fault, ...]]:
    """Every rule that this one needs, also through others, with its version: what the transaction is to hold.

    And what is wrong with it: each dependency that does not exist, and each that leads back to the rule, with the
    path. `rule_id` is None for a rule that is not stored yet, which nothing can need.
    """
    found: dict[str, Rule] = {}
    missing: set[str] = set()
    wanted = {need.rule_id for need in spec.depends_on}
    while wanted:
        read = rules.get_many(sorted(wanted))
        missing |= wanted - read.keys()
        found |= read
        if len(found) > MOST:
            return {}, (Fault("depends_on", f"needs more than {MOST} rules, all levels together"),)
        below = {need.rule_id for rule in read.values() for need in rule.spec.depends_on}
        wanted = below - found.keys() - missing - {rule_id}
    faults = []
    for n, need in enumerate(spec.depends_on):
        field = f"depends_on[{n}].rule_id"
        if need.rule_id in missing:
            faults.append(Fault(field, f"There is no rule {need.rule_id}."))
        elif rule_id is not None and (path := _path(need.rule_id, rule_id, found)):
            faults.append(Fault(field, f"makes a cycle: {' → '.join((rule_id, *path))}"))
    return {id_: rule.version for id_, rule in found.items() if id_ != rule_id}, tuple(faults)


def _path(start: str, end: str, found: Mapping[str, Rule]) -> tuple[str, ...]:
    """The rules from `start` to `end`, both included; empty where no way leads there."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for way in ways:
        if way[-1] == end:
            return way
        rule = found.get(way[-1])
        for need in rule.spec.depends_on if rule else ():
            if need.rule_id not in seen:
                seen.add(need.rule_id)
                ways.append((*way, need.rule_id))
    return ()
