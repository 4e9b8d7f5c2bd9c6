"""The progress page in a real Chromium. Screenshots are left in .build/screenshots."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from chalicelib.domain.decisions import Reason
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.rules import DependsOn, HeldDown, RuleState, RuleStatus
from tests.e2e.page_world import PageWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.e2e

SHOTS = Path(__file__).parent.parent.parent / ".build" / "screenshots"
QUIET = [
    "--no-sandbox",  # Chromium refuses one to root; the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        words = "there is no Chromium here (on Debian: apt-get install chromium)"
        if os.environ.get("AUTOSTOP_BROWSER") == "needed":
            pytest.fail(words)
        pytest.skip(words)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> PageWorld:
    return PageWorld(monkeypatch)


@pytest.fixture
def url(world: PageWorld) -> Iterator[str]:
    with world.serve() as address:
        yield address


class Window:
    """A page that was opened, what it asked for, and what its console complained of."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.answer = self.page.goto(url, wait_until="load")

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def barriers(self) -> list[str]:
        """What axe finds, of WCAG 2 and of good practice."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]

    def text(self) -> str:
        return self.page.inner_text("main")


@pytest.fixture
def open_window(browser: Browser, url: str) -> Iterator[Any]:
    opened: list[Window] = []

    def open_(path: str = "/", **context: Any) -> Window:
        opened.append(Window(browser, url + path, **context))
        return opened[-1]

    yield open_
    for window in opened:
        window.context.close()


def starting(world: PageWorld, reason: Reason = Reason.STARTING, seconds: int = 30) -> RuleStatus:
    now = world.world.clock.now()
    began = now - timedelta(seconds=seconds)
    return RuleStatus(
        state=RuleState.STARTING, reason=reason, start_requested_at=began, woken_at=now, woken_by="x", since=began
    )


def with_history(world: PageWorld) -> None:
    now = world.world.clock.now()
    events = [
        Event(f"ev_h{n}", now - timedelta(days=n + 1), EventKind.STATE_CHANGED, "ru_page", "autostop", "up", seconds=s)
        for n, s in enumerate((55.0, 60.0, 75.0))
    ]
    world.world.stores.events.append(events)


def test_without_javascript_the_page_loads_again_until_the_app_is_there(world, open_window):
    world.rule(starting(world))
    window = open_window("/shop?item=1", java_script_enabled=False)
    assert window.answer.status == 503
    assert "app.localhost is starting" in window.text()
    window.shot("no-javascript")
    world.up = True
    window.page.wait_for_selector("text=The app", timeout=10_000)
    assert window.page.url.endswith("/shop?item=1")


def test_with_javascript_it_tells_what_changed_without_loading_again_and_then_lets_through(world, open_window):
    with_history(world)
    world.rule(starting(world))
    window = open_window()
    assert "AWS was asked to start it." in window.text()
    assert "30 seconds so far, usually 60 seconds." in window.text()
    window.page.evaluate("window.neverLoadedAgain = true")
    window.shot("starting")
    world.rule(starting(world, Reason.AWAITING_HEALTH, 45))
    window.page.wait_for_selector("text=waiting for its health check", timeout=10_000)
    assert window.page.evaluate("window.neverLoadedAgain") is True
    assert window.page.get_attribute("progress", "value") == "75"
    assert window.page.locator("[role=status]").inner_text() == "Running; waiting for its health check to pass."
    world.up = True
    window.page.wait_for_selector("text=The app", timeout=10_000)
    assert all(asked.startswith("http://app.localhost:") for asked in window.asked)
    policy = [words for words in window.complaints if "503" not in words and "favicon" not in words]
    assert policy == [], "the page's own policy stops nothing of it"


def test_what_the_balancer_answers_while_it_turns_to_the_instances_is_never_shown(world, open_window):
    world.rule(starting(world))
    window = open_window()
    window.page.evaluate("window.neverLoadedAgain = true")
    world.turning, world.up = 2, True
    window.page.wait_for_timeout(3_000)
    assert window.page.evaluate("window.neverLoadedAgain") is True
    assert "app.localhost is starting" in window.text()
    window.page.wait_for_selector("text=The app", timeout=10_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out_by_light_or_by_dark(world, open_window, scheme):
    with_history(world)
    world.rule(RuleStatus(state=RuleState.STARTING), "ru_db", name="orders database", http=(), load_balancer_id=None)
    world.rule(starting(world, Reason.AWAITING_DEPENDENCY), depends_on=(DependsOn("ru_db", timedelta(0)),))
    window = open_window(color_scheme=scheme)
    ground = window.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]
    assert "orders database" in window.text()
    window.shot(scheme)
    assert window.barriers() == []


def test_a_narrow_phone_shows_all_of_it(world, open_window):
    with_history(world)
    long = "a-database-with-a-name-that-somebody-found-telling-and-nobody-can-read-at-once"
    world.rule(RuleStatus(state=RuleState.STARTING), "ru_db", name=long, http=(), load_balancer_id=None)
    world.rule(starting(world), depends_on=(DependsOn("ru_db", timedelta(0)),))
    window = open_window(viewport={"width": 320, "height": 568}, device_scale_factor=2)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 320
    window.shot("phone")
    assert window.barriers() == []


def test_a_failure_is_told_in_words(world, open_window):
    now = world.world.clock.now()
    detail = "AWS has no capacity of t3.micro in eu-central-1a now. It is tried again in 2 minutes. <script>"
    world.rule(RuleStatus(state=RuleState.FAILED, reason=Reason.START_FAILED, detail=detail, since=now, woken_at=now))
    window = open_window()
    assert detail in window.text()
    window.shot("failure")
    assert window.barriers() == []


def test_what_a_schedule_keeps_down_says_so_and_until_when(world, open_window):
    until = world.world.clock.now() + timedelta(hours=9)
    held = HeldDown(Reason.DOWNTIME, "Schedule nights (sc_1).", until)
    world.rule(RuleStatus(reason=Reason.DOWNTIME, held_down=held))
    window = open_window()
    assert "app.localhost is not running" in window.text()
    assert "Schedule nights (sc_1)." in window.text()
    assert f"Until {until:%Y-%m-%d %H:%M} UTC." in window.text()
    assert window.page.locator("progress").count() == 0
    window.shot("schedule")
    assert window.barriers() == []


def test_a_host_that_nobody_has_is_said_to_be_nobodys(world, open_window):
    window = open_window()
    assert window.answer.status == 404
    assert "No rule is for this address." in window.text()
    window.shot("unknown")
    assert window.barriers() == []
