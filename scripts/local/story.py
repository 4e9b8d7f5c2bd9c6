"""The main story, played for real and measured: down → request → up → idle → down → wake again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from scripts.local.database_story import DatabaseStory
from scripts.local.names import DATABASE, SITE_HOST
from scripts.local.secure_story import PATIENCE, Secure, StoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.local.world import World

BROWSER = {"Host": SITE_HOST, "Accept": "text/html,application/xhtml+xml"}
CURL = {"Host": SITE_HOST, "Accept": "*/*"}


@dataclass(slots=True)
class Story:
    """Plays it, and keeps the timeline: (step, measured seconds, limit)."""

    world: World
    timeline: list[tuple[str, float, float | None]] = field(default_factory=list)

    def play(self) -> None:
        """Raises StoryError at the first step that does not hold."""
        with ThreadPoolExecutor(4) as pool:
            self._wait("all rules are down", self._are("down"))
            database = pool.submit(DatabaseStory(self.world, self._note, self._check, self._idle).play)
            login = pool.submit(self._ssh)
            direct = pool.submit(self._direct)
            self._browser()
            self._note("ssh login, opened while the instance was down, completes", self._result(login), None)
            direct.result(timeout=PATIENCE)
            self._idle("site", "shell")
            Secure(self.world, self._note, self._check).play()
            self._idle("site")
            self._note("POST of 1 MB while down: one held request, body intact", self._held_post(), None)
            self._stopping()
            self._idle("site")
            database.result(timeout=PATIENCE)
            self._blind()
            self._idle("site")

    # Steps

    def _browser(self) -> None:
        began = time.time()
        page = self._get(BROWSER, timeout=5)
        took = time.time() - began
        self._check(page.status_code == httpx.codes.SERVICE_UNAVAILABLE, f"the page's status is {page.status_code}")
        self._check("text/html" in page.headers.get("content-type", ""), "the page is not HTML")
        self._check("retry-after" in page.headers, "the page has no Retry-After")
        self._check(page.headers.get("cache-control") == "no-store", "the page may be stored")
        self._note("browser: the page while the site is down", took, 1.0)
        while "hello from" not in page.text:
            self._check(time.time() - began < PATIENCE, "the site did not come")
            time.sleep(0.1)
            page = self._get(BROWSER, timeout=5)
        arrived = time.time()
        accepted = self.world.accepted_at("site")[-1]
        self._note("browser: the site, from the first request on", arrived - began, None)
        self._note("browser: the site, after it accepts", max(0.0, arrived - accepted), 1.0)

    def _direct(self) -> None:
        """Nobody is in between: somebody has it started, uses it by its own address, and its flow logs tell of it."""
        rule = f"/rules/{self.world.rules['jump']['id']}"
        self.world.call("POST", f"{rule}/warm-up", {"minutes": 1, "reason": "the demo"})
        self._wait("the jump host is up", self._are("up", "jump"), quiet=True)
        self._wait("its guest accepts", lambda: bool(self.world.accepted_at("jump")), pause=0.1, quiet=True)
        address, port = self.world.instances["jump"]["private_ip"], self.world.ssh_port
        self._note("ssh straight to the jump host", self._ssh(address, port), None)
        used = time.time()
        self._wait("told", lambda: self.world.rule("jump")["last_activity_at"] is not None, quiet=True)
        self._note("jump host: its flow logs have told of it", time.time() - used, None)

    def _held_get(self) -> float:
        began = time.time()
        answer = self._get(CURL, timeout=PATIENCE)
        self._check("hello from" in answer.text, f"curl got {answer.status_code}: {answer.text[:200]}")
        self._note("curl: the answer, after the site accepts", time.time() - self.world.accepted_at("site")[-1], 1.5)
        return time.time() - began

    def _held_post(self) -> float:
        body = os.urandom(1 << 20)
        began = time.time()
        answer = httpx.post(self._url, content=body, headers=CURL, timeout=PATIENCE)
        self._check(answer.status_code == httpx.codes.OK, f"POST got {answer.status_code}: {answer.text[:200]}")
        self._check(answer.json()["sha256"] == hashlib.sha256(body).hexdigest(), "the body was changed on the way")
        return time.time() - began

    def _idle(self, *names: str) -> None:
        """They stop, and not before the idle time after their last use."""
        for name in names:
            self._wait(f"{name} is stopped after its idle time", self._are("down", name), quiet=True)
        for name in names:
            self._check(
                self._stopped_at(name) - self._used_at(name) >= self.world.idle_seconds, f"{name} stopped early"
            )
            quiet = self._stopped_at(name) - self._used_at(name)
            self._note(
                f"{name}: stopped so long after its last use (at least {self.world.idle_seconds:g})", quiet, None
            )

    def _stopping(self) -> None:
        """A connection while the rule is `stopping` is not lost."""
        self._wait("the site is stopping", self._are("stopping", "site"), pause=0.1)
        began = time.time()
        answer = self._get(CURL, timeout=PATIENCE)
        self._check("hello from" in answer.text, f"a request while stopping got {answer.status_code}")
        self._note("a request while the rule is stopping is answered", time.time() - began, None)

    def _blind(self) -> None:
        """Unsubscribed, nothing is stopped and explain says so; subscribed again, what was missed is sent again."""
        with self.world.unsubscribed():
            self._note("curl while the logs are unsubscribed: the site's own answer", self._held_get(), None)
            used = self._used_at("site")
            self._wait("explain says blind", lambda: self._explained()["blind"], quiet=True)
            self._wait("twice the idle time", lambda: time.time() > used + 2 * self.world.idle_seconds, quiet=True)
            explained = self._explained()
            (watermark,) = explained["watermarks"]
            self._check(explained["blind"], f"not blind: {explained['reason']['words']}")
            self._check(self.world.rule("site")["state"] == "up", "it was not kept up")
            self._check(self.world.instance_state("site") == "running", "it was stopped blind")
            self._note("blind: kept up; so old is the evidence, as explain says", watermark["age_seconds"], None)
        self.world.say(f"           {explained['reason']['words']}")

    # Below

    def _explained(self) -> dict[str, Any]:
        explained: dict[str, Any] = self.world.call("GET", f"/rules/{self.world.rules['site']['id']}/explain")
        return explained

    @property
    def _url(self) -> str:
        return f"http://{self.world.proxy_address}:{self.world.site_listen}/"

    def _get(self, headers: dict[str, str], timeout: float) -> httpx.Response:
        return httpx.get(self._url, headers=headers, timeout=timeout)

    def _ssh(self, address: str | None = None, port: int | None = None) -> float:
        """A login through the proxy, or to this address."""
        client = shutil.which("ssh")
        if client is None:
            raise StoryError("no ssh client is installed (Debian: apt-get install openssh-client)")
        if port is None:
            (port,) = self.world.rules["shell"]["listen"].values()
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=100"]
        command = [client, "-i", str(self.world.home / "id_demo"), "-p", str(port), "-F", "none"]
        for option in options:
            command += ["-o", option]
        began = time.time()
        done = subprocess.run(
            [*command, f"demo@{address or self.world.proxy_address}", "whoami"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self._check("whoami" in done.stdout, f"ssh ended with {done.returncode}: {done.stderr[-300:]}")
        return time.time() - began

    def _result(self, future: Future[float]) -> float:
        return future.result(timeout=PATIENCE)

    def _are(self, state: str, *names: str) -> Callable[[], bool]:
        wanted = names or ("site", "shell", DATABASE)
        return lambda: all(self.world.rule(name)["state"] == state for name in wanted)

    def _events(self, name: str) -> list[dict[str, str]]:
        path = f"/rules/{self.world.rules[name]['id']}/events?limit=50"
        items: list[dict[str, str]] = self.world.call("GET", path)["items"]
        return items

    def _stopped_at(self, name: str) -> float:
        stops = [event["at"] for event in self._events(name) if event["action"] == "stop"]
        return datetime.fromisoformat(stops[0]).timestamp()

    def _used_at(self, name: str) -> float:
        return datetime.fromisoformat(self.world.rule(name)["last_activity_at"]).timestamp()

    def _wait(self, what: str, until: Callable[[], bool], *, pause: float = 0.3, quiet: bool = False) -> None:
        began = time.time()
        while not until():
            self.world.processes.check()
            self._check(time.time() - began < PATIENCE, f"{what}: not within {PATIENCE:g} s")
            time.sleep(pause)
        if not quiet:
            self._note(what, time.time() - began, None)

    def _note(self, step: str, seconds: float, limit: float | None) -> None:
        self.timeline.append((step, seconds, limit))
        bound = f" (at most {limit:g})" if limit is not None else ""
        self.world.say(f"  {seconds:7.2f} s  {step}{bound}")
        self._check(limit is None or seconds <= limit, f"{step}: {seconds:.2f} s is more than {limit} s")

    def _check(self, holds: bool, words: str) -> None:  # noqa: FBT001
        if not holds:
            raise StoryError(words)
