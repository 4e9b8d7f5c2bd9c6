"""`tag_change`: the tags of an instance or a database changed. An accelerator: without it the next look finds it.

https://docs.aws.amazon.com/tag-editor/latest/userguide/monitor-tag-changes.html
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.bootstrap import scheduler
from chalicelib.entrypoints import logging_setup

if TYPE_CHECKING:
    from chalicelib.domain.membership import TaggedRule
    from chalicelib.domain.resources import Place

bp = Blueprint(__name__)
log = logging.getLogger(__name__)

PATTERN = {
    "source": ["aws.tag"],
    "detail-type": ["Tag Change on Resource"],
    "detail": {"service": ["ec2", "rds"], "resource-type": ["instance", "db", "cluster"]},
}


@bp.on_cw_event(PATTERN, name="tag_change")
def tag_change(event: CloudWatchEvent) -> dict[str, int]:
    """Answers as `discover` does, of the rules that have one of these tags."""
    logging_setup.set_up()
    detail = event.detail if isinstance(event.detail, dict) else {}
    keys = detail.get("changed-tag-keys")
    place = _place(detail.get("service"), event.region)
    if place is None or not isinstance(keys, list):
        log.warning("a change of tags that tells of none")
        return {"rules": 0}
    changed = frozenset(key for key in keys if isinstance(key, str))

    def concerned(rule: TaggedRule) -> bool:
        return rule.spec.place == place and any(key in changed for key, _ in rule.spec.tags)

    return asdict(scheduler.discover().run(concerned))


def _place(service: object, region: str) -> Place | None:
    from chalicelib.domain.resources import Place, ResourceKind

    if service not in {"ec2", "rds"}:
        return None
    return Place(ResourceKind(service), region)
