"""What proxies poll and what they have proved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.dynamodb.times import from_micros, maybe_micros, micros
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
        return PollState(int(item.rules_version or 0), int(item.states_version or 0), resend)

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
            if state is None:
                ProxyItem(load_balancer_id, part).delete()
            else:
                ProxyItem(load_balancer_id, part, body=state, until=expires).save()
            # The version moves after the item: a poll never sees a version whose states it cannot read.
            poll = ProxyItem(load_balancer_id, "poll")
            try:
                poll.update(actions=[ProxyItem.states_version.add(1)], condition=ProxyItem.load_balancer_id.exists())
            except PynamoDBException as error:
                if condition_failed(error):
                    raise NotFoundError("load balancer", load_balancer_id) from error
                raise
            return int(poll.states_version or 0)

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
            )

        if self.poll_exists(load_balancer_id) is False:
            raise NotFoundError("load balancer", load_balancer_id)
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

    def poll_exists(self, load_balancer_id: str) -> bool:
        """Whether there is such a load balancer."""
        with translated():
            return self._item(load_balancer_id, "poll") is not None

    def _change(self, load_balancer_id: str, member: str, change: Callable[[Source | None], Source]) -> None:
        """Read, compute, write at the step that was read; again if somebody else wrote in between."""
        part = f"member#{member}"
        for _ in range(TRIES):
            with translated():
                stored = self._item(load_balancer_id, part)
                before = load(Source, stored.body or "") if stored else None
                after = change(before)
                if after == before:
                    return
                step = int(stored.step or 0) if stored else 0
                unchanged = ProxyItem.step == step if stored else ProxyItem.load_balancer_id.does_not_exist()
                try:
                    ProxyItem(load_balancer_id, part, body=dump(after), step=step + 1).save(condition=unchanged)
                except PynamoDBException as error:
                    if condition_failed(error):
                        continue
                    raise
                return
        raise CloudError("Contention", f"Member {member} was written to by others {TRIES} times.", retryable=True)

    def _resend(self, load_balancer_id: str, member: str, start: datetime | None) -> None:
        with translated():
            poll = self._poll_item(load_balancer_id)
            old = dict(poll.resend or {})
            new = {name: at for name, at in old.items() if name != member}
            if start is not None:
                new[member] = micros(start)
            if new != old:
                ProxyItem(load_balancer_id, "poll").update(
                    actions=[ProxyItem.resend.set(new)], condition=ProxyItem.load_balancer_id.exists()
                )

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
