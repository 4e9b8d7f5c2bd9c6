"""Carrying out a diversion, and its end: a proxy is told, the weights of an ALB are put."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.alb_traffic import MAX_SILENCE, Position, wanted_position
from chalicelib.domain.decisions import Action
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.resources import Outcome
from chalicelib.domain.transition import drained
from chalicelib.domain.waits import DRAIN, DRAIN_GIVEN_UP
from chalicelib.usecases.proxy_states import publish_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.alb_traffic import RuleTraffic
    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.rules import Rule, RuleStatus
    from chalicelib.ports import ProxyStore
    from chalicelib.usecases.watch_albs import WatchAlbs

ALB_DRAIN = DRAIN_GIVEN_UP + MAX_SILENCE + DRAIN
"""Weights stay until they are put back, so nothing needs to be renewed before the diversion is given up."""

LOOK_MISSING = timedelta(minutes=1)
"""Listener rules are made by the provisioning worker, after the rule is stored; and made again after a drift."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """The traffic of a rule on an ALB as it was seen, None for others, and where the weights are to be put, if so."""

    traffic: RuleTraffic | None = None
    position: Position | None = None

    def blamed(self, action: Action) -> Action:
        """As what a refusal counts: what keeps traffic from what runs is a start that failed, anything else a stop."""
        back = self.position is Position.INSTANCES and action not in {Action.START, Action.STOP}
        return Action.START if back else action


@dataclass(slots=True)
class Diversions:
    """Both kinds of load balancers behind the same steps."""

    proxies: ProxyStore
    albs: WatchAlbs

    def tell(self, rule: Rule, traffic: RuleTraffic | None, now: datetime) -> None:
        """What is not ordinary about a rule, to whoever polls it; the warm-up function of an ALB reads the rule."""
        if traffic is None:
            publish_state(self.proxies, rule, now, rule.status.drain.until if rule.status.drain else None)

    def end(self, rule: Rule, traffic: RuleTraffic | None, now: datetime) -> None:
        """Tell a proxy that it diverts no longer; an ALB is turned by `turn`."""
        if traffic is None:
            publish_state(self.proxies, rule, now)

    def begin(self, rule: Rule, status: RuleStatus, traffic: RuleTraffic | None, now: datetime) -> RuleStatus:
        """The status with the diversion, asked for or renewed."""
        if traffic is not None:
            return drained(status, 0, now, now + ALB_DRAIN)
        until = now + DRAIN
        return drained(status, publish_state(self.proxies, rule, now, until), now, until)

    def due(self, rule: Rule, traffic: RuleTraffic | None, decision: Decision, facts: Facts) -> Turn:
        """What has to be done about the weights for this decision: no position where they are so, or there are none."""
        wanted = None if traffic is None else wanted_position(rule.spec, decision, facts)
        if traffic is None or wanted is None or traffic.position is wanted:
            return Turn(traffic)
        # A diversion of what has no listener rules is refused, and says so; anything else has nothing to do there.
        puts = decision.action is Action.DRAIN or bool(traffic.to_change(wanted))
        return Turn(traffic, wanted if puts else None)

    def due_for(self, rule: Rule, status: RuleStatus, turn: Turn, now: datetime) -> RuleStatus:
        """With the next look soon where listener rules are still missing: who makes them does not know where to."""
        missing = turn.traffic is not None and turn.traffic.position is Position.MISSING
        if not missing or all(route.action != "forward" for route in rule.spec.http):
            return status
        soon = now + LOOK_MISSING
        return replace(status, due_at=soon if status.due_at is None else min(status.due_at, soon))

    def turn(self, rule: Rule, turn: Turn, decision: Decision) -> Sequence[Outcome]:
        """Put the weights; answers nothing, or what AWS refused where the step hangs on it. Raises ThrottledError.

        A start or a stop that was decided goes on all the same: neither waits for the traffic when it gets this far.
        """
        if turn.traffic is None or turn.position is None:
            return ()
        try:
            self.albs.put(turn.traffic, turn.position)
        except ThrottledError:
            raise
        except CloudError as error:
            log.warning("weights were refused", extra={"rule": rule.id, "error": str(error)})
            if decision.action not in {Action.START, Action.STOP}:
                ref = rule.refs[0] if rule.refs else rule.spec.ref(rule.id)
                return (Outcome(ref, accepted=False, code=error.code, message=error.message),)
        return ()

    def undo(self, rule: Rule, traffic: RuleTraffic | None, decision: Decision, now: datetime) -> None:
        """AWS refused the stop: what runs on gets its traffic back. What is not put back now, the next look sees."""
        self.end(rule, traffic, now)
        if traffic is not None:
            try:
                self.turn(rule, Turn(traffic, Position.INSTANCES), decision)
            except ThrottledError as error:
                log.warning("weights are put back later", extra={"rule": rule.id, "error": str(error)})
