"""`./scripts/demo`: the embedded cloud for a person to look at, or (`--once`) the main story without one."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx

from scripts.local.names import DATABASE, SECURE_HOST, SITE_HOST
from scripts.local.postgres import installed
from scripts.local.secure_story import StoryError
from scripts.local.stack import ROOT
from scripts.local.story import Story
from scripts.local.world import World

if TYPE_CHECKING:
    from types import FrameType


def say(words: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stdout.flush()


class Ended(Exception):  # noqa: N818  (it reads as what it tells)
    """Ctrl-C or SIGTERM."""


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)  # a second Ctrl-C must not cut the cleaning short
    raise Ended(signal.Signals(number).name)


def main() -> int:
    """Answers the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--once", action="store_true", help="play the main story and exit 0 only if every step held")
    parser.add_argument(
        "--idle-seconds", type=float, default=None, help="idle time of the demo's rules (default 30; 12 with --once)"
    )
    parser.add_argument(
        "--boot-seconds", type=float, default=None, help="how long a guest boots (default 5; 3 with --once)"
    )
    options = parser.parse_args()
    idle = options.idle_seconds or (12 if options.once else 30)
    boot = options.boot_seconds if options.boot_seconds is not None else (3 if options.once else 5)
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    world = World(ROOT / ".demo", idle, boot, 2 if options.once else 5, say)
    began = time.monotonic()
    try:
        world.set_up()
        say(f"everything is up after {time.monotonic() - began:.1f} s")
        if options.once:
            return _once(world)
        _show(world)
    except Ended as ended:
        say(f"{ended}: ending everything ...")
        return 0 if not options.once else 130
    except (RuntimeError, OSError, httpx.HTTPError, subprocess.SubprocessError) as error:
        say(f"FAILED: {error}")
        return 1
    finally:
        world.end()
    return 0


def _once(world: World) -> int:
    try:
        Story(world).play()
    except (StoryError, RuntimeError, httpx.HTTPError, subprocess.SubprocessError) as error:
        say(f"DID NOT HOLD: {type(error).__name__}: {error}")
        _tell_why(world)
        return 1
    say("every step held")
    return 0


def _tell_why(world: World) -> None:
    """What the control plane thinks, for whoever has to find out."""
    for name, rule in world.rules.items():
        path = f"/rules/{rule['id']}"
        say(f"{name}: {json.dumps(world.call('GET', path))}")
        say(f"{name}: {json.dumps(world.call('GET', path + '/explain'))}")
        for event in world.call("GET", f"{path}/events?limit=20")["items"]:
            say(f"{name}: {event['at']} {event['actor']}: {event['words']}")


def _show(world: World) -> None:
    site = f"http://{world.proxy_address}:{world.site_listen}/"
    (port,) = world.rules["shell"]["listen"].values()
    say(f"API        {world.deployed.api_url}")
    say(f"admin key  {world.admin_key}")
    say(f"site       curl -H 'Host: {SITE_HOST}' {site}")
    resolve = f"{SECURE_HOST}:{world.secure_listen}:{world.proxy_address}"
    say(f"  (https)  curl --cacert .demo/ca.pem --resolve {resolve} {world.secure_url}")
    say(f"shell      ssh -i .demo/id_demo -p {port} demo@{world.proxy_address} whoami")
    (port,) = world.rules[DATABASE]["listen"].values()
    client = installed() / "bin" / "psql"
    login = f"PGPASSWORD=$(cat {world.secrets.path}/db_password)"
    say(f"database   {login} {client} -h {world.proxy_address} -p {port} -U demo -d postgres")
    say("all of it is in .demo/env.json; Ctrl-C ends everything")
    seen: set[str] = set()
    while True:
        world.processes.check()
        for event in reversed(world.call("GET", "/events?limit=100")["items"]):
            if event["id"] not in seen:
                seen.add(event["id"])
                say(f"{event['subject']}  {event['words']}  [{event['actor']}]")
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
