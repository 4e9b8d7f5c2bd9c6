"""What `ports.Sessions` promises, of the sessions in memory and of Session Manager.

moto 5.2 has no DescribeSessions: a small Session Manager answers on the wire instead, with pages of two.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters.aws.clients import made
from chalicelib.adapters.aws.ssm import SsmSessions
from chalicelib.adapters.memory.signals import FakeSessions
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.resources import ResourceKind, ResourceRef
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.unit.aws.conftest import Wire, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.ports import Sessions

ELSEWHERE = "eu-central-1"
PAGE = 2


def instance(n: int, region: str = REGION) -> ResourceRef:
    return ResourceRef(ResourceKind.EC2, region, f"i-{n:017x}")


class Bench(Protocol):
    """An adapter with what a test needs around it."""

    sessions: Sessions

    @property
    def listings(self) -> int:
        """How often a region was asked, whatever the pages."""

    def connect(self, ref: ResourceRef) -> None:
        """Somebody opens a session."""

    def end_all(self, ref: ResourceRef) -> None:
        """Every session there ends."""

    def fail(self, error: CloudError) -> None:
        """The next call is answered so."""


class InMemory:
    def __init__(self) -> None:
        self.sessions = FakeSessions()

    @property
    def listings(self) -> int:
        return self.sessions.calls

    def connect(self, ref: ResourceRef) -> None:
        self.sessions.counts[ref] += 1

    def end_all(self, ref: ResourceRef) -> None:
        del self.sessions.counts[ref]

    def fail(self, error: CloudError) -> None:
        self.sessions.fail_next.append(error)


class SessionManager:
    """DescribeSessions of two regions: sessions by state, in pages, and failures on order.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
    """

    def __init__(self) -> None:
        self.sessions = SsmSessions()
        self.asked: list[dict[str, Any]] = []
        self.failures: dict[int, Exception] = {}
        """By the number of the call, from 0."""
        self._by_state: dict[tuple[str, str], list[str]] = defaultdict(list)
        for region in (REGION, ELSEWHERE):
            wire = Wire()
            wire.on["DescribeSessions"] = lambda params, region=region: self._answer(region, params)
            wire.tap("ssm", region)

    @property
    def listings(self) -> int:
        return len([params for params in self.asked if "NextToken" not in params])

    def connect(self, ref: ResourceRef) -> None:
        self._by_state[ref.region, "Active"].append(ref.id)

    def end_all(self, ref: ResourceRef) -> None:
        active, history = self._by_state[ref.region, "Active"], self._by_state[ref.region, "History"]
        history += [id_ for id_ in active if id_ == ref.id]
        active[:] = [id_ for id_ in active if id_ != ref.id]

    def fail(self, error: CloudError) -> None:
        self.failures[len(self.asked)] = refusal(error.code, error.message, "DescribeSessions")

    def _answer(self, region: str, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(dict(params))
        if failure := self.failures.pop(len(self.asked) - 1, None):
            raise failure
        first = int(params.get("NextToken", "0"))
        targets = self._by_state[region, params["State"]]
        page = [{"SessionId": f"s-{first + n}", "Target": id_} for n, id_ in enumerate(targets[first : first + PAGE])]
        more = {"NextToken": str(first + PAGE)} if first + PAGE < len(targets) else {}
        return {"Sessions": page} | more


@pytest.fixture(params=["memory", "ssm"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield SessionManager()


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with fresh_aws():
        yield SessionManager()


class TestOpen:
    def test_every_instance_is_in_the_answer_also_those_that_nobody_is_on(self, bench):
        refs = [instance(n) for n in range(4)]
        for n in (2, 0, 2, 2):
            bench.connect(refs[n])
        bench.connect(instance(9))  # not asked about
        found = bench.sessions.open(refs)
        assert list(found) == refs
        assert list(found.values()) == [1, 0, 3, 0]

    def test_one_that_has_ended_is_not_open(self, bench):
        bench.connect(instance(1))
        assert bench.sessions.open([instance(1)]) == {instance(1): 1}
        bench.end_all(instance(1))
        assert bench.sessions.open([instance(1)]) == {instance(1): 0}

    def test_regions_are_kept_apart(self, bench):
        bench.connect(instance(1, ELSEWHERE))
        here, there = instance(1), instance(1, ELSEWHERE)
        assert bench.sessions.open([here, there]) == {here: 0, there: 1}

    def test_an_instance_given_twice_is_answered_once(self, bench):
        bench.connect(instance(1))
        assert bench.sessions.open([instance(1), instance(1)]) == {instance(1): 1}

    def test_it_costs_one_listing_a_region_whatever_the_number_of_instances(self, bench):
        for n in range(7):
            bench.connect(instance(n))
        bench.sessions.open([*(instance(n) for n in range(300)), *(instance(n, ELSEWHERE) for n in range(300))])
        assert bench.listings == 2
        bench.sessions.open([instance(1, ELSEWHERE)])
        assert bench.listings == 3

    def test_nothing_asked_costs_no_call(self, bench):
        assert bench.sessions.open([]) == {}
        assert bench.listings == 0

    @pytest.mark.parametrize(
        "error",
        [
            ThrottledError("ThrottlingException", "Rate exceeded"),
            CloudError("AccessDeniedException", "not authorized to perform: ssm:DescribeSessions"),
        ],
    )
    def test_a_failure_is_raised_with_the_code_of_aws_and_the_next_call_is_another(self, bench, error):
        bench.connect(instance(1))
        bench.fail(error)
        with pytest.raises(CloudError) as caught:
            bench.sessions.open([instance(1)])
        assert type(caught.value) is type(error)
        assert (caught.value.code, caught.value.message) == (error.code, error.message)
        assert caught.value.retryable is error.retryable
        assert bench.sessions.open([instance(1)]) == {instance(1): 1}


class TestSessionManager:
    def test_only_active_sessions_are_listed_and_every_page_is_read(self, manager):
        for n in range(PAGE * 3 + 1):
            manager.connect(instance(n % 2))
        assert manager.sessions.open([instance(0), instance(1)]) == {instance(0): 4, instance(1): 3}
        assert [params.get("NextToken") for params in manager.asked] == [None, "2", "4", "6"]
        assert {params["State"] for params in manager.asked} == {"Active"}

    def test_a_failure_on_a_later_page_gives_no_half_an_answer(self, manager):
        for n in range(PAGE + 1):
            manager.connect(instance(n))
        manager.failures[1] = refusal("ThrottlingException", operation="DescribeSessions")
        with pytest.raises(ThrottledError):
            manager.sessions.open([instance(0)])

    def test_a_failure_in_one_region_gives_no_half_an_answer_either(self, manager):
        manager.failures[1] = refusal("AccessDeniedException", operation="DescribeSessions")
        with pytest.raises(CloudError, match="AccessDeniedException"):
            manager.sessions.open([instance(0), instance(0, ELSEWHERE)])

    def test_a_broken_way_to_aws_is_an_error_that_a_retry_can_help(self, manager):
        manager.failures[0] = EndpointConnectionError(endpoint_url="https://ssm.us-east-1.amazonaws.com")
        with pytest.raises(CloudError) as caught:
            manager.sessions.open([instance(0)])
        assert caught.value.retryable

    def test_no_client_is_made_before_it_is_needed_and_none_for_another_region(self):
        with fresh_aws():
            sessions = SsmSessions()
            sessions.open([])
            assert made.cache_info().currsize == 0
            wire = Wire()
            wire.on["DescribeSessions"] = lambda _: {"Sessions": []}
            wire.tap("ssm", REGION)
            sessions.open([instance(1)])
            assert made.cache_info().currsize == 1
