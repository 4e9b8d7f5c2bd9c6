"""`ec2_calls`: CloudTrail says who started, stopped or terminated an instance. Needs a trail that logs in the account.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.bootstrap import scheduler
from chalicelib.entrypoints import logging_setup

if TYPE_CHECKING:
    from chalicelib.usecases.manual_change import ApiCall

bp = Blueprint(__name__)
log = logging.getLogger(__name__)

PATTERN = {
    "source": ["aws.ec2"],
    "detail-type": ["AWS API Call via CloudTrail"],
    "detail": {"eventName": ["RebootInstances", "StartInstances", "StopInstances", "TerminateInstances"]},
}
MOST_INSTANCES = 1000
"""More than EC2 takes in one call: what is beyond comes from elsewhere."""

LONGEST = 200


@bp.on_cw_event(PATTERN, name="ec2_calls")
def ec2_calls(event: CloudWatchEvent) -> dict[str, int]:
    """Answers how many rules were told."""
    logging_setup.set_up()
    call = _parsed(event)
    if call is None:
        log.warning("a call that cannot be read")
        return {"rules": 0}
    return {"rules": scheduler.manual_change().run(call)}


def _parsed(event: CloudWatchEvent) -> ApiCall | None:
    """The call, or None for anything that does not look like one."""
    from chalicelib.domain.resources import ResourceKind, ResourceRef
    from chalicelib.usecases.manual_change import ApiCall

    detail = _dict(event.detail)
    identity = _dict(detail.get("userIdentity"))
    issuer = _dict(_dict(identity.get("sessionContext")).get("sessionIssuer")).get("userName")
    listed = _dict(_dict(detail.get("requestParameters")).get("instancesSet")).get("items")
    ids = [_dict(item).get("instanceId") for item in listed[:MOST_INSTANCES]] if isinstance(listed, list) else []
    refs = tuple(ResourceRef(ResourceKind.EC2, event.region, id_) for id_ in ids if isinstance(id_, str) and id_)
    principal = _text(identity.get("arn")) or _text(identity.get("invokedBy")) or _text(identity.get("type"))
    id_, action, at = _text(detail.get("eventID")), _text(detail.get("eventName")), _time(detail.get("eventTime"))
    if not (refs and principal and id_ and action and at):
        return None
    return ApiCall(
        id_,
        action,
        refs,
        principal,
        _text(issuer),
        _text(detail.get("sourceIPAddress")),
        at,
        _text(detail.get("errorCode")),
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value[:LONGEST] if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
