"""What proxies poll and what they have proved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.errors import (
    as_cloud_error,
    condition_failed,
    failed_conditions,
    is_conflict,
    overtaken,
    translated,
)
from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.dynamodb.times import from_micros, maybe_micros, micros
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.access import ApiKey
from chalicelib.domain.activity import UNHEARD, Source, advance, states_version
from chalicelib.domain.errors import CloudError, NotFoundError
from chalicelib.ports import PollState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from chalicelib.domain.activity import Heartbeat, Progress
    from chalicelib.ports import Clock

TRIES = 5


class DynamoProxyStore:
    """Implements ProxyStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def poll(self, load_balancer_id: str) -> PollState:
        with translated():
            item = self._poll_item(load_balancer_id)
        resend = {member: from_micros(at) for member, at in (item.resend or {}).items()}
        keys = [load(ApiKey, text) for text in item.keys or ()]
        known = {key.id: key for key in keys}
        return PollState(int(item.rules_version or 0), int(item.states_version or 0), resend, known)

    def rules(self, load_balancer_id: str) -> Sequence[str]:
        return tuple(item.body or "" for item in self._parts(load_balancer_id, "rule#"))

    def states(self, load_balancer_id: str, now: datetime) -> Sequence[str]:
        stored = self._parts(load_balancer_id, "state#")
        return tuple(item.body or "" for item in stored if item.until is None or item.until > micros(now))

    def put_state(self, load_balancer_id: str, rule_id: str, state: str | None, until: datetime | None) -> int:
        part = f"state#{rule_id}"
        with translated():
            stored = self._item(load_balancer_id, part)
            expires = maybe_micros(until)
            same = (
                (stored is None) if state is None else bool(stored and (stored.body, stored.until) == (state, expires))
            )
            if same:
                return int(self._poll_item(load_balancer_id).states_version or 0)
            self._write_state(load_balancer_id, part, state, expires)
            return int(self._poll_item(load_balancer_id).states_version or 0)

    def sources(self, load_balancer_id: str) -> Sequence[Source]:
        return tuple(load(Source, item.body or "") for item in self._parts(load_balancer_id, "member#"))

    def beat(self, load_balancer_id: str, beat: Heartbeat, received_at: datetime, max_silence: timedelta) -> Progress:
        progress: Progress | None = None

        def move(member: Source | None) -> Source:
            nonlocal progress
            known = member or Source(beat.member, None, max_silence)
            progress = advance(known.proof, beat, received_at)
            config_version = states_version(beat.config)
            newer = config_version is not None and (
                known.config_at is None or config_version > known.config_states_version
            )
            return Source(
                beat.member,
                progress.proof.span,
                max_silence,
                config_version if newer and config_version is not None else known.config_states_version,
                received_at if newer else known.config_at,
                progress.proof.islands,
                beat.raw,
            )

        self._change(load_balancer_id, beat.member, move)
        if progress is None:
            raise AssertionError("a change that was written was computed")
        self._resend(load_balancer_id, beat.member, progress.proof.missing_from)
        return progress

    def applied(self, load_balancer_id: str, member: str, states_version: int, at: datetime) -> None:
        def learn(known: Source | None) -> Source:
            source = known or Source(member, None, UNHEARD)
            if source.config_at is not None and states_version <= source.config_states_version:
                return source
            return replace(source, config_states_version=states_version, config_at=at)

        self._change(load_balancer_id, member, learn)

    # Below

    def _change(self, load_balancer_id: str, member: str, change: Callable[[Source | None], Source]) -> None:
        """Read, compute, write at the step that was read; again if somebody else wrote in between.

        Raises NotFoundError for a first word of a member to a load balancer that does not exist.
        """
        part = f"member#{member}"
        for _ in range(TRIES):
            with translated():
                stored = self._item(load_balancer_id, part)
                before = load(Source, stored.body or "") if stored else None
                after = change(before)
                if after == before:
                    return
                if stored is None:
                    self._poll_item(load_balancer_id)
                step = int(stored.step or 0) if stored else 0
                unchanged = ProxyItem.step == step if stored else ProxyItem.load_balancer_id.does_not_exist()
                try:
                    ProxyItem(load_balancer_id, part, body=dump(after), step=step + 1).save(condition=unchanged)
                except PynamoDBException as error:
                    if condition_failed(error):
                        continue
                    raise
                return
        raise _contention(member)

    def _write_state(self, load_balancer_id: str, part: str, state: str | None, expires: int | None) -> None:
        """The state and the version that carries it, both or neither.

        Who is told a version may stop an instance once the members have applied it: no version may be told that was
        there before its state. States of other rules share the version, so that two writes can be in each other's way.
        """
        there = ProxyItem.load_balancer_id.exists()
        for _ in range(TRIES):
            try:
                with transaction(ProxyItem) as write:
                    if state is None:
                        write.delete(ProxyItem(load_balancer_id, part))
                    else:
                        write.save(ProxyItem(load_balancer_id, part, body=state, until=expires))
                    poll = ProxyItem(load_balancer_id, "poll")
                    write.update(poll, actions=[ProxyItem.states_version.add(1)], condition=there)
            except TransactWriteError as error:
                if failed_conditions(error):
                    raise NotFoundError("load balancer", load_balancer_id) from error
                if not is_conflict(error):
                    raise as_cloud_error(error) from error
            else:
                return
        raise _contention(load_balancer_id)

    def _resend(self, load_balancer_id: str, member: str, start: datetime | None) -> None:
        """Have in the poll item from when the member is to send again.

        Members share that item and a member's heartbeats overtake each other: it is written only as it was read, and
        after a write it is held against the member's own item once more, which may have moved on meanwhile.
        """
        wanted = maybe_micros(start)
        for _ in range(TRIES):
            with translated():
                asked = self._poll_item(load_balancer_id).resend
                if (asked or {}).get(member) == wanted:
                    return
                new = {name: at for name, at in (asked or {}).items() if name != member}
                if wanted is not None:
                    new[member] = wanted
                unchanged = ProxyItem.resend.does_not_exist() if asked is None else ProxyItem.resend == asked
                try:
                    ProxyItem(load_balancer_id, "poll").update(
                        actions=[ProxyItem.resend.set(new)], condition=ProxyItem.load_balancer_id.exists() & unchanged
                    )
                except PynamoDBException as error:
                    if not overtaken(error):
                        raise
                stored = self._item(load_balancer_id, f"member#{member}")
                wanted = maybe_micros(load(Source, stored.body or "").proof.missing_from) if stored else None
        raise _contention(load_balancer_id)

    def _poll_item(self, load_balancer_id: str) -> ProxyItem:
        item = self._item(load_balancer_id, "poll")
        if item is None:
            raise NotFoundError("load balancer", load_balancer_id)
        return item

    def _item(self, load_balancer_id: str, part: str) -> ProxyItem | None:
        try:
            return ProxyItem.get(load_balancer_id, part, consistent_read=True)
        except ProxyItem.DoesNotExist:
            return None

    def _parts(self, load_balancer_id: str, prefix: str) -> list[ProxyItem]:
        with translated():
            return list(ProxyItem.query(load_balancer_id, ProxyItem.part.startswith(prefix), consistent_read=True))


def _contention(what: str) -> CloudError:
    return CloudError("Contention", f"{what} was written to by others {TRIES} times.", retryable=True)
