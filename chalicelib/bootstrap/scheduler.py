"""For the functions that decide and act: tick, reconcile, discover and the events that make them look sooner."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import computes, observer, provision_queue, queue, stores, usage, watch_albs
from chalicelib.bootstrap.telling import measures, tracer

if TYPE_CHECKING:
    from chalicelib.ports import ReconcileRequest
    from chalicelib.usecases.discover import Discover
    from chalicelib.usecases.manual_change import ManualChange
    from chalicelib.usecases.reconcile import Reconciler
    from chalicelib.usecases.state_change import StateChange
    from chalicelib.usecases.tick import Tick


@cache
def tick() -> Tick:
    """For the `tick` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.tick import Tick

    return Tick(stores().status, queue(), SystemClock())


@cache
def reconciler() -> Reconciler:
    """For the `reconcile` function."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.diversions import Diversions
    from chalicelib.usecases.reconcile import Reconciler

    s = stores()
    return Reconciler(
        s.rules,
        s.status,
        observer(),
        Diversions(s.proxies, watch_albs()),
        computes(),
        s.events,
        s.back_offs,
        s.account,
        queue(),
        SystemClock(),
        RandomIds(),
        usage(),
        measures(),
        tracer(),
    )


@cache
def discover() -> Discover:
    """For the `discover` function, and for the API."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.discover import Discover

    s, clock = stores(), SystemClock()
    looks, making, ids = queue(), provision_queue(), RandomIds()
    return Discover(s.rules, s.memberships, computes(), s.events, s.back_offs, looks, clock, ids, making)


def read_request(body: str) -> ReconcileRequest:
    """For the `reconcile` function: the request in a message. Raises InvalidInputError for anything else."""
    from chalicelib.adapters.aws.sqs import decode

    return decode(body)


@cache
def state_change() -> StateChange:
    """For the `ec2_state` and `rds_state` functions."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.state_change import StateChange

    return StateChange(stores().rules, stores().status, queue(), SystemClock())


@cache
def manual_change() -> ManualChange:
    """For the `ec2_calls` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.manual_change import ManualChange

    return ManualChange(stores().rules, stores().events, SystemClock())
