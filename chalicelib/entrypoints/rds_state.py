"""`rds_state`: RDS says that something happened to a database. An accelerator: losing one costs a minute.

RDS sends events out of order, twice or not at all; what is so is looked up, whatever they say. One thing is taken from
them: that AWS itself starts a database because it was stopped for seven days.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.bootstrap import scheduler
from chalicelib.entrypoints import logging_setup

if TYPE_CHECKING:
    from chalicelib.domain.resources import ResourceRef

bp = Blueprint(__name__)
log = logging.getLogger(__name__)

PATTERN = {"source": ["aws.rds"], "detail-type": ["RDS DB Instance Event", "RDS DB Cluster Event"]}

RESTARTED = frozenset({"RDS-EVENT-0154", "RDS-EVENT-0153"})
"""A DB instance, or a cluster, is started as it has been stopped for longer than is allowed."""

_ARN = re.compile(r"arn:[a-z-]{3,20}:rds:[a-z0-9-]{5,20}:\d{12}:(db|cluster):([a-z0-9-]{1,63})")


@bp.on_cw_event(PATTERN, name="rds_state")
def rds_state(event: CloudWatchEvent) -> dict[str, int]:
    """Answers how many rules are looked at because of it."""
    logging_setup.set_up()
    detail = event.detail if isinstance(event.detail, dict) else {}
    ref = _database(detail.get("SourceArn"), event.region)
    if ref is None:
        log.warning("an event of no database")
        return {"rules": 0}
    return {"rules": scheduler.state_change().run((ref,), by_aws=detail.get("EventID") in RESTARTED)}


def _database(arn: object, region: str) -> ResourceRef | None:
    from chalicelib.domain.resources import CLUSTER, ResourceKind, ResourceRef

    found = _ARN.fullmatch(arn) if isinstance(arn, str) else None
    if found is None:
        return None
    return ResourceRef(ResourceKind.RDS, region, f"{CLUSTER if found[1] == 'cluster' else ''}{found[2]}")
