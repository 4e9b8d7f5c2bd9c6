from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chalicelib.adapters.aws.clients import client, forget
from chalicelib.adapters.aws.ec2 import Ec2Compute
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.resources import Protection, ResourceKind, ResourceRef, ResourceState
from tests.contract.conftest_aws import make_ec2_compute
from tests.unit.aws.conftest import Wire, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable


def ref(id_: str, region: str = "us-east-1") -> ResourceRef:
    return ResourceRef(ResourceKind.EC2, region, id_)


def instance(id_: str, state: str = "running", **more: Any) -> dict[str, Any]:
    return {"InstanceId": id_, "State": {"Name": state}, "InstanceType": "t3.micro"} | more


def serve(wire: Wire, instances: Iterable[dict[str, Any]], storage: Iterable[str] = ()) -> Ec2Compute:
    by_id = {i["InstanceId"]: i for i in instances}

    def describe(params: dict[str, Any]) -> dict[str, Any]:
        assert "InstanceIds" not in params, "one unknown id would fail the whole call"
        ids = params["Filters"][0]["Values"]
        assert len(ids) <= 200
        return {"Reservations": [{"Instances": [by_id[id_]]} for id_ in ids if id_ in by_id]}

    wire.on["DescribeInstances"] = describe
    wire.on["DescribeInstanceTypes"] = lambda params: {
        "InstanceTypes": [
            {"InstanceType": t, "InstanceStorageSupported": t in storage} for t in params["InstanceTypes"]
        ]
    }
    wire.tap("ec2")
    return Ec2Compute()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("pending", ResourceState.PENDING),
        ("running", ResourceState.RUNNING),
        ("stopping", ResourceState.STOPPING),
        ("stopped", ResourceState.STOPPED),
        ("shutting-down", ResourceState.GONE),
        ("terminated", ResourceState.GONE),
        ("a state of next year", ResourceState.PENDING),
    ],
)
def test_states(wire: Wire, name: str, state: ResourceState) -> None:
    compute = serve(wire, [instance("i-1", name)])
    assert compute.describe([ref("i-1")])[ref("i-1")].state is state


def test_what_a_person_reads(wire: Wire) -> None:
    failed = instance(
        "i-1",
        "stopped",
        StateReason={"Code": "Client.InternalError", "Message": "Client error on launch"},
        StateTransitionReason="Server",
        Tags=[{"Key": "Name", "Value": "web"}],
        PrivateIpAddress="10.0.0.7",
    )
    by_user = instance(
        "i-2", "stopped", StateReason={"Code": "", "Message": ""}, StateTransitionReason="User initiated"
    )
    found = serve(wire, [failed, by_user]).describe([ref("i-1"), ref("i-2")])
    assert found[ref("i-1")].state_reason == "Client.InternalError: Client error on launch"
    assert (found[ref("i-1")].name, found[ref("i-1")].private_ip) == ("web", "10.0.0.7")
    assert found[ref("i-2")].state_reason == "User initiated"


def test_what_aws_charges_for_while_it_runs(wire: Wire) -> None:
    odd = instance(
        "i-2",
        PlatformDetails="Windows",
        Placement={"Tenancy": "dedicated"},
        InstanceLifecycle="spot",
        SpotInstanceRequestId="sir-1",
    )
    wire.on["DescribeSpotInstanceRequests"] = lambda _: {"SpotInstanceRequests": []}
    found = serve(wire, [instance("i-1"), odd]).describe([ref("i-1"), ref("i-2"), ref("i-3")])
    assert found[ref("i-1")].product == Ec2Product("us-east-1", "t3.micro", "Linux/UNIX", "default", spot=False)
    assert found[ref("i-2")].product == Ec2Product("us-east-1", "t3.micro", "Windows", "dedicated", spot=True)
    assert found[ref("i-3")].product is None


def test_400_instances_are_two_describes_and_unknown_ones_are_gone(wire: Wire) -> None:
    compute = serve(wire, [instance(f"i-{n}") for n in range(399)])
    refs = [ref(f"i-{n}") for n in range(400)]
    found = compute.describe([*refs, *refs])
    assert set(found) == set(refs)
    assert found[ref("i-399")].state is ResourceState.GONE
    assert wire.count == {"DescribeInstances": 2, "DescribeInstanceTypes": 1}
    compute.describe(refs)
    assert wire.count == {"DescribeInstances": 4, "DescribeInstanceTypes": 1}


def test_no_refs_no_call(wire: Wire) -> None:
    compute = serve(wire, [])
    assert compute.describe([]) == {}
    assert list(compute.start([])) == []
    assert not wire.calls


def test_status_checks_of_running_instances_100_a_call(wire: Wire) -> None:
    running = [instance(f"i-{n}") for n in range(150)]
    compute = serve(wire, [*running, instance("i-stopped", "stopped")])

    def statuses(params: dict[str, Any]) -> dict[str, Any]:
        assert len(params["InstanceIds"]) <= 100
        assert "i-stopped" not in params["InstanceIds"]
        return {
            "InstanceStatuses": [
                {
                    "InstanceId": id_,
                    "InstanceStatus": {"Status": "initializing" if id_ == "i-7" else "ok"},
                    "SystemStatus": {"Status": "ok"},
                }
                for id_ in params["InstanceIds"]
                if id_ != "i-8"
            ]
        }

    wire.on["DescribeInstanceStatus"] = statuses
    refs = [ref(i["InstanceId"]) for i in running] + [ref("i-stopped")]
    found = compute.describe(refs, status_checks=True)
    assert [found[ref(f"i-{n}")].status_ok for n in (6, 7, 8)] == [True, False, False]
    assert found[ref("i-stopped")].status_ok is None
    assert wire.count["DescribeInstanceStatus"] == 2
    assert compute.describe(refs[:1])[refs[0]].status_ok is None


@pytest.mark.parametrize(
    ("more", "protection"),
    [
        ({"Tags": [{"Key": "aws:autoscaling:groupName", "Value": "g"}]}, Protection.AUTO_SCALING),
        ({"Tags": [{"Key": "autostop:proxy", "Value": "lb_1"}]}, Protection.PROXY),
        ({"RootDeviceType": "instance-store"}, Protection.INSTANCE_STORE_ROOT),
        ({"InstanceType": "m5d.large"}, Protection.DATA_LOSS),
        ({"InstanceLifecycle": "spot"}, Protection.SPOT),
        ({"InstanceLifecycle": "spot", "SpotInstanceRequestId": "sir-once"}, Protection.SPOT),
        ({"InstanceLifecycle": "spot", "SpotInstanceRequestId": "sir-unknown"}, Protection.SPOT),
        ({"InstanceLifecycle": "spot", "SpotInstanceRequestId": "sir-persistent"}, None),
        ({"RootDeviceType": "ebs", "InstanceLifecycle": "scheduled"}, None),
    ],
)
def test_what_is_never_stopped(wire: Wire, more: dict[str, Any], protection: Protection | None) -> None:
    compute = serve(wire, [instance("i-1", **more)], storage=["m5d.large"])
    kinds = {"sir-once": "one-time", "sir-persistent": "persistent"}
    wire.on["DescribeSpotInstanceRequests"] = lambda params: {
        "SpotInstanceRequests": [
            {"SpotInstanceRequestId": id_, "Type": kinds[id_]} for id_ in params["Filters"][0]["Values"] if id_ in kinds
        ]
    }
    expected = (protection,) if protection else ()
    assert compute.describe([ref("i-1")])[ref("i-1")].protections == expected
    asks_for_requests = "SpotInstanceRequestId" in more
    assert wire.count["DescribeSpotInstanceRequests"] == asks_for_requests


def test_stop_protection_is_looked_up_one_by_one_and_only_when_asked(wire: Wire) -> None:
    compute = serve(wire, [instance("i-1"), instance("i-2"), instance("i-3")])

    def attribute(params: dict[str, Any]) -> dict[str, Any]:
        if params["InstanceId"] == "i-3":
            raise refusal("InvalidInstanceID.NotFound")
        return {"DisableApiStop": {"Value": params["InstanceId"] == "i-1"}}

    wire.on["DescribeInstanceAttribute"] = attribute
    refs = [ref(f"i-{n}") for n in (1, 2, 3, 4)]
    compute.describe(refs)
    assert not wire.asked("DescribeInstanceAttribute")
    found = compute.protections(refs)
    assert found[refs[0]].protections == (Protection.STOP_PROTECTION,)
    assert found[refs[1]].protections == ()
    assert found[refs[2]].state is found[refs[3]].state is ResourceState.GONE
    assert wire.count["DescribeInstanceAttribute"] == 3


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=st.lists(st.booleans(), min_size=1, max_size=40), action=st.sampled_from(["start", "stop"]))
def test_a_refused_one_never_fails_the_others(bad: list[bool], action: str) -> None:
    forget()
    wire = Wire()
    wire.tap("ec2")
    refused = {f"i-{n}" for n, is_bad in enumerate(bad) if is_bad}
    accepted: list[str] = []

    def act(params: dict[str, Any]) -> dict[str, Any]:
        if hit := refused & set(params["InstanceIds"]):
            raise refusal("IncorrectInstanceState", f"{min(hit)} is not in a state for it")
        accepted.extend(params["InstanceIds"])
        return {}

    wire.on["StartInstances"] = wire.on["StopInstances"] = act
    refs = [ref(f"i-{n}") for n in range(len(bad))]
    outcomes = getattr(Ec2Compute(), action)(refs)
    assert [o.ref for o in outcomes] == refs
    assert {o.ref.id for o in outcomes if not o.accepted} == refused
    assert sorted(accepted) == sorted({r.id for r in refs} - refused), "each of the others once"
    for outcome in outcomes:
        if not outcome.accepted:
            assert (outcome.code, outcome.message) == (
                "IncorrectInstanceState",
                f"{outcome.ref.id} is not in a state for it",
            )
    assert len(wire.calls) <= 2 * len(refs) - 1
    if not refused:
        assert len(wire.calls) == 1


def test_what_does_not_hibernate_is_stopped_and_says_why(wire: Wire) -> None:
    asked: list[tuple[tuple[str, ...], bool]] = []

    def stop(params: dict[str, Any]) -> dict[str, Any]:
        asked.append((tuple(params["InstanceIds"]), params.get("Hibernate", False)))
        if params.get("Hibernate") and "i-2" in params["InstanceIds"]:
            raise refusal("UnsupportedOperation", "The instance is not ready to hibernate yet")
        return {}

    wire.tap("ec2")
    wire.on["StopInstances"] = stop
    asleep, stopped = Ec2Compute().stop([ref("i-1"), ref("i-2")], hibernate=True)
    assert (asleep.accepted, asleep.note) == (True, None)
    assert stopped.accepted
    assert stopped.note == (
        "i-2 was stopped instead of hibernated: UnsupportedOperation: The instance is not ready to hibernate yet"
    )
    assert asked[-1] == (("i-2",), False)
    assert (("i-1",), True) in asked


@pytest.mark.parametrize("code", ["InternalError", "AuthFailure", "ExpiredToken"])
def test_a_refusal_that_is_about_no_instance_is_asked_once(wire: Wire, code: str) -> None:
    def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise refusal(code)

    wire.tap("ec2")
    wire.on["StopInstances"] = fail
    outcomes = Ec2Compute().stop([ref("i-1"), ref("i-2"), ref("i-3")])
    assert [(o.accepted, o.code) for o in outcomes] == [(False, code)] * 3
    assert len(wire.calls) == 1


@pytest.mark.parametrize("action", ["start", "stop", "describe", "protections"])
def test_throttling_is_an_error_of_its_own(wire: Wire, action: str) -> None:
    def slow_down(_: dict[str, Any]) -> dict[str, Any]:
        raise refusal("RequestLimitExceeded", "Request limit exceeded.")

    wire.tap("ec2")
    for operation in ("StartInstances", "StopInstances", "DescribeInstances"):
        wire.on[operation] = slow_down
    with pytest.raises(ThrottledError) as caught:
        getattr(Ec2Compute(), action)([ref("i-1"), ref("i-2")])
    assert caught.value.retryable
    assert len(wire.calls) == 1


def test_no_way_to_aws_is_retryable(wire: Wire) -> None:
    def unreachable(_: dict[str, Any]) -> dict[str, Any]:
        raise ConnectTimeoutError(endpoint_url="https://ec2.us-east-1.amazonaws.com")

    wire.tap("ec2")
    wire.on["DescribeInstances"] = unreachable
    with pytest.raises(CloudError) as caught:
        Ec2Compute().describe([ref("i-1")])
    assert caught.value.retryable
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)


def test_clients_wait_with_bounds_and_are_made_once() -> None:
    ec2 = client("ec2", "eu-central-1")
    assert ec2 is client("ec2", "eu-central-1")
    config = ec2.meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, 8)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


def test_on_moto_across_regions() -> None:
    with make_ec2_compute() as (compute, make):
        here = make(ResourceState.RUNNING)
        there = make(ResourceState.STOPPED, "eu-central-1", InstanceType="m5d.large")
        gone = make(ResourceState.GONE)
        ec2 = boto3.client("ec2", region_name="us-east-1")
        ec2.modify_instance_attribute(InstanceId=here.id, DisableApiStop={"Value": True})
        found = compute.protections([here, there, gone, ref("i-00000000000000000")])
        assert [found[r].state for r in (here, there, gone)] == [
            ResourceState.RUNNING,
            ResourceState.STOPPED,
            ResourceState.GONE,
        ]
        assert found[there].protections == (Protection.DATA_LOSS,)
        assert compute.describe([here], status_checks=True)[here].status_ok is True
        assert found[here].launched_at is not None

        outcomes = {o.ref: o for o in compute.start([there, ref("i-0000000000000dead", "eu-central-1")])}
        assert outcomes[there].accepted
        bad = outcomes[ref("i-0000000000000dead", "eu-central-1")]
        assert (bad.accepted, bad.code) == (False, "InvalidInstanceID.NotFound")
        assert compute.describe([there])[there].state is ResourceState.RUNNING
