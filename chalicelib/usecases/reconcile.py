"""Reconcile: observe → decide → claim → act → observe → record, for one rule, whoever asks and however often.

Level-triggered: every tick and every event ends here. Who loses the claim does nothing and says nothing; whoever
dies leaves a lease that runs out, and the next reconcile takes over from what it then observes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.decide import decide, held_back
from chalicelib.domain.decisions import Action, Reason
from chalicelib.domain.errors import CloudError, LostClaimError, NeighbourChangedError, ThrottledError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.history import Step, events_of
from chalicelib.domain.neighbours import needs_others
from chalicelib.domain.resources import Outcome
from chalicelib.domain.rules import Claim
from chalicelib.domain.transition import beside, refused, settle, unobserved
from chalicelib.ports import NOBODY
from chalicelib.ports.measures import UNMEASURED
from chalicelib.usecases.measure_step import measure
from chalicelib.usecases.requests import RESTARTED_BY_AWS, requests_for
from chalicelib.usecases.subject import about

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.neighbours import Neighbour
    from chalicelib.domain.resources import ResourceKind
    from chalicelib.domain.rules import Rule, RuleStatus
    from chalicelib.ports import (
        AccountStore,
        BackOffs,
        Clock,
        Compute,
        EventLog,
        Ids,
        Measures,
        ReconcileRequest,
        RuleRepository,
        RuleStatusStore,
        Tracer,
        WorkQueue,
    )
    from chalicelib.usecases.diversions import Diversions, Turn
    from chalicelib.usecases.observe import Observer, Surroundings
    from chalicelib.usecases.record_usage import RecordUsage

LEASE = timedelta(seconds=60)
"""As long as the reconcile function may run: a holder that is still alive has it."""

ENOUGH = timedelta(seconds=35)
"""After so long in one message no further rule is begun: what a rule does has to end before the function is ended."""

TICK = timedelta(seconds=60)
ATTEMPTS = 3
LOOK_AGAIN = "look again"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """The worker's job: one message, up to 500 rules, each in isolation."""

    rules: RuleRepository
    status: RuleStatusStore
    observer: Observer
    diversions: Diversions
    computes: Mapping[ResourceKind, Compute]
    events: EventLog
    back_offs: BackOffs
    account: AccountStore
    queue: WorkQueue
    clock: Clock
    ids: Ids
    usage: RecordUsage
    measures: Measures = UNMEASURED
    tracer: Tracer = UNMEASURED

    def run(self, request: ReconcileRequest) -> None:
        """Reconcile the rules of one message.

        A rule that raises is sent again alone; alone for the third time it raises here, so that the message
        reaches the dead-letter queue. A message past its expiry is dropped: what is still due is asked for again.
        """
        now = self.clock.now()
        if now >= request.expires_at:
            log.info("dropped an expired request", extra={"rules": request.rule_ids})
            return
        rules = list(self.rules.get_many(request.rule_ids).values())
        if request.cause in {"tick", LOOK_AGAIN}:
            # Another message may have looked at it meanwhile; then that one carries on, and this chain ends here.
            rules = [rule for rule in rules if rule.status.due_at is None or rule.status.due_at <= now]
        if not rules:
            return
        slowed = self.back_offs.until(request.place)
        if slowed is not None and now < slowed:
            self._again(request, tuple(rule.id for rule in rules), slowed - now, request.attempt)
            return
        try:
            seen = self.observer.look(rules, now)
        except ThrottledError:
            slowed = self.back_offs.throttled(request.place, now)
            self._again(request, tuple(rule.id for rule in rules), slowed - now, request.attempt)
            return
        except CloudError as error:
            self._unobserved(rules, error)
            return
        if request.cause == RESTARTED_BY_AWS:
            seen = replace(seen, restarted_by_aws=True)
        due: dict[str, datetime | None] = {}
        for n, rule in enumerate(rules):
            if self.clock.now() - now >= ENOUGH:
                self._leave(request, tuple(rule.id for rule in rules[n:]))
                break
            due[rule.id] = self._isolated(rule, seen, request)
        now = self.clock.now()
        soon = {id_: at for id_, at in due.items() if at is not None and at < now + TICK}
        if soon:
            self._again(request, tuple(soon), max(min(soon.values()) - now, timedelta(seconds=1)))

    def _leave(self, request: ReconcileRequest, rule_ids: tuple[str, ...]) -> None:
        """To the next message, with the same cause: what was seen is old by now, and gets older with each rule."""
        log.info("rules are left to another message", extra={"rules": len(rule_ids)})
        self.queue.send([replace(request, rule_ids=rule_ids, expires_at=self.clock.now() + TICK * 2)])

    def _unobserved(self, rules: Sequence[Rule], error: CloudError) -> None:
        """AWS does not let us look at a whole group: each of its rules says so, and is looked at again later."""
        log.warning(
            "the group could not be observed", extra={"rules": [rule.id for rule in rules], "error": str(error)}
        )
        for rule in rules:
            now = self.clock.now()
            if rule.status.claim is not None and rule.status.claim.live(now):
                continue
            status = unobserved(rule.status, error, now)
            try:
                self.status.record(rule, status)
            except LostClaimError:
                continue  # whoever wrote meanwhile has made it due
            if status.reason is not rule.status.reason:
                self._say(rule, EventKind.UNOBSERVABLE, f"{Reason.UNOBSERVABLE.words} {status.detail}")

    def _isolated(self, rule: Rule, seen: Surroundings, request: ReconcileRequest) -> datetime | None:
        """Reconcile one rule without harm to the others; answers when it is due again, None if others see to it.

        Whatever one rule raises, a defect of ours included, must not keep the others of its message from their turn.
        """
        try:
            with about(rule=rule.id), self.tracer.step("rule", rule=rule.id) as annotate:
                after = self.reconcile(rule, seen)
                reason = after.status.reason
                annotate(state=after.status.state.value, reason="" if reason is None else reason.value)
        except NeighbourChangedError:
            return self.clock.now()
        except LostClaimError:
            return None
        except Exception as error:
            if len(request.rule_ids) == 1 and request.attempt >= ATTEMPTS:
                self._say(rule, EventKind.RECONCILE_FAILED, f"Looking after the rule failed: {error}")
                raise
            log.exception("a rule raised and is sent again alone", extra={"rule": rule.id})
            self._again(request, (rule.id,), timedelta(seconds=5 * (request.attempt + 1)), request.attempt + 1)
            return None
        return after.status.due_at

    def reconcile(self, rule: Rule, seen: Surroundings) -> Rule:
        """Bring one rule one step closer to what it should be; answers it as recorded.

        Raises LostClaimError when somebody else is at work on it or wrote to it meanwhile.
        """
        now = self.clock.now()
        if rule.status.claim is not None and rule.status.claim.live(now):
            raise LostClaimError(rule.id)
        facts = self.observer.facts(rule, seen, now)
        decision = decide(rule, facts, now)
        if decision.begins_a_stop(rule.status) and not self._may_stop(decision, seen, now):
            decision = held_back(decision, rule.status, now)
        status = settle(rule, decision, facts, now)
        turn = self.diversions.due(rule, seen.traffic.get(rule.id), decision, facts)
        status = self.diversions.due_for(rule, status, turn, now)
        if not decision.action.touches_the_world and turn.position is None:
            # As it will be recorded: what may not be started from now on is told with the decision.
            told = rule.with_status(status)
            self.diversions.tell(told, turn.traffic, now)
            after = self.status.record(rule, status, _makes_needed(rule, status, facts))
            self._tell(Step(rule, after, decision, facts))
            self.usage.look(rule, facts, decision, now)
            return after
        return self._act(rule, decision, facts, status, turn)

    def _may_stop(self, decision: Decision, seen: Surroundings, now: datetime) -> bool:
        return self.account.begin_stops(len(decision.resource_ids), seen.account.max_stops_per_tick, now)

    def _act(self, rule: Rule, decision: Decision, facts: Facts, status: RuleStatus, turn: Turn) -> Rule:
        """Claim the step, take it, look again, record."""
        now = self.clock.now()
        claim = Claim(self.ids.new("at"), decision.action, now + LEASE)
        # The claim already holds the times of the request: who takes over an expired lease knows what was asked for.
        needs = _makes_needed(rule, status, facts)
        claimed = self.status.claim(rule, claim, replace(status, claim=claim), needs)
        outcomes: Sequence[Outcome] = ()
        slowed: datetime | None = None
        told = rule.with_status(status)
        try:
            # The traffic first: nothing is stopped under it, and a diversion begins when the weights are put.
            outcomes = self.diversions.turn(rule, turn, decision)
            if not outcomes and decision.action is Action.DRAIN:
                status = self.diversions.begin(told, status, turn.traffic, self.clock.now())
            elif decision.action is Action.CANCEL_STOP or (decision.action is Action.START and rule.status.drain):
                self.diversions.end(told, turn.traffic, now)
            if decision.action in {Action.START, Action.STOP}:
                outcomes = self._ask_aws(rule, decision)
        except ThrottledError:
            # Nothing was done, and nothing is wrong with the rule: it waits with all others of its region.
            slowed = self.back_offs.throttled(rule.spec.place, now)
            status = replace(rule.status, due_at=slowed)
        if any(not outcome.accepted for outcome in outcomes):
            status = refused(status, turn.blamed(decision.action), outcomes, rule.id, now)
            if decision.action is Action.STOP:
                self.diversions.undo(told, turn.traffic, decision, now)
        try:
            after = self.status.record(claimed, replace(status, claim=None))
        except LostClaimError:
            # A wake or a person wrote while we acted: their write stays, ours gives way, and the rule is looked at now.
            after = self._give_way(claimed, status)
        if slowed is None:
            self._tell(Step(rule, after, decision, facts, outcomes))
            self.usage.look(rule, facts, decision, claimed.status.observed_at or now)
        return after

    def _give_way(self, claimed: Rule, status: RuleStatus) -> Rule:
        """Record what we did beside what somebody else wrote meanwhile."""
        for _ in range(5):
            newer = self.rules.get(claimed.id)
            if newer.status.claim is None or claimed.status.claim is None:
                return newer
            if newer.status.claim.attempt_id != claimed.status.claim.attempt_id:
                return newer
            try:
                return self.status.record(newer, beside(status, claimed, newer, self.clock.now()))
            except LostClaimError:
                continue
        return claimed

    def _ask_aws(self, rule: Rule, decision: Decision) -> Sequence[Outcome]:
        refs = [rule.spec.ref(id_) for id_ in decision.resource_ids]
        compute = self.computes[rule.spec.kind]
        try:
            if decision.action is Action.START:
                return compute.start(refs)
            return compute.stop(refs, hibernate=rule.spec.when_idle == "hibernate")
        except ThrottledError:
            raise
        except CloudError as error:
            # Whether AWS accepted is unknown: say what it said, and let the next observation tell.
            log.warning("aws raised", extra={"rule": rule.id, "error": str(error)})
            return [Outcome(ref, accepted=False, code=error.code, message=error.message) for ref in refs]

    def _again(
        self, request: ReconcileRequest, rule_ids: tuple[str, ...], delay: timedelta, attempt: int | None = None
    ) -> None:
        now = self.clock.now()
        again = replace(
            request,
            rule_ids=rule_ids,
            expires_at=now + delay + TICK * 2,
            cause=LOOK_AGAIN if attempt is None else "again alone",
            attempt=request.attempt if attempt is None else attempt,
        )
        self.queue.send([again], delay)

    def _tell(self, step: Step) -> None:
        decision, after, decision_id, now = step.decision, step.after, self.ids.new("ev"), self.clock.now()
        measure(step, self.measures, now)
        if log.isEnabledFor(logging.INFO):
            fields = {
                "decision": decision_id,
                "rule": after.id,
                "action": decision.action.value,
                "desired": decision.desired.value,
                "reason": decision.reason.value,
                "state": after.status.state.value,
                "until": decision.until.isoformat(),
            }
            log.info("decided", extra=fields)
        if after.status.state is not step.before.status.state:
            self._look_at(step.facts.dependents + step.facts.dependencies)
        events = events_of(step, decision_id, iter(lambda: self.ids.new("ev"), None), now)
        if events:
            self.events.append(events)

    def _look_at(self, neighbours: tuple[Neighbour, ...]) -> None:
        """Who waits for a rule, or is needed by it, has something to decide when its state changes."""
        if not neighbours:
            return
        now = self.clock.now()
        rules = [neighbour.rule for neighbour in neighbours]
        self.status.make_due([rule.id for rule in rules], now)
        self.queue.send(requests_for([(r.id, r.spec.place) for r in rules], "neighbour", now))

    def _say(self, rule: Rule, kind: EventKind, words: str) -> None:
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, rule.id, "autostop", words)])


def _makes_needed(rule: Rule, status: RuleStatus, facts: Facts) -> Mapping[str, int]:
    """The rules that this step stands on, if it makes them needed: they must still be as they were seen."""
    starts = status.start_requested_at is not None and status.start_requested_at != rule.status.start_requested_at
    begins = needs_others(status) and not needs_others(rule.status)
    return {need.rule.id: need.rule.revision for need in facts.dependencies} if starts or begins else NOBODY
