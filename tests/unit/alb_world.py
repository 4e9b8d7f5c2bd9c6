"""The small world with an ALB instead of a proxy: its users meet what its weights send them to."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.alb_traffic import AlbPlace, Position, with_default_guard
from chalicelib.domain.albs import AlbSettings, MadeAlb, MadeListener
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.provision import Phase, Provision
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.warm_up import WakeCause
from tests.builders import make_balancer
from tests.unit.world import World

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.alb_traffic import RuleTraffic
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.resources import ResourceState

ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
ALB_ARN = f"{ELB}:loadbalancer/app/as-lb-alb/0000000000000001"
LISTENER = f"{ELB}:listener/app/as-lb-alb/0000000000000001/0000000000000002"
FUNCTION_GROUP = f"{ELB}:targetgroup/as-lb-alb/0000000000000003"
PLACE = AlbPlace("lb_alb", "us-east-1", ALB_ARN, (LISTENER,), FUNCTION_GROUP)


def make_alb(id_: str = "lb_alb", made: MadeAlb | None = None, **changes: Any) -> LoadBalancer:
    stands = made or MadeAlb(
        ALB_ARN,
        "as-lb-alb-1.us-east-1.elb.amazonaws.com",
        "Z35SXDOTRQ7X7K",
        (MadeListener(LISTENER, 443, "https"),),
        function_target_group_arn=FUNCTION_GROUP,
    )
    settings: dict[str, Any] = {
        "kind": LoadBalancerKind.ALB,
        "existing": False,
        "alb": AlbSettings("internal", "*.example.com"),
        "provision": Provision(Phase.READY, "https://api.example.com", START, alb=stands),
    }
    return make_balancer(id_, **(settings | changes))


class AlbWorld(World):
    """One rule `ru_1` with one instance behind one ALB `lb_alb`. `order` has each thing that was asked of AWS."""

    made_balancers = (make_balancer(), make_alb())

    def __init__(self, chaos: random.Random | None = None, **spec: Any) -> None:
        super().__init__(chaos, **({"load_balancer_id": "lb_alb"} | spec))
        self.agent.alive = False
        self.listener_rule = self.elb.add(PLACE, "ru_1", (self.ref,))
        self.order: list[tuple[datetime, str]] = []
        self.met: list[tuple[datetime, Position, ResourceState]] = []
        start, stop, put = self.cloud.start, self.cloud.stop, self.elb.put

        def noted_start(refs: Sequence[Any]) -> Any:
            self.order.append((self.clock.now(), "start"))
            return start(refs)

        def noted_stop(refs: Sequence[Any], **how: bool) -> Any:
            self.order.append((self.clock.now(), "stop"))
            return stop(refs, **how)

        def noted_put(traffic: RuleTraffic, position: Position) -> None:
            self.order.append((self.clock.now(), position.value))
            put(traffic, position)

        self.cloud.start, self.cloud.stop, self.elb.put = noted_start, noted_stop, noted_put  # type: ignore[method-assign]

    @property
    def position(self) -> Position:
        return self.elb.position(PLACE, "ru_1")

    @property
    def did(self) -> list[str]:
        return [what for _, what in self.order]

    def at(self, what: str) -> datetime:
        """When that was last asked for."""
        return next(at for at, did in reversed(self.order) if did == what)

    def visit(self) -> Position:
        """Somebody comes: where to, and what the instance was then, is kept."""
        served = self.elb.serves(PLACE, "ru_1")
        self.met.append((self.clock.now(), served, self.instance.state))
        if served is Position.INSTANCES:
            self.alb_metrics.request(self.elb.rules[self.listener_rule].weights.groups[0][0])
        else:
            self.wake()
        return served

    def wake(self) -> None:
        self.warm_up.by_traffic("lb_alb", ("ru_1",), WakeCause("http", "203.0.113.7", host="app.example.com"))


def up_alb_world(chaos: random.Random | None = None, **spec: Any) -> AlbWorld:
    """An ALB world whose rule was just woken and is up, as a rule on an ALB has it: with its guard on bytes."""
    world = AlbWorld(chaos, **spec)
    world.change("ru_1", guards=with_default_guard(world.rule.spec).guards)
    world.wake()
    for _ in range(12):
        world.pass_time(_TICK)
        if world.state is RuleState.UP:
            return world
    raise AssertionError(world.state)


_TICK = timedelta(seconds=10)
