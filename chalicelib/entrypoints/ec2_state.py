"""`ec2_state`: EC2 says that an instance changed its state. An accelerator: losing one costs a minute."""

from __future__ import annotations

import logging

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.bootstrap import scheduler
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)
log = logging.getLogger(__name__)

PATTERN = {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]}


@bp.on_cw_event(PATTERN, name="ec2_state")
def ec2_state(event: CloudWatchEvent) -> dict[str, int]:
    """Answers how many rules are looked at because of it."""
    from chalicelib.domain.resources import ResourceKind, ResourceRef

    logging_setup.set_up()
    instance_id = event.detail.get("instance-id") if isinstance(event.detail, dict) else None
    if not isinstance(instance_id, str):
        log.warning("a state change without an instance")
        return {"rules": 0}
    return {"rules": scheduler.state_change().run((ResourceRef(ResourceKind.EC2, event.region, instance_id),))}
