"""What `ports.Compute` promises, of the cloud in memory and of EC2 on moto."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS
from moto.ec2.models import ec2_backends

from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.cloud import FakeCloud
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.resources import Place, Protection, ResourceKind, ResourceRef, ResourceState
from tests.contract.conftest_aws import ACCOUNT, REGION, make_ec2_compute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel

    from chalicelib.ports import Compute
    from tests.contract.conftest_aws import MakeInstance

ELSEWHERE = "eu-central-1"
UNKNOWN = ResourceRef(ResourceKind.EC2, REGION, "i-0123456789abcdef0")

RUNNING, STOPPED, GONE = ResourceState.RUNNING, ResourceState.STOPPED, ResourceState.GONE


HERE = Place(ResourceKind.EC2, REGION)
CALLS = {"DescribeInstances": "describe", "StartInstances": "start", "StopInstances": "stop"}
REFUSED_FROM = {"StartInstances": {"stopping", "terminated"}, "StopInstances": {"terminated"}}


class Cloud(Protocol):
    """An adapter with what a test needs around it."""

    compute: Compute
    calls: Counter[str]
    """Calls to AWS, by `describe`, `start`, `stop`."""

    def add(self, state: ResourceState = STOPPED, region: str = REGION, **tags: str) -> ResourceRef: ...

    def settle(self) -> None:
        """Whatever was asked for comes to pass."""

    def terminate(self, ref: ResourceRef) -> None: ...

    def begin_to_stop(self, ref: ResourceRef) -> None:
        """It is stopping, until `settle`."""

    def protect(self, ref: ResourceRef) -> None:
        """Switch its stop protection on."""

    def fail(self, call: str, error: CloudError) -> None:
        """The next such call is answered so."""


class InMemory:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.compute = FakeCloud(self.clock)
        self.calls = self.compute.calls
        self._made = 0

    def add(self, state: ResourceState = STOPPED, region: str = REGION, **tags: str) -> ResourceRef:
        self._made += 1
        return self.compute.add(f"i-{self._made:017x}", region, state=state, tags=tags)

    def settle(self) -> None:
        instances = self.compute.instances.values()
        self.clock.advance(max(i.boot + i.halt for i in instances))

    def terminate(self, ref: ResourceRef) -> None:
        self.compute.terminate(ref)

    def begin_to_stop(self, ref: ResourceRef) -> None:
        self.compute.stop_by_hand(ref)

    def protect(self, ref: ResourceRef) -> None:
        self.compute.instances[ref].protections += (Protection.STOP_PROTECTION,)

    def fail(self, call: str, error: CloudError) -> None:
        self.compute.fail_next[call].append(error)


class OnMoto:
    """moto's instances are running or stopped at once, and it starts what is terminated: here it refuses as AWS does.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    """

    def __init__(self, compute: Compute, make: MakeInstance) -> None:
        self.compute = compute
        self.calls: Counter[str] = Counter()
        self.watching = True
        self._make = make
        self._failures: dict[str, CloudError] = {}
        self._stopping: list[ResourceRef] = []

    def add(self, state: ResourceState = STOPPED, region: str = REGION, **tags: str) -> ResourceRef:
        with self._unseen():
            marks = [{"Key": key, "Value": value} for key, value in tags.items()]
            more = {"TagSpecifications": [{"ResourceType": "instance", "Tags": marks}]} if marks else {}
            return self._make(state, region, **more)

    def settle(self) -> None:
        while self._stopping:
            self._state(self._stopping.pop()).name = "stopped"

    def terminate(self, ref: ResourceRef) -> None:
        ec2: Any = boto3.client("ec2", region_name=ref.region)
        ec2.terminate_instances(InstanceIds=[ref.id])

    def begin_to_stop(self, ref: ResourceRef) -> None:
        self._state(ref).name = "stopping"
        self._stopping.append(ref)

    def protect(self, ref: ResourceRef) -> None:
        ec2: Any = boto3.client("ec2", region_name=ref.region)
        ec2.modify_instance_attribute(InstanceId=ref.id, DisableApiStop={"Value": True})

    def fail(self, call: str, error: CloudError) -> None:
        self._failures[call] = error

    def asked(self, params: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: object) -> None:
        call = CALLS.get(model.name)
        if call is None or not self.watching:
            return
        self.calls[call] += 1
        if failure := self._failures.pop(call, None):
            raise ClientError({"Error": {"Code": failure.code, "Message": failure.message}}, model.name)
        states = self._states(context["client_region"])
        for id_ in params.get("InstanceIds", []):
            if states.get(id_) in REFUSED_FROM.get(model.name, ()):
                words = f"The instance '{id_}' is not in a state from which it can be {call}ed."
                raise ClientError({"Error": {"Code": "IncorrectInstanceState", "Message": words}}, model.name)

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        self.watching = False
        yield
        self.watching = True

    def _states(self, region: str) -> dict[str, str]:
        made = ec2_backends[ACCOUNT][region].reservations.values()
        return {instance.id: instance._state.name for reservation in made for instance in reservation.instances}

    def _state(self, ref: ResourceRef) -> Any:
        return ec2_backends[ACCOUNT][ref.region].get_instance(ref.id)._state


@pytest.fixture(params=["memory", "ec2"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "memory":
        yield InMemory()
        return
    found: list[OnMoto] = []
    tap = ("provide-client-params.ec2", lambda **call: found[0].asked(**call) if found else None)
    BUILTIN_HANDLERS.append(tap)  # every client made from here on
    try:
        with make_ec2_compute() as (compute, make):
            found.append(OnMoto(compute, make))
            yield found[0]
    finally:
        BUILTIN_HANDLERS.remove(tap)


def states(cloud: Cloud, *refs: ResourceRef) -> list[ResourceState]:
    found = cloud.compute.describe(refs)
    return [found[ref].state for ref in refs]


class TestDescribe:
    def test_every_ref_is_answered_and_what_aws_does_not_know_is_gone(self, cloud):
        running, stopped, ended = cloud.add(RUNNING), cloud.add(STOPPED), cloud.add(STOPPED)
        cloud.terminate(ended)
        refs = [running, stopped, ended, UNKNOWN]
        found = cloud.compute.describe(refs)
        assert list(found) == refs
        assert [seen.ref for seen in found.values()] == refs
        assert [seen.state for seen in found.values()] == [RUNNING, STOPPED, GONE, GONE]

    def test_regions_are_kept_apart(self, cloud):
        here, there = cloud.add(RUNNING), cloud.add(STOPPED, ELSEWHERE)
        astray = ResourceRef(ResourceKind.EC2, ELSEWHERE, here.id)
        assert states(cloud, here, there, astray) == [RUNNING, STOPPED, GONE]
        assert cloud.calls == {"describe": 2}

    def test_a_ref_given_twice_is_answered_once_and_costs_nothing_more(self, cloud):
        ref = cloud.add(RUNNING)
        assert list(cloud.compute.describe([ref] * 201)) == [ref]
        assert cloud.calls == {"describe": 1}

    def test_no_refs_cost_no_call(self, cloud):
        assert cloud.compute.describe([]) == {}
        assert cloud.compute.describe([], status_checks=True) == {}
        assert cloud.compute.protections([]) == {}
        assert list(cloud.compute.start([])) == list(cloud.compute.stop([])) == []
        assert not cloud.calls

    def test_200_a_call_and_region(self, cloud):
        here = [ResourceRef(ResourceKind.EC2, REGION, f"i-{n:017x}") for n in range(401)]
        there = [ResourceRef(ResourceKind.EC2, ELSEWHERE, ref.id) for ref in here[:200]]
        found = cloud.compute.describe([*here, *there])
        assert set(found) == {*here, *there}
        assert cloud.calls == {"describe": 3 + 1}

    def test_the_private_address_survives_a_stop_and_a_start(self, cloud):
        ref = cloud.add(RUNNING)
        first = cloud.compute.describe([ref])[ref].private_ip
        assert first
        for act in (cloud.compute.stop, cloud.compute.start):
            act([ref])
            cloud.settle()
            assert cloud.compute.describe([ref])[ref].private_ip == first

    def test_when_it_was_last_launched_is_told_of_stopped_ones_too(self, cloud):
        ref = cloud.add(RUNNING)
        launched = cloud.compute.describe([ref])[ref].launched_at
        assert launched is not None
        assert launched.tzinfo is not None
        cloud.compute.stop([ref])
        cloud.settle()
        assert cloud.compute.describe([ref])[ref].launched_at == launched

    def test_what_aws_charges_for_is_told_in_every_state(self, cloud):
        running, stopped = cloud.add(RUNNING), cloud.add(STOPPED)
        found = cloud.compute.describe([running, stopped])
        assert {seen.product for seen in found.values()} == {Ec2Product(REGION, "t3.micro")}

    def test_status_checks_are_filled_only_where_asked_for_and_only_of_what_runs(self, cloud):
        running, stopped = cloud.add(RUNNING), cloud.add(STOPPED)
        cloud.settle()
        refs = [running, stopped, UNKNOWN]
        assert [seen.status_ok for seen in cloud.compute.describe(refs).values()] == [None] * 3
        checked = cloud.compute.describe(refs, status_checks=True)
        assert [checked[ref].status_ok for ref in refs] == [True, None, None]

    @pytest.mark.parametrize(
        "error", [ThrottledError("RequestLimitExceeded", "Slow down"), CloudError("AuthFailure", "Who are you?")]
    )
    def test_a_failure_is_raised_with_the_code_of_aws_and_the_next_call_is_another(self, cloud, error):
        ref = cloud.add(RUNNING)
        for look in (cloud.compute.describe, cloud.compute.protections):
            cloud.fail("describe", error)
            with pytest.raises(type(error)) as caught:
                look([ref])
            assert (caught.value.code, caught.value.message) == (error.code, error.message)
            assert caught.value.retryable is error.retryable
        assert states(cloud, ref) == [RUNNING]


class TestProtections:
    def test_stop_protection_is_told_only_where_it_is_asked_for(self, cloud):
        protected, other = cloud.add(RUNNING), cloud.add(RUNNING, ELSEWHERE)
        cloud.protect(protected)
        assert cloud.compute.describe([protected])[protected].protections == ()
        found = cloud.compute.protections([protected, other, UNKNOWN, protected])
        assert list(found) == [protected, other, UNKNOWN]
        assert [seen.protections for seen in found.values()] == [(Protection.STOP_PROTECTION,), (), ()]
        assert [seen.state for seen in found.values()] == [RUNNING, RUNNING, GONE]

    def test_a_protected_one_is_refused_and_the_others_stop(self, cloud):
        protected, others = cloud.add(RUNNING), [cloud.add(RUNNING), cloud.add(RUNNING)]
        cloud.protect(protected)
        outcomes = {o.ref: o for o in cloud.compute.stop([others[0], protected, others[1]])}
        assert (outcomes[protected].accepted, outcomes[protected].code) == (False, "OperationNotPermitted")
        assert [outcomes[ref].accepted for ref in others] == [True, True]
        cloud.settle()
        assert states(cloud, protected, *others) == [RUNNING, STOPPED, STOPPED]


class TestTagged:
    def test_what_has_one_of_the_keys_is_found_as_described_with_all_its_tags(self, cloud):
        running = cloud.add(RUNNING, env="staging", team="web", Name="one")
        stopped = cloud.add(STOPPED, team="")
        cloud.add(RUNNING, other="staging")
        cloud.add(RUNNING)
        found = cloud.compute.tagged(HERE, ["env", "team"])
        assert {ref: seen.tags for ref, seen in found.items()} == {
            running: {"env": "staging", "team": "web", "Name": "one"},
            stopped: {"team": ""},
        }
        assert {ref: seen.resource for ref, seen in found.items()} == cloud.compute.describe([running, stopped])
        assert found[running].resource.name == "one"
        assert found[running].has([("env", "staging"), ("team", "web")])
        assert not found[running].has([("env", "staging"), ("team", "Web")])

    def test_what_is_terminated_is_not_there_and_what_is_stopping_is(self, cloud):
        ended, ending = cloud.add(STOPPED, env="x"), cloud.add(RUNNING, env="x")
        cloud.terminate(ended)
        cloud.begin_to_stop(ending)
        assert set(cloud.compute.tagged(HERE, ["env"])) == {ending}

    def test_keys_and_values_have_case_and_places_are_apart(self, cloud):
        cloud.add(RUNNING, Env="x")
        cloud.add(RUNNING, ELSEWHERE, env="x")
        assert cloud.compute.tagged(HERE, ["env"]) == {}

    def test_one_call_for_200_keys(self, cloud):
        calls = cloud.calls
        seen = sum(calls.values())
        ref = cloud.add(RUNNING, k200="x", k0="x")
        assert set(cloud.compute.tagged(HERE, [f"k{n}" for n in range(200)])) == {ref}
        assert sum(calls.values()) - seen == 1
        assert set(cloud.compute.tagged(HERE, [f"k{n}" for n in range(201)])) == {ref}
        assert sum(calls.values()) - seen == 3
        assert cloud.compute.tagged(HERE, []) == {}
        assert sum(calls.values()) - seen == 3

    def test_a_failure_is_raised(self, cloud):
        cloud.fail(
            "describe" if isinstance(cloud, OnMoto) else "tagged", ThrottledError("RequestLimitExceeded", "Slow")
        )
        with pytest.raises(ThrottledError):
            cloud.compute.tagged(HERE, ["env"])


class TestStartAndStop:
    def test_what_is_asked_for_comes_to_pass(self, cloud):
        ref = cloud.add(STOPPED)
        start, stop = cloud.compute.start, cloud.compute.stop
        for act, after in [(start, RUNNING), (stop, STOPPED), (start, RUNNING)]:
            (outcome,) = act([ref])
            assert (outcome.ref, outcome.accepted, outcome.code, outcome.message) == (ref, True, None, None)
            cloud.settle()
            assert states(cloud, ref) == [after]

    @pytest.mark.parametrize(("action", "state"), [("start", RUNNING), ("stop", STOPPED)])
    def test_what_is_so_already_is_accepted_and_nothing_happens(self, cloud, action, state):
        ref = cloud.add(state)
        before = cloud.compute.describe([ref])
        for _ in range(2):
            (outcome,) = getattr(cloud.compute, action)([ref])
            assert outcome.accepted
            assert cloud.compute.describe([ref]) == before
        cloud.settle()
        assert cloud.compute.describe([ref]) == before

    def test_asked_twice_in_a_row_it_happens_once(self, cloud):
        ref = cloud.add(STOPPED)
        assert [o.accepted for _ in range(2) for o in cloud.compute.start([ref])] == [True, True]
        cloud.settle()
        assert states(cloud, ref) == [RUNNING]
        assert [o.accepted for _ in range(2) for o in cloud.compute.stop([ref])] == [True, True]
        cloud.settle()
        assert states(cloud, ref) == [STOPPED]

    @pytest.mark.parametrize(("action", "before", "after"), [("start", STOPPED, RUNNING), ("stop", RUNNING, STOPPED)])
    def test_an_unknown_and_a_terminated_one_are_refused_and_the_others_are_not(self, cloud, action, before, after):
        good = [cloud.add(before) for _ in range(3)]
        ended = cloud.add(STOPPED)
        cloud.terminate(ended)
        outcomes = {o.ref: o for o in getattr(cloud.compute, action)([good[0], UNKNOWN, good[1], ended, good[2]])}
        assert set(outcomes) == {*good, UNKNOWN, ended}
        assert [outcomes[ref].accepted for ref in good] == [True] * 3
        assert (outcomes[UNKNOWN].accepted, outcomes[UNKNOWN].code) == (False, "InvalidInstanceID.NotFound")
        assert (outcomes[ended].accepted, outcomes[ended].code) == (False, "IncorrectInstanceState")
        assert outcomes[UNKNOWN].message
        assert outcomes[ended].message
        cloud.settle()
        assert states(cloud, *good, ended) == [after, after, after, GONE]

    def test_what_is_still_stopping_cannot_be_started_and_can_be_once_it_has_stopped(self, cloud):
        ref = cloud.add(RUNNING)
        cloud.begin_to_stop(ref)
        assert states(cloud, ref) == [ResourceState.STOPPING]
        (outcome,) = cloud.compute.start([ref])
        assert (outcome.accepted, outcome.code) == (False, "IncorrectInstanceState")
        (outcome,) = cloud.compute.stop([ref])
        assert outcome.accepted
        cloud.settle()
        assert states(cloud, ref) == [STOPPED]
        (outcome,) = cloud.compute.start([ref])
        assert outcome.accepted

    def test_several_regions_in_one_call(self, cloud):
        here, there = cloud.add(STOPPED), cloud.add(STOPPED, ELSEWHERE)
        astray = ResourceRef(ResourceKind.EC2, ELSEWHERE, here.id)
        outcomes = {o.ref: o.accepted for o in cloud.compute.start([here, there, astray])}
        assert outcomes == {here: True, there: True, astray: False}
        cloud.settle()
        assert states(cloud, here, there) == [RUNNING, RUNNING]

    def test_a_ref_given_twice_has_one_outcome(self, cloud):
        ref = cloud.add(STOPPED)
        assert [o.ref for o in cloud.compute.start([ref, ref])] == [ref]
        assert [o.ref for o in cloud.compute.stop([UNKNOWN, UNKNOWN])] == [UNKNOWN]

    @pytest.mark.parametrize("action", ["start", "stop"])
    def test_throttling_is_raised_and_the_same_call_can_succeed_later(self, cloud, action):
        ref = cloud.add(STOPPED if action == "start" else RUNNING)
        cloud.fail(action, ThrottledError("RequestLimitExceeded", "Slow down"))
        with pytest.raises(ThrottledError, match="Slow down"):
            getattr(cloud.compute, action)([ref])
        (outcome,) = getattr(cloud.compute, action)([ref])
        assert outcome.accepted

    @pytest.mark.parametrize("action", ["start", "stop"])
    def test_any_other_failure_is_an_outcome_of_each(self, cloud, action):
        refs = [cloud.add(STOPPED), cloud.add(RUNNING)]
        before = states(cloud, *refs)
        cloud.fail(action, CloudError("InternalError", "An internal error has occurred", retryable=True))
        outcomes = getattr(cloud.compute, action)(refs)
        assert [(o.ref, o.accepted, o.code) for o in outcomes] == [(ref, False, "InternalError") for ref in refs]
        cloud.settle()
        assert states(cloud, *refs) == before
