"""The tables, declared once: the base stack and the tests create them from these models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from pynamodb.attributes import JSONAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection
from pynamodb.models import Model

from chalicelib.adapters.dynamodb.schema import SCHEMA, VERSION, migrated

if TYPE_CHECKING:
    from botocore.session import Session

DUE = "due"
"""The one partition of the due index: a tick reads it from its oldest end and stops at now."""


class _Meta:
    """Bounded waiting: a request of ours is small, and the wake path hangs on it."""

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    host = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("AWS_ENDPOINT_URL")
    connect_timeout_seconds = 2
    read_timeout_seconds = 5
    max_retry_attempts = 3
    billing_mode = "PAY_PER_REQUEST"


class Item(Model):
    """What every table is made of: items in a version, that are brought forward as they are read."""

    v = NumberAttribute(null=True, default_for_new=SCHEMA)

    @classmethod
    def from_raw_data(cls, data: dict[str, Any]) -> Self:
        """Raises NewerSchemaError."""
        return super().from_raw_data(migrated(SHORT_NAMES[cls], data))


class DueIndex(GlobalSecondaryIndex["RuleItem"]):  # type: ignore[no-untyped-call]
    """Rules by when they are due, with what messages are grouped by, so that it costs no other read."""

    class Meta:
        index_name = "due"
        projection = IncludeProjection(["kind", "region", "connector", VERSION])

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = NumberAttribute(range_key=True)


TAGGED = "tagged"
"""The one partition of the index of rules with tags."""


class TaggedIndex(GlobalSecondaryIndex["RuleItem"]):  # type: ignore[no-untyped-call]
    """Rules that tags bring resources into, oldest first; the others are not in it. What changes often is left out."""

    class Meta:
        index_name = "tagged"
        projection = IncludeProjection(["spec", "membership", VERSION])

    tagged = UnicodeAttribute(hash_key=True)
    created_at = NumberAttribute(range_key=True)


class RuleItem(Item):
    """A rule: `spec` and `status` as JSON, and beside them what conditions and indexes look at."""

    class Meta(_Meta):
        table_name = "rules"

    id = UnicodeAttribute(hash_key=True)
    spec = UnicodeAttribute()
    status = UnicodeAttribute()
    version = NumberAttribute()
    revision = NumberAttribute()
    kind = UnicodeAttribute()
    region = UnicodeAttribute()
    connector = UnicodeAttribute(null=True)
    due_shard = UnicodeAttribute(default=DUE)
    due_at = NumberAttribute(null=True)
    woken_at = NumberAttribute(null=True)
    woken_by = UnicodeAttribute(null=True)
    dependents = UnicodeSetAttribute(null=True)
    membership = UnicodeAttribute(null=True)
    tagged = UnicodeAttribute(null=True)
    created_at = NumberAttribute()
    updated_at = NumberAttribute()
    due = DueIndex()
    by_tags = TaggedIndex()


class ScheduleItem(Item):
    """A schedule, and beside it the rules that have it."""

    class Meta(_Meta):
        table_name = "schedules"

    id = UnicodeAttribute(hash_key=True)
    body = UnicodeAttribute()
    version = NumberAttribute()
    rule_ids = UnicodeSetAttribute(null=True)


class ClaimItem(Item):
    """Who owns a host, a listen port or a resource; and the answers to idempotency keys, for a day.

    A listen port that HTTP rules share is owned by one of `SHARED`; without any of its `sharers` it is free.
    """

    class Meta(_Meta):
        table_name = "claims"

    key = UnicodeAttribute(hash_key=True)
    owner = UnicodeAttribute()
    sharers = UnicodeSetAttribute(null=True)
    fingerprint = UnicodeAttribute(null=True)
    expires = TTLAttribute(null=True)


class BalancerItem(Item):
    """A load balancer as people see it, and beside it how far its making is."""

    class Meta(_Meta):
        table_name = "load-balancers"

    id = UnicodeAttribute(hash_key=True)
    body = UnicodeAttribute()
    version = NumberAttribute()
    provision = UnicodeAttribute(null=True)
    revision = NumberAttribute(null=True)


class ProxyItem(Item):
    """What a load balancer's proxies poll: `poll`, `rule#ID`, `state#ID`, `member#ID` beside each other.

    `keys` of `poll` are the API keys that are bound to the load balancer: a poll that finds nothing new reads it alone.
    """

    class Meta(_Meta):
        table_name = "proxies"

    load_balancer_id = UnicodeAttribute(hash_key=True)
    part = UnicodeAttribute(range_key=True)
    rules_version = NumberAttribute(null=True)
    states_version = NumberAttribute(null=True)
    rules = NumberAttribute(null=True)
    resend = JSONAttribute(null=True)
    keys = UnicodeSetAttribute(null=True)
    body = UnicodeAttribute(null=True)
    until = NumberAttribute(null=True)
    step = NumberAttribute(null=True)


class ActivityItem(Item):
    """`fact#flow#INTERFACE`, `fact#last#SOURCE`, `fact#health#MEMBER` (what decides), `total#MINUTE#SOURCE` (counts).

    A query has them in this order: what is proven is read before what was used (usecases/observe.py).
    """

    class Meta(_Meta):
        table_name = "activity"

    rule_id = UnicodeAttribute(hash_key=True)
    part = UnicodeAttribute(range_key=True)
    at = NumberAttribute(null=True)
    accepts = NumberAttribute(null=True)
    http_status = NumberAttribute(null=True)
    total = UnicodeAttribute(null=True)
    requests = NumberAttribute(null=True)
    connections = NumberAttribute(null=True)
    open = NumberAttribute(null=True)
    bytes_in = NumberAttribute(null=True)
    bytes_out = NumberAttribute(null=True)
    stored = UnicodeSetAttribute(null=True)
    body = UnicodeAttribute(null=True)
    step = NumberAttribute(null=True)
    expires = TTLAttribute(null=True)


class DayIndex(GlobalSecondaryIndex["EventItem"]):  # type: ignore[no-untyped-call]
    """The whole account's events, a day a partition."""

    class Meta:
        index_name = "by-day"
        projection = AllProjection()

    day = UnicodeAttribute(hash_key=True)
    order = UnicodeAttribute(range_key=True)


class EventItem(Item):
    """One entry of the history; `order` is its time and id, so that a second write of it is the same item."""

    class Meta(_Meta):
        table_name = "events"

    subject = UnicodeAttribute(hash_key=True)
    order = UnicodeAttribute(range_key=True)
    day = UnicodeAttribute()
    body = UnicodeAttribute()
    expires = TTLAttribute()
    by_day = DayIndex()


class KeyItem(Item):
    """An API key: of its secret only the hash."""

    class Meta(_Meta):
        table_name = "api-keys"

    id = UnicodeAttribute(hash_key=True)
    body = UnicodeAttribute()


class BackOffItem(Item):
    """Until when AWS is left alone: one item for each kind and region that ever throttled."""

    class Meta(_Meta):
        table_name = "back-offs"

    place = UnicodeAttribute(hash_key=True)
    strikes = NumberAttribute()
    until = NumberAttribute()
    expires = TTLAttribute()


class UsageIndex(GlobalSecondaryIndex["UsageItem"]):  # type: ignore[no-untyped-call]
    """Every rule's record of a day: what the account's total is made from."""

    class Meta:
        index_name = "by-day"
        projection = AllProjection()

    day = UnicodeAttribute(hash_key=True)
    rule_id = UnicodeAttribute(range_key=True)


class UsageItem(Item):
    """`2026-01-05` or, of what would have been, `2026-01-05#dry-run`: a rule's record of a day.

    The account's totals of days are the items of `account`, whose days begin with `total#`.
    """

    class Meta(_Meta):
        table_name = "usage"

    rule_id = UnicodeAttribute(hash_key=True)
    day = UnicodeAttribute(range_key=True)
    body = UnicodeAttribute()
    version = NumberAttribute()
    expires = TTLAttribute()
    by_day = UsageIndex()


class AccountItem(Item):
    """The account's settings, and how many stops have begun in the newest minute that had any."""

    class Meta(_Meta):
        table_name = "account"

    id = UnicodeAttribute(hash_key=True)
    body = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    paused = NumberAttribute(null=True)
    minute = NumberAttribute(null=True)
    begun = NumberAttribute(null=True)


ALL_MODELS: tuple[type[Model], ...] = (
    RuleItem,
    ScheduleItem,
    ClaimItem,
    BalancerItem,
    ProxyItem,
    ActivityItem,
    EventItem,
    KeyItem,
    BackOffItem,
    UsageItem,
    AccountItem,
)
SHORT_NAMES: dict[type[Model], str] = {model: model.Meta.table_name for model in ALL_MODELS}


def configure(prefix: str, region: str, endpoint_url: str | None = None) -> None:
    """Point the models at the tables of one stage: `PREFIX` + short name, as in `autostop-dev-rules`."""
    for model in ALL_MODELS:
        model.Meta.table_name = prefix + SHORT_NAMES[model]
        model.Meta.region = region
        if endpoint_url is not None:
            model.Meta.host = endpoint_url
        model._connection = None  # noqa: SLF001  (PynamoDB has no public way to point a model elsewhere)


def share_client(first: type[Model], *others: type[Model]) -> Session:
    """Have these models ask through one client; answers the session that made it, for the clients of other services.

    PynamoDB makes a client, and a session, for each model, 50 ms and more of CPU each. It has no public way to share.
    """
    shared = first._get_connection().connection  # noqa: SLF001
    for model in others:
        made = model._get_connection()  # noqa: SLF001
        if made.connection is not shared:
            shared.add_meta_table(made.connection.get_meta_table(made.table_name))
            made.connection = shared
    return shared.session
