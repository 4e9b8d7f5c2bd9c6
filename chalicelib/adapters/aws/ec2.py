"""EC2 instances as resources."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.ec2_mapping import is_spot, observed, tags_of
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.membership import TaggedResource
from chalicelib.domain.resources import ObservedResource, Outcome, Protection, ResourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef

    from chalicelib.domain.resources import Place, ResourceRef

T = TypeVar("T")

BATCH = 200
"""Values a filter takes. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html"""

PAGE = 1000
"""Instances a page, the most that it gives; without it AWS answers all at once, which can take too long. (same page)"""

THERE = ("pending", "running", "stopping", "stopped")

BATCH_STATUS = 100
"""Ids it takes. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html"""

BATCH_TYPES = 100
"""Types it takes. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html"""

# Refusals of the caller, not of an instance: asking again for half of them gets the same answer.
_NOT_ABOUT_AN_INSTANCE = frozenset({"AuthFailure", "ExpiredToken", "InvalidClientTokenId", "RequestExpired"})


class Ec2Compute:
    """Implements Compute for EC2 instances."""

    def __init__(self) -> None:
        # Neither ever changes, so each is asked for once in the life of a process.
        self._has_storage: dict[str, bool] = {}
        self._is_persistent: dict[str, bool] = {}

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        found = {ref: ObservedResource(ref, ResourceState.GONE) for ref in refs}
        for place, batch in _batches(refs):
            seen = self._look(place, batch)
            if status_checks:
                seen |= self._with_checks(place, seen.values())
            found |= seen
        return found

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        found = self.describe(refs)
        for ref, seen in found.items():
            if seen.state is ResourceState.GONE:
                continue
            try:
                with translated():
                    answer = _ec2(ref.place).describe_instance_attribute(InstanceId=ref.id, Attribute="disableApiStop")
            except CloudError as error:
                if not error.code.startswith("InvalidInstanceID"):
                    raise
                found[ref] = ObservedResource(ref, ResourceState.GONE)  # it went in between
                continue
            if answer.get("DisableApiStop", {}).get("Value"):
                found[ref] = replace(seen, protections=(*seen.protections, Protection.STOP_PROTECTION))
        return found

    def tagged(self, place: Place, keys: Sequence[str]) -> dict[ResourceRef, TaggedResource]:
        found: dict[ResourceRef, TaggedResource] = {}
        for some in _chunks(keys, BATCH):
            # A * or ? in a key finds more than it should, and whoever compares tags sorts that out; a \ escapes.
            having = [key.replace("\\", "\\\\") for key in some]
            by_key: list[FilterTypeDef] = [
                {"Name": "tag-key", "Values": having},
                {"Name": "instance-state-name", "Values": list(THERE)},
            ]
            for instance, resource in self._read(place, by_key):
                found[resource.ref] = TaggedResource(resource, tags_of(instance))
        return found

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        def call(place: Place, ids: list[str]) -> None:
            _ec2(place).start_instances(InstanceIds=ids)

        return [outcome for place, batch in _batches(refs) for outcome in _ask(call, place, batch)]

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        def stop(place: Place, ids: list[str]) -> None:
            _ec2(place).stop_instances(InstanceIds=ids)

        def sleep(place: Place, ids: list[str]) -> None:
            _ec2(place).stop_instances(InstanceIds=ids, Hibernate=True)

        if not hibernate:
            return [outcome for place, batch in _batches(refs) for outcome in _ask(stop, place, batch)]
        asked = {o.ref: o for place, batch in _batches(refs) for o in _ask(sleep, place, batch)}
        awake = [ref for ref, outcome in asked.items() if not outcome.accepted]
        asked |= {o.ref: replace(o, note=_not_hibernated(asked[o.ref])) for o in self.stop(awake)}
        return list(asked.values())

    def _look(self, place: Place, batch: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        # A filter passes over an unknown id, where InstanceIds fails the whole call for one.
        by_id: list[FilterTypeDef] = [{"Name": "instance-id", "Values": [ref.id for ref in batch]}]
        return {resource.ref: resource for _, resource in self._read(place, by_id)}

    def _read(self, place: Place, filters: list[FilterTypeDef]) -> list[tuple[InstanceTypeDef, ObservedResource]]:
        with translated():
            pages = (
                _ec2(place)
                .get_paginator("describe_instances")
                .paginate(Filters=filters, PaginationConfig={"PageSize": PAGE})
            )
            instances = [i for page in pages for reservation in page["Reservations"] for i in reservation["Instances"]]
        seen = [(instance, observed(place, instance)) for instance in instances]
        there = [instance for instance, resource in seen if resource.state is not ResourceState.GONE]
        with translated():
            self._learn_types(place, there)
            self._learn_requests(place, there)
        return [(instance, self._with_protections(instance, resource)) for instance, resource in seen]

    def _with_protections(self, instance: InstanceTypeDef, resource: ObservedResource) -> ObservedResource:
        more = []
        if is_spot(instance) and not self._is_persistent.get(instance.get("SpotInstanceRequestId", ""), False):
            more.append(Protection.SPOT)
        if self._has_storage.get(instance.get("InstanceType", ""), False):
            more.append(Protection.DATA_LOSS)
        return replace(resource, protections=(*resource.protections, *more)) if more else resource

    def _learn_types(self, place: Place, instances: Iterable[InstanceTypeDef]) -> None:
        """Which types have instance-store volumes: looked up here as well, since a type can change after creation."""
        unknown = {i["InstanceType"] for i in instances if "InstanceType" in i} - self._has_storage.keys()
        for some in _chunks(sorted(unknown), BATCH_TYPES):
            pages = _ec2(place).get_paginator("describe_instance_types").paginate(InstanceTypes=some)
            for page in pages:
                for type_ in page["InstanceTypes"]:
                    self._has_storage[type_["InstanceType"]] = bool(type_.get("InstanceStorageSupported"))

    def _learn_requests(self, place: Place, instances: Iterable[InstanceTypeDef]) -> None:
        """Which Spot requests are persistent: their instances can be stopped, those of one-time requests cannot."""
        spots = {i["SpotInstanceRequestId"] for i in instances if is_spot(i) and "SpotInstanceRequestId" in i}
        for some in _chunks(sorted(spots - self._is_persistent.keys()), BATCH):
            answer = _ec2(place).describe_spot_instance_requests(
                Filters=[{"Name": "spot-instance-request-id", "Values": some}]
            )
            for request in answer["SpotInstanceRequests"]:
                self._is_persistent[request["SpotInstanceRequestId"]] = request.get("Type") == "persistent"

    def _with_checks(self, place: Place, seen: Iterable[ObservedResource]) -> dict[ResourceRef, ObservedResource]:
        running = [resource for resource in seen if resource.state is ResourceState.RUNNING]
        passed: set[str] = set()
        for some in _chunks([resource.ref.id for resource in running], BATCH_STATUS):
            with translated():
                answer = _ec2(place).describe_instance_status(InstanceIds=some)
            passed |= {
                status["InstanceId"]
                for status in answer["InstanceStatuses"]
                if status["InstanceStatus"]["Status"] == status["SystemStatus"]["Status"] == "ok"
            }
        return {resource.ref: replace(resource, status_ok=resource.ref.id in passed) for resource in running}


def _ec2(place: Place) -> EC2Client:
    return cast("EC2Client", client("ec2", place.region, place.connector))


def _batches(refs: Sequence[ResourceRef]) -> Iterator[tuple[Place, list[ResourceRef]]]:
    by_place: dict[Place, list[ResourceRef]] = defaultdict(list)
    for ref in dict.fromkeys(refs):
        by_place[ref.place].append(ref)
    for place, found in by_place.items():
        for batch in _chunks(found, BATCH):
            yield place, batch


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _not_hibernated(refusal: Outcome) -> str:
    return f"{refusal.ref.id} was stopped instead of hibernated: {refusal.code}: {refusal.message}"


def _ask(call: Callable[[Place, list[str]], None], place: Place, refs: list[ResourceRef]) -> list[Outcome]:
    """One call for all; when AWS refuses it, halve until the bad one stands alone: it never fails the others."""
    try:
        with translated():
            call(place, [ref.id for ref in refs])
    except ThrottledError:
        raise
    except CloudError as error:
        refusal = error
    else:
        return [Outcome(ref, accepted=True) for ref in refs]
    if len(refs) == 1 or refusal.retryable or refusal.code in _NOT_ABOUT_AN_INSTANCE:
        return [Outcome(ref, accepted=False, code=refusal.code, message=refusal.message) for ref in refs]
    middle = len(refs) // 2
    return [*_ask(call, place, refs[:middle]), *_ask(call, place, refs[middle:])]
