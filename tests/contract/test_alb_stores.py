"""An ALB, and how far its making is, come back from the stores as they were put."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.albs import AlbSettings, MadeAlb, MadeListener, MadeRecord, PutRule, Theme
from chalicelib.domain.provision import Phase, Provision
from tests.builders import make_alb

if TYPE_CHECKING:
    from types import SimpleNamespace

THEME = Theme("Dev", "https://example.com/l.svg", "#0f5132", "Hello")
SETTINGS = AlbSettings("internet-facing", "*.x.example.com", "arn:c", "Z1", None, THEME)
MADE = MadeAlb(
    "arn:alb",
    "as-lb-2.elb.amazonaws.com",
    "ZELB",
    (MadeListener("arn:l", 80, "http"), MadeListener("arn:s", 443, "https")),
    "arn:f",
    "arn:g",
    MadeRecord("Z1", "*.x.example.com"),
    (PutRule("ru_1", "abc", START), PutRule("ru_2", "def", START, "TooManyRules: no")),
)


def test_settings_and_what_stands_are_read_as_they_were_written(stores: SimpleNamespace) -> None:
    stored = stores.balancers.create(make_alb(alb=SETTINGS, provision=Provision(Phase.CREATING, "", START)))
    assert stores.balancers.get("lb_2").alb == SETTINGS
    stores.provisions.put(stored, Provision(Phase.READY, "", START, alb=MADE))
    found = stores.balancers.get("lb_2").provision
    assert (found.phase, found.alb) == (Phase.READY, MADE)
    assert found.alb.listener_arns == ("arn:l", "arn:s")


def test_one_without_anything_more_than_it_must_have_is_read_so_too(stores: SimpleNamespace) -> None:
    stores.balancers.create(make_alb(provision=Provision(Phase.CREATING, "", START, alb=MadeAlb())))
    found = stores.balancers.get("lb_2")
    assert (found.alb, found.provision.alb) == (AlbSettings("internal", "*.example.com"), MadeAlb())


def test_a_proxy_has_nothing_of_it(stores: SimpleNamespace) -> None:
    assert stores.balancers.get("lb_1").alb is None
