"""The fleet: local processes' worth of guests, up and down as the emulated EC2 says, after a boot delay.

`python -m scripts.local.fleet SETTINGS.json`. Each guest listens on its instance's private address. There may be
databases (scripts/local/databases.py), and guests with an interface have flow logs (scripts/local/flows.py). Every
transition seen is told to the deployed `ec2_state` function in AWS's documented form, because the emulator refuses
events of source aws.ec2, and one JSON line of it is printed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
from aiohttp import web

from scripts.local.cloud import REGION, Cloud, free_port
from scripts.local.databases import Database
from scripts.local.flows import FlowLog, Tap, write_for_ever

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Closer = Callable[[], Awaitable[None]]

POLL = 0.2


class Site:
    """An HTTP guest: GET says who it is, POST says what arrived."""

    async def start(self, address: str, port: int, instance_id: str) -> Closer:
        """Listen; answers how to cut everything."""

        async def get(request: web.Request) -> web.Response:
            return web.Response(text=f"<!doctype html><title>site</title>hello from {instance_id} {request.path}\n")

        async def post(request: web.Request) -> web.Response:
            body = await request.read()
            return web.json_response({"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})

        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/{path:.*}", get)
        app.router.add_post("/{path:.*}", post)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, address, port).start()
        return runner.cleanup


class Shell:
    """An SSH guest: one user, one key, commands answered with what they said."""

    def __init__(self, authorized: str, host_key: str) -> None:
        self._authorized = authorized
        self._host_key = host_key

    async def start(self, address: str, port: int, instance_id: str) -> Closer:
        """Listen; answers how to cut everything."""
        connections: set[asyncssh.SSHServerConnection] = set()

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                connections.add(conn)
                self._conn = conn

            def connection_lost(self, exc: Exception | None) -> None:
                del exc
                connections.discard(self._conn)

        async def run(process: Any) -> None:  # noqa: ANN401
            process.stdout.write(f"{instance_id}: {process.command or 'hello'}\n")
            process.exit(0)

        listener = await asyncssh.create_server(
            Server,
            address,
            port,
            server_host_keys=[self._host_key],
            authorized_client_keys=self._authorized,
            process_factory=run,
        )

        async def cut() -> None:
            listener.close()
            for connection in list(connections):
                connection.abort()
            await listener.wait_closed()

        return cut


class Fleet:
    """Watches the emulated account and moves the guests."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._cloud = Cloud(settings["aws_endpoint_url"])
        self._ec2 = self._cloud.client("ec2")
        self._lambda = self._cloud.client("lambda")
        self._states: dict[str, str] = {}
        self._boots: dict[str, asyncio.Task[None]] = {}
        self._closers: dict[str, Closer] = {}
        self._logs = {
            id_: FlowLog(guest["interface"], guest["interface_address"])
            for id_, guest in settings["guests"].items()
            if "interface" in guest
        }

    async def run(self) -> None:
        """Until killed."""
        settings = self._settings
        databases = [
            Database(self._cloud, one, settings["boot_seconds"], settings["rds_state"], say).run()
            for one in settings.get("databases", ())
        ]
        logs = [
            write_for_ever(
                self._cloud, settings["flow_log_group"], log, settings["flow_log_window"], partial(self._runs, id_)
            )
            for id_, log in self._logs.items()
        ]
        await asyncio.gather(self._instances(), *databases, *logs)

    def _runs(self, id_: str) -> bool:
        return self._states.get(id_) == "running"

    async def _instances(self) -> None:
        while True:
            ids = list(self._settings["guests"])
            filters = [{"Name": "instance-id", "Values": ids}]
            answer = await asyncio.to_thread(self._ec2.describe_instances, Filters=filters)
            for reservation in answer["Reservations"]:
                for instance in reservation["Instances"]:
                    await self._move(instance["InstanceId"], instance["State"]["Name"])
            await asyncio.sleep(POLL)

    async def _move(self, id_: str, state: str) -> None:
        if self._states.get(id_) == state:
            return
        self._states[id_] = state
        say(id_, state)
        if state == "running":
            self._boots[id_] = asyncio.create_task(self._boot(id_))
        else:
            boot = self._boots.pop(id_, None)
            if boot is not None:
                boot.cancel()
                with suppress(asyncio.CancelledError):
                    await boot
            closer = self._closers.pop(id_, None)
            if closer is not None:
                await closer()
        await asyncio.to_thread(self._tell, id_, state)

    async def _boot(self, id_: str) -> None:
        guest = self._settings["guests"][id_]
        await asyncio.sleep(self._settings["boot_seconds"])
        server = Site() if guest["kind"] == "site" else Shell(self._settings["authorized"], self._settings["host_key"])
        if id_ in self._logs:
            inner = free_port()
            cut_guest = await server.start("127.0.0.1", inner, id_)
            cut_tap = await Tap(self._logs[id_], ("127.0.0.1", inner)).start(guest["address"], guest["port"])

            async def cut() -> None:
                await cut_tap()
                await cut_guest()

            self._closers[id_] = cut
        else:
            self._closers[id_] = await server.start(guest["address"], guest["port"], id_)
        say(id_, "accepts")

    def _tell(self, id_: str, state: str) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html."""
        event = {
            "version": "0",
            "id": f"{time.time_ns():x}",
            "detail-type": "EC2 Instance State-change Notification",
            "source": "aws.ec2",
            "account": "000000000000",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "region": REGION,
            "resources": [f"arn:aws:ec2:{REGION}:000000000000:instance/{id_}"],
            "detail": {"instance-id": id_, "state": state},
        }
        function = self._settings["ec2_state"]
        self._lambda.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())


def say(id_: str, what: str) -> None:
    """One line of the fleet's own journal."""
    sys.stdout.write(json.dumps({"at": time.time(), "instance": id_, "event": what}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Fleet(json.loads(Path(sys.argv[1]).read_text())).run())
