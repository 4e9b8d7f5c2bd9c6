"""Resources of other accounts, through the role that a connector names. moto has one EC2 for each account."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from moto.ec2.models import ec2_backends
from moto.sts.models import sts_backends

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.cloudwatch import CloudWatchMetrics
from chalicelib.adapters.aws.ec2 import Ec2Compute
from chalicelib.adapters.aws.ssm import SsmSessions
from chalicelib.adapters.memory.clock import START
from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.resources import OWN_ACCOUNT, Connector, ResourceKind, ResourceRef, ResourceState
from chalicelib.ports import Series
from tests.contract.conftest_aws import REGION, fresh_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = "210987654321"
THEIRS = Connector(f"arn:aws:iam::{OTHER}:role/autostop-access", "an external id")


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with fresh_aws():
        yield


def assumed() -> list[Any]:
    return list(sts_backends[OTHER]["aws"].assumed_roles)


def run_instance(connector: Connector) -> ResourceRef:
    account = connector.account or "123456789012"
    image = next(iter(ec2_backends[account][REGION].amis))
    wanted = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    made = client("ec2", REGION, connector).run_instances(**wanted)
    return ResourceRef(ResourceKind.EC2, REGION, made["Instances"][0]["InstanceId"], connector)


def test_what_is_in_another_account_is_seen_started_and_stopped_there():
    ours, theirs, compute = run_instance(OWN_ACCOUNT), run_instance(THEIRS), Ec2Compute()
    seen = compute.describe([ours, theirs])
    assert {ref: resource.state for ref, resource in seen.items()} == {
        ours: ResourceState.RUNNING,
        theirs: ResourceState.RUNNING,
    }
    assert [outcome.accepted for outcome in compute.stop([theirs])] == [True]
    assert compute.describe([theirs])[theirs].state is ResourceState.STOPPED
    assert compute.describe([ours])[ours].state is ResourceState.RUNNING
    assert compute.protections([theirs])[theirs].protections == ()
    assert [outcome.accepted for outcome in compute.start([theirs])] == [True]


def test_an_instance_is_not_found_in_an_account_that_it_is_not_in():
    theirs = run_instance(THEIRS)
    here = ResourceRef(ResourceKind.EC2, REGION, theirs.id)
    assert Ec2Compute().describe([here])[here].state is ResourceState.GONE


def test_the_role_is_assumed_once_with_the_external_id_and_only_when_it_is_needed():
    ec2 = client("ec2", REGION, THEIRS)
    assert assumed() == []
    ec2.describe_instances()
    ec2.describe_instances()
    client("cloudwatch", REGION, THEIRS).list_metrics()
    [role] = assumed()
    assert role.arn.startswith(f"arn:aws:sts::{OTHER}:assumed-role/autostop-access/")
    assert role.external_id == "an external id"
    assert role.session_name == "autostop"


def test_guards_are_read_where_the_instance_is(wire):
    ours, theirs = (ResourceRef(ResourceKind.EC2, REGION, "i-00000001", c) for c in (OWN_ACCOUNT, THEIRS))
    wire.tap("ssm", connector=THEIRS)
    wire.on["DescribeSessions"] = lambda _: {"Sessions": [{"Target": "i-00000001"}]}
    assert SsmSessions().open([theirs]) == {theirs: 1}
    wire.tap("cloudwatch", connector=THEIRS)
    points = {"Id": "m0", "StatusCode": "Complete", "Timestamps": [START], "Values": [7.0]}
    wire.on["GetMetricData"] = lambda _: {"MetricDataResults": [points]}
    both = [Series(ref, GuardMetric.CPU) for ref in (ours, theirs)]
    read = CloudWatchMetrics().read(both, START, START + timedelta(minutes=10))
    assert {series.ref: len(samples) for series, samples in read.items()} == {ours: 0, theirs: 1}
