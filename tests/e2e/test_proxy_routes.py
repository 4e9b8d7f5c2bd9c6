"""Kinds of routes, for real: redirects, what a target speaks, connections that last."""

from __future__ import annotations

import pytest

from tests.e2e.tools import BROWSER

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def test_a_redirect_leads_where_the_rule_says_and_wakes_nobody(world, port):
    urls = {
        "bare": "https://new.test",
        "path": "http://new.test:8080/a%20b%%41",
        "query": "https://new.test/x?y=z#part",
        "ported": "https://[::1]:8443/",
    }
    moved = [{"hosts": [f"{name}.moved.test"], "port": port, "url": url} for name, url in urls.items()]
    same = [{"hosts": ["same.moved.test"], "port": port}]
    world.site("ru_moved", "here.moved.test", port, redirects=moved + same)
    for name, url in urls.items():
        answer = world.request("GET", port, f"{name}.moved.test:{port}", "/old?secret=1", **BROWSER)
        assert (answer.status, answer.headers["location"]) == (301, url if name != "bare" else f"{url}/")
    answer = world.request("POST", port, f"same.moved.test:{port}", "/old?a=b", b"x")
    assert (answer.status, answer.headers["location"]) == (301, "https://same.moved.test/old?a=b")
    assert world.plane.woken("ru_moved") == []
    beats = len(world.plane.beats())
    world.heard(beats + 2)
    assert world.plane.summaries("ru_moved") == []
