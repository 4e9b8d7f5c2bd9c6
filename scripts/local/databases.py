"""The fleet's database: a real PostgreSQL that is up and down as the emulated RDS says, after a slow start.

What RDS does is told to the deployed `rds_state` function in AWS's documented form: the emulator sends no events.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.local.cloud import REGION
from scripts.local.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.local.cloud import Cloud

POLL = 0.2
MESSAGES = {
    "RDS-EVENT-0087": ("notification", "DB instance stopped"),
    "RDS-EVENT-0088": ("notification", "DB instance started"),
    "RDS-EVENT-0154": (
        "notification",
        "DB instance is being started due to it exceeding the maximum allowed time being stopped.",
    ),
}
EVENTS = {"stopped": "RDS-EVENT-0087", "available": "RDS-EVENT-0088"}


def event(name: str, event_id: str) -> dict[str, Any]:
    """What EventBridge would hand over of this database."""
    category, message = MESSAGES[event_id]
    arn, now = f"arn:aws:rds:{REGION}:000000000000:db:{name}", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "version": "0",
        "id": f"{time.time_ns():x}",
        "detail-type": "RDS DB Instance Event",
        "source": "aws.rds",
        "account": "000000000000",
        "time": now,
        "region": REGION,
        "resources": [arn],
        "detail": {
            "EventCategories": [category],
            "SourceType": "DB_INSTANCE",
            "SourceArn": arn,
            "Date": now,
            "SourceIdentifier": name,
            "Message": message,
            "EventID": event_id,
        },
    }


class Database:
    """One of them. `settings`: name, address, port, password_file; `say` writes the fleet's journal."""

    def __init__(
        self,
        cloud: Cloud,
        settings: dict[str, Any],
        boot: float,
        function: str,
        say: Callable[[str, str], None],
    ) -> None:
        self._name, self._boot_seconds, self._function, self._say = settings["name"], boot, function, say
        password = Path(settings["password_file"]).read_text()
        self._server = Postgres(settings["address"], settings["port"], password)
        self._rds, self._lambda = cloud.client("rds"), cloud.client("lambda")
        self._state = ""
        self._boot: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until killed."""
        await asyncio.to_thread(self._server.prepare)
        while True:
            answer = await asyncio.to_thread(self._rds.describe_db_instances, DBInstanceIdentifier=self._name)
            await self._move(answer["DBInstances"][0]["DBInstanceStatus"])
            await asyncio.sleep(POLL)

    async def _move(self, state: str) -> None:
        if state == self._state:
            return
        self._state = state
        self._say(self._name, state)
        if state == "available":
            self._boot = asyncio.create_task(self._start())
        else:
            if self._boot is not None:
                self._boot.cancel()
                with suppress(asyncio.CancelledError):
                    await self._boot
            await asyncio.to_thread(self._server.stop)
        if state in EVENTS:
            await asyncio.to_thread(self._tell, event(self._name, EVENTS[state]))

    async def _start(self) -> None:
        await asyncio.sleep(self._boot_seconds)
        await asyncio.to_thread(self._server.start)
        self._say(self._name, "accepts")

    def _tell(self, told: dict[str, Any]) -> None:
        self._lambda.invoke(FunctionName=self._function, InvocationType="Event", Payload=json.dumps(told).encode())
