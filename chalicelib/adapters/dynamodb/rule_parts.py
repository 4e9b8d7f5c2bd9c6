"""The parts of the transactions that write a rule: claims, links, and what its proxy polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.models import ClaimItem, ProxyItem, RuleItem, ScheduleItem
from chalicelib.domain.claims import SHARED
from chalicelib.domain.load_balancers import MAX_RULES_PER_PROXY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pynamodb.transactions import TransactWrite

    from chalicelib.domain.claims import Links, OwnedThing
    from chalicelib.domain.rules import Rule


def take(write: TransactWrite, rule_id: str, owns: Sequence[OwnedThing], shares: Sequence[OwnedThing] = ()) -> None:
    """Own these, and share these ports, unless another rule does."""
    ours_alone = ClaimItem.sharers.does_not_exist() | (ClaimItem.sharers == {rule_id})
    for thing in owns:
        free_or_ours = ClaimItem.key.does_not_exist() | (ClaimItem.owner == rule_id)
        shared_by_nobody_else = ClaimItem.owner.is_in(*SHARED) & ours_alone
        write.save(ClaimItem(thing.key, owner=rule_id), condition=free_or_ours | shared_by_nobody_else)
    for thing in shares:
        free_or_shared = ClaimItem.key.does_not_exist() | (ClaimItem.owner == thing.shared_as)
        shared_otherwise_by_nobody_else = ClaimItem.owner.is_in(*SHARED) & ours_alone
        write.update(
            ClaimItem(thing.key),
            actions=[ClaimItem.owner.set(thing.shared_as), ClaimItem.sharers.add({rule_id})],
            condition=free_or_shared | (ClaimItem.owner == rule_id) | shared_otherwise_by_nobody_else,
        )


def give_back(
    write: TransactWrite, rule_id: str, things: Sequence[OwnedThing], shared: Sequence[OwnedThing] = ()
) -> None:
    """Own and share these no more."""
    for thing in things:
        write.delete(ClaimItem(thing.key), condition=ClaimItem.key.does_not_exist() | (ClaimItem.owner == rule_id))
    for thing in shared:
        still_shared = ClaimItem.owner == thing.shared_as
        write.update(ClaimItem(thing.key), actions=[ClaimItem.sharers.delete({rule_id})], condition=still_shared)


def others(things: Sequence[OwnedThing], taken: Sequence[OwnedThing]) -> list[OwnedThing]:
    """Those that the same change does not take in another way: a transaction touches an item once."""
    keys = {thing.key for thing in taken}
    return [thing for thing in things if thing.key not in keys]


def is_free(item: ClaimItem, rule_id: str) -> bool:
    """Whether no other rule shares a port any more."""
    return item.owner in SHARED and not (item.sharers or set()) - {rule_id}


def link(write: TransactWrite, rule_id: str, old: Links, new: Links, graph: Mapping[str, int]) -> None:
    """Tell what the rule refers to that it does, or no longer; hold the rules it was checked on at their versions."""
    for other in old.rules - new.rules:
        write.update(RuleItem(other), actions=[RuleItem.dependents.delete({rule_id})])
    for other in new.rules - old.rules:
        as_checked = RuleItem.version == graph[other]
        write.update(RuleItem(other), actions=[RuleItem.dependents.add({rule_id})], condition=as_checked)
    for other in graph.keys() - (new.rules - old.rules) - (old.rules - new.rules):
        write.condition_check(RuleItem, other, condition=RuleItem.version == graph[other])
    for schedule in old.schedules - new.schedules:
        write.update(ScheduleItem(schedule), actions=[ScheduleItem.rule_ids.delete({rule_id})])
    for schedule in new.schedules - old.schedules:
        there = ScheduleItem.id.exists()
        write.update(ScheduleItem(schedule), actions=[ScheduleItem.rule_ids.add({rule_id})], condition=there)


def publish(write: TransactWrite, rule: Rule, compact: str | None, more: int) -> None:
    """What its proxy polls of it; `more` rules than before are on it."""
    balancer = rule.spec.load_balancer_id
    if balancer is None or compact is None:
        return
    write.save(ProxyItem(balancer, f"rule#{rule.id}", body=compact))
    there_with_room = ProxyItem.load_balancer_id.exists() & (ProxyItem.rules < MAX_RULES_PER_PROXY + 1 - more)
    write.update(
        ProxyItem(balancer, "poll"),
        actions=[ProxyItem.rules_version.add(1), ProxyItem.rules.add(more)],
        condition=there_with_room,
    )


def withdraw(write: TransactWrite, stored: Rule) -> None:
    """Its proxy polls nothing of it any more."""
    balancer = stored.spec.load_balancer_id
    if balancer is None:
        return
    write.delete(ProxyItem(balancer, f"rule#{stored.id}"))
    write.delete(ProxyItem(balancer, f"state#{stored.id}"))
    write.update(
        ProxyItem(balancer, "poll"),
        actions=[ProxyItem.rules_version.add(1), ProxyItem.states_version.add(1), ProxyItem.rules.add(-1)],
    )
