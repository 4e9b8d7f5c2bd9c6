"""The part of the story that is told with psql: held while it starts, idle, and AWS's restart after seven days."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.local.databases import event
from scripts.local.names import DATABASE
from scripts.local.postgres import psql
from scripts.local.secure_story import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.local.world import World


@dataclass(slots=True)
class DatabaseStory:
    """Plays it beside the rest: `note` and `check` are the story's own, `wait` until something is so."""

    world: World
    note: Callable[[str, float, float | None], None]
    check: Callable[[bool, str], None]
    idle: Callable[[str], None]

    def play(self) -> None:
        """Raises StoryError at the first step that does not hold."""
        self._held()
        self.idle(DATABASE)
        self._restarted_by_aws()

    def _held(self) -> None:
        began = time.time()
        self._psql("create table if not exists t (x int); insert into t values (42)")
        came = time.time()
        self.note("psql, opened while the database was stopped, completes", came - began, None)
        self.note("psql: the answer, after the database accepts", max(0.0, came - self.accepted()), 1.5)
        rows = self._psql("select count(*) from t")
        self.check(rows == "1", f"the row is not there: {rows!r}")

    def accepted(self) -> float:
        """When PostgreSQL last began to accept."""
        return self.world.accepted_at(DATABASE)[-1]

    def _restarted_by_aws(self) -> None:
        """Nobody asked for it: AWS says why, and as soon as it is available it is stopped again."""
        before = len(self._stops())
        told = json.dumps(event(DATABASE, "RDS-EVENT-0154")).encode()
        function = self.world.deployed.functions["rds_state"]
        began = time.time()
        self.world.cloud.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=told)
        self.world.cloud.client("rds").start_db_instance(DBInstanceIdentifier=DATABASE)
        while len(self._stops()) == before or self.world.rule(DATABASE)["state"] != "down":
            self.check(time.time() - began < PATIENCE, "what AWS restarted was not stopped again")
            time.sleep(0.3)
        words = [one["words"] for one in self._events() if one["kind"] == "restarted_by_aws"]
        self.check(len(words) == 1, f"its history says of AWS's restart: {words}")
        self.note("restarted by AWS after its seven days: stopped again", time.time() - began, None)

    def _stops(self) -> list[dict[str, str]]:
        return [one for one in self._events() if one["action"] == "stop"]

    def _events(self) -> list[dict[str, str]]:
        path = f"/rules/{self.world.rules[DATABASE]['id']}/events?limit=100"
        items: list[dict[str, str]] = self.world.call("GET", path)["items"]
        return items

    def _psql(self, statement: str) -> str:
        (port,) = self.world.rules[DATABASE]["listen"].values()
        done = psql(self.world.proxy_address, port, self.world.database_password, statement, PATIENCE)
        self.check(done.returncode == 0, f"psql ended with {done.returncode}: {done.stderr[-300:]}")
        return done.stdout.strip()
