"""What a look for tags costs: one describe a place and page, whatever the number of rules. Counted, never timed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from moto.ec2.models import ec2_backends

from chalicelib.adapters.aws.ec2 import PAGE, Ec2Compute
from chalicelib.adapters.aws.system import RandomIds, SystemClock
from chalicelib.adapters.dynamodb.models import ClaimItem, RuleItem
from chalicelib.adapters.dynamodb.rule_items import to_item
from chalicelib.domain.claims import owned_members
from chalicelib.domain.membership import Membership
from chalicelib.domain.resources import ResourceKind
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus
from chalicelib.usecases.discover import Discover
from scripts.benches.reconcile import REGION, Calls, _account
from tests.contract.conftest_aws import ACCOUNT

RULES = 1_000
MEMBERS = 2
INDEX_PAGE_BYTES = 1_000_000
"""What a page of a query holds at most. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html"""


def launch(rules: int) -> list[list[str]]:
    """Two instances for each rule, with its tag."""
    ec2: Any = boto3.client("ec2", region_name=REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    count = rules * MEMBERS
    launched = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=count, MaxCount=count)["Instances"]
    ids = sorted(instance["InstanceId"] for instance in launched)
    made = [ids[start : start + MEMBERS] for start in range(0, count, MEMBERS)]
    for n, mine in enumerate(made):
        ec2_backends[ACCOUNT][REGION].create_tags(mine, {"team": f"t{n}"})
    return made


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


def test_a_thousand_rules_with_two_thousand_instances_cost_one_paginated_describe_and_write_nothing():
    calls = Calls()
    with _account(calls) as (stores, queue, _):
        members = launch(RULES)
        size = store(members)
        discover = Discover(
            stores.rules,
            stores.memberships,
            {ResourceKind.EC2: Ec2Compute()},
            stores.events,
            stores.back_offs,
            queue,
            SystemClock(),
            RandomIds(),
        )
        calls.counting = True
        report = discover.run()
        calls.counting = False
        made = dict(calls.made)
        assert (report.rules, report.places, report.changed) == (RULES, 1, 0)
        pages = -(-RULES * MEMBERS // PAGE)
        assert made.pop(("ec2", "DescribeInstances")) <= pages  # moto counts reservations, AWS instances
        assert made.pop(("ec2", "DescribeInstanceTypes")) == 1  # once in the life of a process
        assert made.pop(("dynamodb", "Query")) <= -(-size // INDEX_PAGE_BYTES) + 1
        assert made.pop(("dynamodb", "GetItem")) == 1  # is AWS to be left alone there?
        assert made == {}

        boto3.client("ec2", region_name=REGION).delete_tags(Resources=members[7][:1], Tags=[{"Key": "team"}])
        calls.made.clear()
        calls.counting = True
        assert discover.run().changed == 1
        calls.counting = False
        made = dict(calls.made)
        assert made["dynamodb", "TransactWriteItems"] == 1
        assert made["dynamodb", "BatchGetItem"] == 1
        assert made["dynamodb", "BatchWriteItem"] == 1  # its event
        assert made["sqs", "SendMessageBatch"] == 1
        assert made["ec2", "DescribeInstances"] <= pages + 1  # is it gone, or only its tag?
