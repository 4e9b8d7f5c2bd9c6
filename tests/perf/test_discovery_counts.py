"""What a look for tags costs: one call a place and page, whatever the number of rules. Counted, never timed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chalicelib.adapters.aws.system import RandomIds, SystemClock
from chalicelib.adapters.dynamodb.models import ClaimItem, RuleItem
from chalicelib.adapters.dynamodb.rule_items import to_item
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.cloud import FakeCloud
from chalicelib.adapters.memory.proxy_parts import FakeProvisionQueue
from chalicelib.domain.claims import owned_members
from chalicelib.domain.membership import Membership
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus
from chalicelib.usecases.discover import Discover
from scripts.benches.reconcile import REGION, Calls, _account

RULES = 1_000
MEMBERS = 2
INDEX_PAGE_BYTES = 1_000_000
"""What a page of a query holds at most. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html"""


def launch(rules: int) -> tuple[FakeCloud, list[list[str]]]:
    """Two instances for each rule, with its tag. What goes over the wire: tests/unit/aws/test_ec2_tags.py."""
    cloud, made = FakeCloud(VirtualClock()), []
    for n in range(rules):
        made.append([f"i-{n:06}{k}" for k in range(MEMBERS)])
        for id_ in made[-1]:
            cloud.add(id_, tags={"team": f"t{n}"})
    return cloud, made


def store(members: list[list[str]]) -> int:
    """The rules, each with its members, as earlier looks left them; answers how large the index is, in bytes."""
    now = datetime.now(UTC)
    size = 0
    with RuleItem.batch_write() as batch, ClaimItem.batch_write() as claims:
        for n, ids in enumerate(members):
            spec = RuleSpec(f"{n}", timedelta(minutes=15), ResourceKind.EC2, REGION, (), tags=(("team", f"t{n}"),))
            id_ = f"ru_{n:06d}"
            membership = Membership(tuple(ids))
            item = to_item(Rule(id_, spec, RuleStatus(due_at=now), 1, 1, now, now, membership=membership))
            size += len(item.spec) + len(item.membership or "") + 100
            batch.save(item)
            for thing in owned_members(spec, ids):
                claims.save(ClaimItem(thing.key, owner=id_))
    return size


def test_a_thousand_rules_with_two_thousand_instances_cost_one_look_at_aws_and_write_nothing():
    calls = Calls()
    with _account(calls) as (stores, queue, _):
        cloud, members = launch(RULES)
        size = store(members)
        discover = Discover(
            stores.rules,
            stores.memberships,
            {ResourceKind.EC2: cloud},
            stores.events,
            stores.back_offs,
            queue,
            SystemClock(),
            RandomIds(),
            FakeProvisionQueue(SystemClock()),
        )
        calls.counting = True
        report = discover.run()
        assert (report.rules, report.places, report.changed) == (RULES, 1, 0)
        assert cloud.calls == {"tagged": 1}
        assert calls.made["dynamodb", "Query"] <= -(-size // INDEX_PAGE_BYTES)
        assert calls.made["dynamodb", "GetItem"] == 1, "is AWS to be left alone there?"
        assert calls.made.keys() == {("dynamodb", "Query"), ("dynamodb", "GetItem")}

        cloud.instances[ResourceRef(ResourceKind.EC2, REGION, members[7][0])].tags = {}
        calls.made.clear()
        cloud.calls.clear()
        assert discover.run().changed == 1
        calls.counting = False
        assert cloud.calls == {"tagged": 1, "describe": 1}, "is it gone, or only its tag?"
        assert {call: n for call, n in calls.made.items() if call[1] != "Query"} == {
            ("dynamodb", "GetItem"): 1,
            ("dynamodb", "BatchGetItem"): 1,  # the rule that changes
            ("dynamodb", "TransactWriteItems"): 1,
            ("dynamodb", "BatchWriteItem"): 1,  # its event
            ("sqs", "SendMessageBatch"): 1,
        }
