"""The smoke check names all that is wrong, and is patient with what has just been made."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib import __version__
from scripts.deployment.errors import UnhealthyError
from scripts.deployment.smoke import PATIENCE_SECONDS, Smoke


class Api(BaseHTTPRequestHandler):
    """Healthy after `refusals` answers of 503; its rules open to one key."""

    version = __version__
    refusals = 0
    token = "ak_right"

    def do_GET(self) -> None:
        kind = type(self)
        if kind.refusals > 0:
            kind.refusals -= 1
            self._answer(503, {})
        elif self.path == "/health":
            self._answer(200, {"status": "ok", "version": kind.version})
        else:
            self._answer(200 if self.headers.get("Authorization") == f"Bearer {kind.token}" else 401, {})

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def api():
    class Mine(Api):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, Mine
    server.shutdown()
    server.server_close()


def smoke(server: ThreadingHTTPServer) -> Smoke:
    """Whose waits take no time."""
    now = [0.0]
    return Smoke(
        f"http://127.0.0.1:{server.server_address[1]}",
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
        clock=lambda: now[0],
    )


def test_what_is_well_is_said_check_by_check(api):
    said = []
    smoke(api[0]).check(said.append, "ak_right")
    assert len(said) == 3
    assert all(line.startswith("  ok ") for line in said)


def test_an_api_that_needs_some_seconds_is_waited_for(api):
    api[1].refusals = 20
    smoke(api[0]).check(lambda _: None)


def test_every_fault_is_named_at_once(api):
    api[1].version = "0.0.9"
    with pytest.raises(UnhealthyError) as caught:
        smoke(api[0]).check(lambda _: None, "ak_wrong")
    for words in ("answers as version 0.0.9", "401"):
        assert words in str(caught.value)


def test_an_api_that_stays_away_is_given_up_after_a_while(api):
    api[1].refusals = 10_000
    check = smoke(api[0])
    with pytest.raises(UnhealthyError, match="503"):
        check.check(lambda _: None)
    assert check.clock() < 3 * PATIENCE_SECONDS
