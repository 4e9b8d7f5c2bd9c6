"""Which agent the proxies of a load balancer run, and which one the control plane carries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib import __version__
from chalicelib.domain.access import Role

REPORT = {"member": "i-1", "config": "r0.s0"}


def told(api, **changes):
    return api("POST", "/load-balancers/lb_1/report", REPORT | changes, role=Role.PROXY)


def read(api):
    return api("GET", "/load-balancers/lb_1", role=Role.VIEWER).json_body


def test_each_members_agent_is_shown_with_what_is_newer(api):
    assert read(api)["members"] == []
    assert told(api, agent="0.0.9").status_code == 204
    assert told(api, member="i-2", agent=__version__).status_code == 204
    shown = read(api)
    assert [(m["member"], m["agent"], m["newer_agent"]) for m in shown["members"]] == [
        ("i-1", "0.0.9", __version__),
        ("i-2", __version__, None),
    ]
    (words,) = (warning for warning in shown["warnings"] if "runs agent" in warning)
    assert words.startswith(f"i-1 runs agent 0.0.9 and this control plane carries {__version__}")


def test_a_report_that_says_no_version_changes_none_and_who_is_silent_is_forgotten(api):
    told(api, agent="0.0.9")
    told(api)
    assert [member["agent"] for member in read(api)["members"]] == ["0.0.9"]
    api.world.clock.advance(timedelta(hours=3, seconds=1))
    assert read(api)["members"] == []


@pytest.mark.parametrize("version", ["", "0.1.0\n", "<b>", "1" * 41, 1])
def test_a_version_that_is_none_is_refused(api, version):
    answer = told(api, agent=version)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json_body["errors"]] == ["agent"]


def test_each_answer_to_a_poll_says_which_version_is_carried_and_a_304_too(api):
    path = "/load-balancers/lb_1/config"
    first = api("GET", path, role=Role.PROXY)
    assert first.headers["AutoStop-Agent-Version"] == __version__
    again = api("GET", path, role=Role.PROXY, If_None_Match=first.headers["ETag"])
    assert again.status_code == 304
    assert again.headers["AutoStop-Agent-Version"] == __version__
