"""Databases as resources: DB instances, and DB clusters (Aurora and Multi-AZ) as units.

RDS takes one database a call to start or stop, and describes all of a region in pages of a hundred. All are asked
for: an unknown identifier would fail a call that names it, and few regions have a second page (the quota is 40).
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.adapters.aws.rds_mapping import (
    observed_cluster,
    observed_instance,
    of_the_same,
    tags_of,
    upkeep,
    window_ends,
)
from chalicelib.domain.database_states import meaning
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.membership import TaggedResource
from chalicelib.domain.resources import CLUSTER, ObservedResource, Outcome, ResourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import DBClusterTypeDef, DBInstanceTypeDef, PendingMaintenanceActionTypeDef

    from chalicelib.domain.resources import Place, ResourceRef
    from chalicelib.ports import Clock

PAGE = 100
"""The most that it gives. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html"""


UNTOLD = "is in its maintenance window or close to it, and AWS does not tell whether anything is to be done"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """One database as RDS described it, and its instances where it is a cluster."""

    seen: ObservedResource
    described: DBInstanceTypeDef | DBClusterTypeDef
    members: tuple[DBInstanceTypeDef, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """All its tags."""
        return tags_of(self.described.get("TagList", []))

    @property
    def arns(self) -> dict[str, DBInstanceTypeDef | DBClusterTypeDef]:
        """Itself and its instances, by what maintenance is listed under."""
        own = self.described.get("DBClusterArn") or self.described.get("DBInstanceArn") or ""
        return {str(own): self.described} | {m.get("DBInstanceArn", ""): m for m in self.members}


@dataclass(frozen=True, slots=True)
class Actions:
    """Pending maintenance by the ARN of a database; `told`: AWS has answered."""

    of: Mapping[str, Sequence[PendingMaintenanceActionTypeDef]] = field(default_factory=dict)
    told: bool = True


class RdsCompute:
    """Implements Compute for databases."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        found = {ref: ObservedResource(ref, ResourceState.GONE) for ref in refs}
        by_place: dict[Place, set[ResourceRef]] = defaultdict(set)
        for ref in refs:
            by_place[ref.place].add(ref)
        for place, wanted in by_place.items():
            clusters = any(ref.id.startswith(CLUSTER) for ref in wanted)
            read = [one for one in _read(place, clusters=clusters) if one.seen.ref in wanted]
            found |= {seen.ref: seen for seen in self._with_upkeep(place, read)}
        if status_checks:
            found = {ref: _checked(seen) for ref, seen in found.items()}
        return found

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        # Every description has them all.
        return self.describe(refs)

    def tagged(self, place: Place, keys: Sequence[str]) -> dict[ResourceRef, TaggedResource]:
        if not keys:
            return {}
        read = [one for one in _read(place, clusters=True) if one.seen.state is not ResourceState.GONE]
        clusters = {one.seen.ref.id.removeprefix(CLUSTER): one for one in read if one.seen.ref.id.startswith(CLUSTER)}
        found = {}
        for one in read:
            tags = one.tags
            whole = (
                clusters.get(one.described.get("DBClusterIdentifier", "")) if one.seen.ref.id not in clusters else None
            )
            # The instances of a cluster get its tags; that it is found is enough.
            if whole is not None and whole is not one and of_the_same(tags, whole.tags, keys):
                continue
            if tags.keys() & set(keys):
                found[one.seen.ref] = TaggedResource(one.seen, tags)
        return found

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        return _each(
            refs,
            lambda rds, id_: rds.start_db_instance(DBInstanceIdentifier=id_),
            lambda rds, id_: rds.start_db_cluster(DBClusterIdentifier=id_),
        )

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        outcomes = _each(
            refs,
            lambda rds, id_: rds.stop_db_instance(DBInstanceIdentifier=id_),
            lambda rds, id_: rds.stop_db_cluster(DBClusterIdentifier=id_),
        )
        if not hibernate:
            return outcomes
        return [
            replace(o, note=f"{o.ref.id} was stopped: no database hibernates") if o.accepted else o for o in outcomes
        ]

    def _with_upkeep(self, place: Place, read: Sequence[_Found]) -> Iterator[ObservedResource]:
        """With the maintenance that is to come soon: asked for only while the window of one of them is near."""
        now = self._clock.now()
        actions: Actions | None = None
        for one in read:
            seen = one.seen
            if seen.state is ResourceState.RUNNING and seen.busy is None:
                for arn, described in one.arns.items():
                    ends = window_ends(described, now)
                    if ends is None:
                        continue
                    if actions is None:
                        actions = _pending(place)
                    why = upkeep(described, actions.of.get(arn, ()), ends) if actions.told else UNTOLD
                    if why is not None:
                        seen = replace(seen, busy=why)
                        break
            yield seen


def _read(place: Place, *, clusters: bool) -> list[_Found]:
    rds = _rds(place)
    with translated():
        pages = rds.get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": PAGE})
        instances = [instance for page in pages for instance in page["DBInstances"]]
    found = [_Found(observed_instance(place, instance), instance) for instance in instances]
    if not clusters:
        return found
    members: dict[str, list[DBInstanceTypeDef]] = defaultdict(list)
    for instance in instances:
        if meaning(instance.get("DBInstanceStatus", "")).state is not ResourceState.GONE:
            members[instance.get("DBClusterIdentifier", "")].append(instance)
    with translated():
        cluster_pages = rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": PAGE})
        described = [cluster for page in cluster_pages for cluster in page["DBClusters"]]
    for cluster in described:
        own = tuple(members.get(cluster["DBClusterIdentifier"], ()))
        found.append(_Found(observed_cluster(place, cluster, own), cluster, own))
    return found


def _pending(place: Place) -> Actions:
    """Of everything there. Where AWS does not tell, what is in its window is left running: unknown is not nothing."""
    rds = _rds(place)
    try:
        with translated():
            pages = rds.get_paginator("describe_pending_maintenance_actions").paginate(
                PaginationConfig={"PageSize": PAGE}
            )
            listed = [resource for page in pages for resource in page["PendingMaintenanceActions"]]
    except ThrottledError:
        raise
    except CloudError as error:
        log.warning("pending maintenance is not told", extra={"place": str(place), "error": str(error)})
        return Actions(told=False)
    return Actions({r.get("ResourceIdentifier", ""): r.get("PendingMaintenanceActionDetails", []) for r in listed})


def _checked(seen: ObservedResource) -> ObservedResource:
    """With AWS's own word of whether it takes connections, as a status check."""
    if seen.state is not ResourceState.RUNNING:
        return seen
    return replace(seen, status_ok=meaning(seen.state_reason or "available").serves)


def _each(
    refs: Iterable[ResourceRef],
    instance: Callable[[RDSClient, str], object],
    cluster: Callable[[RDSClient, str], object],
) -> list[Outcome]:
    """One call each. Throttled after the first, the rest are refused, not raised: what was accepted has to be known."""
    outcomes: list[Outcome] = []
    slowed: ThrottledError | None = None
    for ref in dict.fromkeys(refs):
        if slowed is not None:
            outcomes.append(Outcome(ref, accepted=False, code=slowed.code, message=slowed.message))
            continue
        try:
            with translated():
                if ref.id.startswith(CLUSTER):
                    cluster(_rds(ref.place), ref.id.removeprefix(CLUSTER))
                else:
                    instance(_rds(ref.place), ref.id)
        except ThrottledError as error:
            if not any(outcome.accepted for outcome in outcomes):
                raise
            slowed = error
            outcomes.append(Outcome(ref, accepted=False, code=error.code, message=error.message))
        except CloudError as error:
            outcomes.append(Outcome(ref, accepted=False, code=error.code, message=error.message))
        else:
            outcomes.append(Outcome(ref, accepted=True))
    return outcomes


def _rds(place: Place) -> RDSClient:
    return cast("RDSClient", client("rds", place.region, place.connector))
