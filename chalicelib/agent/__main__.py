"""`python -m chalicelib.agent --config FILE`: run.

With `--bootstrap`: write Envoy's bootstrap, print its arguments. With `--status`: tell how the running agent is, and
exit 0 if all is well. With `--fetch-install`: print the control plane's install script, or say why not and exit 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

import aiohttp

from chalicelib.agent.agent import Agent
from chalicelib.agent.clock import SystemClock
from chalicelib.agent.cloudwatch import CloudWatchSink
from chalicelib.agent.control_plane import HttpControlPlane
from chalicelib.agent.envoy_admin import SocketAdmin
from chalicelib.agent.install_script import NoScriptError, fetch
from chalicelib.agent.keys import KeyFile, KeySecret, KeySource
from chalicelib.agent.prober import NetworkProber
from chalicelib.agent.secret_source import SecretsManager
from chalicelib.agent.settings import Settings, load
from chalicelib.agent.status import file_of, told
from chalicelib.envoy.bootstrap import arguments, bootstrap


async def _run(settings: Settings) -> None:
    prober, clock = NetworkProber(), SystemClock()
    try:
        async with aiohttp.ClientSession() as session:
            secrets = SecretsManager(settings)
            key = _key(settings, secrets, clock)
            plane = HttpControlPlane(settings, session, key)
            admin, sink = SocketAdmin(settings.run_dir / "admin.sock"), CloudWatchSink(settings)
            agent = Agent(settings, plane, prober, admin, sink, secrets, clock, lambda: key.trouble)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, agent.stop)
            await agent.run()
    finally:
        await prober.close()


def _key(settings: Settings, secrets: SecretsManager, clock: SystemClock) -> KeySource:
    if settings.key_file is not None:
        return KeyFile(settings.key_file)
    return KeySecret(str(settings.api_key_secret_arn), secrets, clock)


def _tell(settings: Settings) -> int:
    try:
        well, words = told(file_of(settings).read_text(), SystemClock().now())
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stdout.write(f"TROUBLE: there is no status to be read, so the agent does not run: {error}\n")
        return 1
    sys.stdout.write(words)
    return 0 if well else 1


async def _fetch(settings: Settings) -> bytes:
    async with aiohttp.ClientSession() as session:
        return await fetch(settings, session, _key(settings, SecretsManager(settings), SystemClock()))


def _print_install_script(settings: Settings) -> int:
    try:
        script = asyncio.run(_fetch(settings))
    except NoScriptError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(script)
    return 0


def main() -> None:
    """Parse the command line and do as it says."""
    parser = argparse.ArgumentParser(prog="autostop-agent")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--bootstrap", action="store_true")
    parser.add_argument("--status", action="store_true")
    parser.add_argument("--fetch-install", action="store_true")
    options = parser.parse_args()
    settings = load(options.config)
    if options.bootstrap:
        file = settings.run_dir / "envoy.json"
        for kind in ("lds", "cds", "rds"):
            (settings.run_dir / "xds" / kind).mkdir(parents=True, exist_ok=True)
        node = f"{settings.load_balancer_id}/{settings.member}"
        file.write_text(json.dumps(bootstrap(settings.run_dir, node)))
        sys.stdout.write(json.dumps(arguments(file, os.cpu_count() or 1)) + "\n")
        return
    if options.status:
        sys.exit(_tell(settings))
    if options.fetch_install:
        sys.exit(_print_install_script(settings))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_run(settings))


if __name__ == "__main__":
    main()
