"""The configuration: adopted whole or not at all, written only when something changed, kept for bad times."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta

import pytest

from chalicelib.agent.beliefs import Beliefs
from chalicelib.agent.configuration import Configuration
from chalicelib.agent.verifier import Verifier
from chalicelib.agent.xds import XdsFiles
from chalicelib.envoy.compact import CompactConfig, parse_certificates, parse_rules
from tests.unit.envoy.fakes import START, FakeEnvoy, FakePlane, HandClock, drain, pair, settings, shell, site


class CountingFiles(XdsFiles):
    """The real files, and how often they were rendered."""

    rendered = 0

    def write(self, *args, **kwargs):
        self.rendered += 1
        return super().write(*args, **kwargs)


class Bench:
    def __init__(self, tmp_path, clock: HandClock | None = None, plane: FakePlane | None = None) -> None:
        self.settings = settings(tmp_path)
        self.clock, self.plane, self.envoy = clock or HandClock(), plane or FakePlane(), FakeEnvoy()
        self.beliefs, self.files = Beliefs(), CountingFiles(self.settings)
        self.outcomes, self.asked_again = [], []
        self.loaded: frozenset[str] = frozenset()
        self.verifier = Verifier(self.envoy, self.clock, self.outcomes.append)
        self.configuration = Configuration(
            self.settings.state_dir,
            self.plane,
            self.beliefs,
            self.files,
            self.verifier,
            self.clock,
            self.asked_again.append,
            lambda: self.loaded,
        )

    def turn(self, times: int = 1) -> None:
        async def once():
            await self.configuration.poll()
            for _ in range(times):
                await self.configuration.apply()
                await self.verifier.turn()
                self.clock.pass_time(0.1)

        asyncio.run(once())

    def taken(self) -> None:
        """Turn, and Envoy takes what was written."""
        self.turn()
        self.envoy.has = dict(self.files.versions)
        self.turn(8)

    def file(self, kind: str) -> dict:
        return json.loads((self.settings.run_dir / "xds" / kind / f"{kind}.json").read_text())

    def names(self, kind: str) -> list[str]:
        return [resource["name"] for resource in self.file(kind)["resources"]]


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_what_was_polled_is_written_and_applied_only_when_envoy_has_it(bench):
    bench.plane.publish('"r1.s1"', [site(), shell()])
    bench.turn()
    assert bench.names("lds") == ["tcp-20001", "http-80"]
    assert bench.outcomes == []
    bench.envoy.has = dict(bench.files.versions)
    bench.turn(5)
    assert [(outcome.etag, outcome.errors) for outcome in bench.outcomes] == [("r1.s1", ())]


def test_nothing_is_rendered_while_nothing_changes(bench):
    bench.plane.publish('"r1.s1"', [site(), shell()])
    bench.turn(50)
    assert bench.files.rendered == 1


def test_a_drain_switches_only_the_clusters_and_ends_by_itself_with_the_control_plane_away(bench):
    bench.plane.publish('"r1.s1"', [shell(), site()])
    bench.turn()
    before = dict(bench.files.versions)
    bench.plane.publish('"r1.s2"', [shell(), site()], [drain("ru_2", bench.clock.now() + timedelta(seconds=5))])
    bench.turn()
    address = "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", "address", "socket_address", "address"
    assert at(bench.file("cds")["resources"][0], *address) == "127.0.0.1"
    after = dict(bench.files.versions)
    assert after.pop("cds") != before.pop("cds")
    assert after == before
    assert set(after) == {"lds", "rds:http-80"}
    bench.plane.away = True
    bench.turn(60)
    assert at(bench.file("cds")["resources"][0], *address) == "10.0.0.6"


def test_ten_minutes_without_the_control_plane_change_nothing_and_then_what_is_new_is_there_at_once(bench):
    bench.plane.publish('"r1.s1"', [site(), shell()])
    bench.taken()
    before = {kind: bench.file(kind) for kind in ("cds", "lds")}
    bench.plane.away = True
    bench.plane.publish('"r2.s1"', [site()])
    for _ in range(600):
        bench.turn()
        bench.clock.pass_time(0.9)
    assert {kind: bench.file(kind) for kind in ("cds", "lds")} == before
    assert set(bench.beliefs.rules) == {"ru_1", "ru_2"}
    bench.plane.away = False
    bench.turn()
    assert bench.names("lds") == ["http-80"]


def test_the_last_good_configuration_is_on_the_disk_before_it_takes_the_place_of_the_one_before(bench, monkeypatch):
    """XFS may otherwise leave an empty file where the machine loses its power."""
    kept = bench.settings.state_dir / "config.json"
    seen = []

    def fsync(descriptor: int, real=os.fsync) -> None:
        seen.append(("ru_3" in kept.read_text() if kept.exists() else None, os.fstat(descriptor).st_size > 0))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    bench.plane.publish('"r1.s1"', [site()])
    bench.taken()
    bench.plane.publish('"r2.s1"', [site("ru_3")])
    bench.taken()
    assert seen == [(None, True), (False, True)]
    assert "ru_3" in kept.read_text()


def test_a_drain_ends_within_a_minute_though_our_clock_is_an_hour_behind_and_the_control_plane_away(bench):
    hour = timedelta(hours=1)
    bench.plane.publish('"r1.s2"', [shell()], [drain("ru_2", bench.clock.now() + hour + timedelta(seconds=50))])
    bench.turn()
    bench.plane.away = True
    assert bench.beliefs.config.drained(bench.clock.now()) == {"ru_2"}
    bench.clock.pass_time(61)
    bench.turn()
    assert bench.beliefs.config.drained(bench.clock.now()) == frozenset()
    assert "10.0.0.6" in json.dumps(bench.file("cds"))


def at(value, *path):
    for step in path:
        value = value[step]
    return value


def test_a_part_that_is_null_is_the_one_we_have(bench):
    bench.plane.publish('"r1.s1"', [shell()])
    bench.turn()
    bench.plane.etag = '"r1.s2"'
    bench.plane.config = {"rules": None, "states": {"items": [{"rule": "ru_2", "startable": False}]}}
    bench.turn()
    assert set(bench.beliefs.rules) == {"ru_2"}
    assert not bench.beliefs.startable("ru_2")


def test_what_we_do_not_understand_is_rejected_once_by_its_own_name_and_the_last_one_stays(bench):
    bench.plane.publish('"r1.s1"', [shell()])
    bench.turn()
    bench.plane.publish('"r2.s1"', [shell(targets=["not-an-address"])])
    for _ in range(3):
        bench.turn()
    assert [(outcome.etag, len(outcome.errors)) for outcome in bench.outcomes] == [("r2.s1", 1)]
    assert bench.beliefs.etag == '"r1.s1"'
    bench.plane.publish('"r3.s1"', [site()])
    bench.turn()
    assert set(bench.beliefs.rules) == {"ru_1"}


def test_the_last_good_configuration_is_served_after_a_start_without_the_control_plane(bench, tmp_path):
    bench.plane.publish('"r1.s1"', [shell()], [drain("ru_2", START + timedelta(seconds=30))])
    bench.taken()
    again = Bench(tmp_path, bench.clock)
    again.plane.away = True
    again.configuration.load_last_good()
    again.turn()
    assert again.names("lds") == ["tcp-20001"]
    assert again.beliefs.config.drained(again.clock.now()) == {"ru_2"}
    # A version of ours is never one that our predecessor wrote.
    assert set(again.files.versions.values()).isdisjoint(bench.files.versions.values())


@pytest.mark.parametrize("text", ["", "[]", "null", '{"rules": [{}], "states": []}', "\x00", "[" * 100_000])
def test_a_last_good_configuration_that_is_unreadable_is_none(tmp_path, text):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "config.json").write_text(text)
    bench = Bench(tmp_path)
    bench.configuration.load_last_good()
    assert bench.beliefs.rules == {}


def test_a_full_disk_does_not_keep_a_configuration_from_being_served_and_it_is_kept_later(bench):
    state = bench.settings.state_dir
    state.write_text("a file where the folder should be")
    bench.plane.publish('"r1.s1"', [shell()])
    bench.turn()
    assert bench.names("lds") == ["tcp-20001"]
    bench.taken()
    state.unlink()
    bench.clock.pass_time(60)
    bench.turn()
    assert "ru_2" in (state / "config.json").read_text()


def test_what_envoy_refused_is_written_again_by_and_by(bench):
    bench.plane.publish('"r1.s1"', [shell()])
    bench.turn()
    first = dict(bench.files.versions)
    bench.envoy.refused = {"lds": 1}
    bench.turn(20)
    assert bench.files.versions == first
    bench.clock.pass_time(60)
    bench.turn()
    assert bench.files.versions["lds"] != first["lds"]


def test_routes_that_envoy_refuses_are_put_back_on_the_disk_and_are_not_what_the_next_start_begins_with(
    bench, tmp_path
):
    routes = bench.settings.run_dir / "xds" / "rds" / "http-80.json"
    bench.plane.publish('"r1.s1"', [site()])
    bench.taken()
    good = routes.read_text()
    bench.plane.publish('"r2.s1"', [site(), site("ru_3")])
    bench.turn()
    assert "ru-3.example.com" in routes.read_text()
    bench.envoy.has |= {kind: version for kind, version in bench.files.versions.items() if kind != "rds:http-80"}
    bench.envoy.refused = {"rds:http-80": 1}
    bench.turn(20)
    assert [(outcome.etag, bool(outcome.errors)) for outcome in bench.outcomes] == [("r1.s1", False), ("r2.s1", True)]
    assert routes.read_text() == good
    # Tried again by and by, refused again, put back again.
    bench.clock.pass_time(60)
    bench.turn()
    assert routes.read_text() != good
    bench.envoy.refused = {"rds:http-80": 2}
    bench.turn(20)
    assert routes.read_text() == good
    again = Bench(tmp_path, bench.clock)
    again.configuration.load_last_good()
    assert set(again.beliefs.rules) == {"ru_1"}
    bench.plane.publish('"r3.s1"', [site(), site("ru_4")])
    bench.taken()
    assert "ru-4.example.com" in routes.read_text()
    again.configuration.load_last_good()
    assert set(again.beliefs.rules) == {"ru_1", "ru_4"}


def test_a_port_that_is_taken_keeps_no_configuration_from_being_kept_for_the_next_start(bench, tmp_path):
    bench.plane.publish('"r1.s1"', [site(), shell()])
    bench.turn()
    bench.envoy.has = {"cds": bench.files.versions["cds"]}
    bench.envoy.refused = {"lds": 1}
    bench.turn(150)
    again = Bench(tmp_path, bench.clock)
    again.configuration.load_last_good()
    assert set(again.beliefs.rules) == {"ru_1", "ru_2"}


def test_a_wish_to_send_again_is_passed_on_without_a_new_configuration(bench):
    bench.plane.publish('"r1.s1"', [shell()])
    bench.turn()

    async def poll(etag):
        return '"r1.s1"', {"rules": None, "states": None, "resend_from": "2026-01-05T07:00:00Z"}

    bench.plane.poll = poll
    bench.turn()
    assert bench.asked_again == ["2026-01-05T07:00:00Z"]
    assert bench.files.rendered == 1


def secure(id_: str, port: int = 443):
    return site(
        id_, http=[{"hosts": [f"{id_.replace('_', '-')}.example.com"], "port": port, "target": 8080, "tls": True}]
    )


def test_a_port_with_tls_is_there_as_soon_as_any_of_its_certificates_is(bench):
    pairs = [pair("a", "ru-1.example.com"), pair("b", "ru-2.example.com")]
    bench.plane.publish('"r1.s1"', [secure("ru_1"), secure("ru_2"), shell()], certificates=pairs)
    bench.turn()
    # Envoy would refuse a listener that names a secret without a file, and never take routes that nobody asks for.
    assert bench.names("lds") == ["tcp-20001"]
    assert "rds:http-443" not in bench.files.versions
    bench.loaded = frozenset({parse_certificates(pairs)[1].name})
    bench.turn()
    assert bench.names("lds") == ["tcp-20001", "https-443"]
    (chain,) = bench.file("lds")["resources"][1]["filter_chains"]
    assert chain["filter_chain_match"] == {"server_names": ["ru-2.example.com"]}
    assert "rds:http-443" in bench.files.versions


def test_certificates_are_kept_for_bad_times_and_only_by_their_names(bench, tmp_path):
    bench.plane.publish('"r1.s1"', [secure("ru_1")], certificates=[pair("a", "ru-1.example.com")])
    bench.turn()
    bench.plane.etag = '"r1.s2"'
    bench.plane.config = {"rules": None, "states": {"items": []}}
    bench.taken()
    again = Bench(tmp_path, bench.clock)
    again.configuration.load_last_good()
    assert again.beliefs.config.certificates == parse_certificates([pair("a", "ru-1.example.com")])
    assert bench.beliefs.config.certificates == again.beliefs.config.certificates


def test_a_host_with_two_certificates_is_refused_whole(bench):
    pairs = [pair("a", "x.example.com"), pair("b", "X.example.com")]
    bench.plane.publish('"r1.s1"', [secure("ru_1")], certificates=pairs)
    bench.turn()
    assert [len(outcome.errors) for outcome in bench.outcomes] == [1]


def on_port(id_: str, port: int):
    return site(id_, http=[{"hosts": [f"{id_.replace('_', '-')}.example.com"], "port": port, "target": 8080}])


def routes_in(folder) -> dict[str, list[str]]:
    """Names of the route configurations in each file: Envoy refuses a file with two."""
    return {
        file.name: [resource["name"] for resource in json.loads(file.read_text())["resources"]]
        for file in folder.iterdir()
    }


def test_the_routes_of_each_port_are_in_a_file_of_their_own_which_goes_with_the_port(bench):
    folder = bench.settings.run_dir / "xds" / "rds"
    bench.plane.publish('"r1.s1"', [on_port("ru_1", 80), on_port("ru_2", 8080)])
    bench.turn()
    assert routes_in(folder) == {"http-80.json": ["http-80"], "http-8080.json": ["http-8080"]}
    assert set(bench.files.versions) == {"cds", "lds", "rds:http-80", "rds:http-8080"}
    before = dict(bench.files.versions)
    bench.plane.publish('"r2.s1"', [on_port("ru_1", 80), on_port("ru_2", 8080), on_port("ru_3", 8080)])
    bench.turn()
    assert bench.files.versions["rds:http-80"] == before["rds:http-80"]
    assert bench.files.versions["rds:http-8080"] != before["rds:http-8080"]
    bench.plane.publish('"r3.s1"', [on_port("ru_1", 81)])
    bench.turn()
    assert routes_in(folder) == {"http-81.json": ["http-81"]}
    assert set(bench.files.versions) == {"cds", "lds", "rds:http-81"}


def test_routes_are_there_before_a_listener_names_them_even_where_others_go(bench, monkeypatch):
    written = []
    monkeypatch.setattr("chalicelib.agent.xds.atomic_write", lambda path, _: written.append(path.stem))
    bench.files.write(CompactConfig(parse_rules([on_port("ru_1", 80), shell()])), (), ())
    assert written == ["cds", "http-80", "lds"]
    written.clear()
    bench.files.write(CompactConfig(parse_rules([on_port("ru_1", 81)])), (), ())
    assert written.index("http-81") < written.index("lds") < written.index("cds")
