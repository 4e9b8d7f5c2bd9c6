"""Targets that have a name: looked up every five seconds, kept over failures, and never a way to where none belongs."""

from __future__ import annotations

import asyncio
import json

import pytest

from chalicelib.agent.beliefs import STARTING_FOR
from chalicelib.agent.names import EVERY, Names, SystemResolver
from chalicelib.envoy.clusters import REFUSING, REFUSING_PORT
from chalicelib.envoy.compact import CompactError, parse_rules
from tests.unit.envoy.fakes import shell
from tests.unit.envoy.test_configuration import Bench as ConfigurationBench

NAME = "db-1.abc.us-east-1.rds.amazonaws.com"


def database(id_: str = "ru_2", *names: str, **more):
    return shell(id_, **({"targets": [], "names": list(names) or [NAME], "start": 30} | more))


class FakeResolver:
    """Answers as told; what it does not know does not resolve."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, ...]] = {}
        self.asked: list[str] = []

    async def addresses(self, name):
        self.asked.append(name)
        return self.known.get(name, ())


class Bench(ConfigurationBench):
    def __init__(self, tmp_path, *, loopback: bool = False) -> None:
        super().__init__(tmp_path)
        self.resolver = FakeResolver()
        self.kept = self.settings.state_dir / "addresses.json"
        self.names_ = Names(
            self.beliefs, self.resolver, self.clock, self.configuration.changed.set, self.kept, loopback=loopback
        )

    def look_up(self, seconds: float = EVERY) -> None:
        self.configuration.changed.clear()
        asyncio.run(self.names_.turn())
        self.clock.pass_time(seconds)

    def endpoints(self) -> list[tuple[str, int]]:
        (cluster,) = self.file("cds")["resources"]
        assert cluster["type"] == "STATIC", "Envoy never resolves"
        (group,) = cluster["load_assignment"]["endpoints"]
        found = [one["endpoint"]["address"]["socket_address"] for one in group["lb_endpoints"]]
        return [(address["address"], address["port_value"]) for address in found]


@pytest.fixture
def bench(tmp_path) -> Bench:
    made = Bench(tmp_path)
    made.plane.publish('"r1.s1"', [database()])
    made.turn()
    return made


def test_until_a_name_resolves_its_clients_are_held_by_a_target_that_refuses(bench):
    assert bench.endpoints() == [(REFUSING, REFUSING_PORT)]


def test_what_it_resolves_to_is_the_target(bench):
    bench.resolver.known[NAME] = ("10.0.1.7",)
    bench.look_up()
    assert bench.configuration.changed.is_set()
    bench.turn()
    assert bench.endpoints() == [("10.0.1.7", 22)]
    assert bench.beliefs.rules["ru_2"].targets == ("10.0.1.7",), "its probes go there too"


def test_another_address_is_another_target_and_is_probed_at_once(bench):
    bench.resolver.known[NAME] = ("10.0.1.7",)
    bench.look_up()
    bench.beliefs.of["ru_2"].probe_at = 1e9
    bench.resolver.known[NAME] = ("10.0.2.9",)
    bench.look_up()
    bench.turn()
    assert bench.endpoints() == [("10.0.2.9", 22)]
    assert bench.beliefs.of["ru_2"].probe_at == 0


def test_a_failure_keeps_the_last_answer_and_writes_nothing(bench):
    bench.resolver.known[NAME] = ("10.0.1.7",)
    bench.look_up()
    bench.turn()
    rendered = bench.files.rendered
    bench.resolver.known.clear()
    for _ in range(3):
        bench.look_up()
        bench.turn()
    assert bench.endpoints() == [("10.0.1.7", 22)]
    assert bench.files.rendered == rendered


def test_the_same_answer_in_another_order_changes_nothing(bench):
    bench.resolver.known[NAME] = ("10.0.1.7", "10.0.1.8")
    bench.look_up()
    bench.resolver.known[NAME] = ("10.0.1.8", "10.0.1.7")
    bench.look_up()
    assert not bench.configuration.changed.is_set()


def test_a_name_is_asked_for_every_five_seconds_however_many_rules_have_it(bench):
    bench.plane.publish('"r2.s1"', [database("ru_2"), database("ru_3", listen=20002)])
    bench.turn()
    for _ in range(50):
        bench.look_up(0.2)
    assert len(bench.resolver.asked) == 2


def test_a_name_that_is_gone_is_asked_for_no_more(bench):
    bench.look_up()
    bench.plane.publish('"r2.s1"', [shell()])
    bench.turn()
    asked = len(bench.resolver.asked)
    bench.look_up()
    assert len(bench.resolver.asked) == asked
    assert bench.beliefs.addresses == {}


def test_addresses_outlive_the_agent_while_no_resolver_answers(bench, tmp_path):
    bench.resolver.known[NAME] = ("10.0.1.7",)
    bench.look_up()
    bench.turn()
    again = Bench(tmp_path)
    again.names_.load()
    again.configuration.load_last_good()
    asyncio.run(again.configuration.apply())
    assert again.endpoints() == [("10.0.1.7", 22)]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 7}', "{", '{"x.y": ["169.254.169.254"]}'])
def test_a_file_of_addresses_that_is_broken_is_passed_over(bench, text):
    bench.kept.parent.mkdir(parents=True, exist_ok=True)
    bench.kept.write_text(text)
    bench.names_.load()
    assert not any(bench.beliefs.addresses.values())


NO_TARGETS = """
169.254.169.254 ::ffff:169.254.169.254 fd00:ec2::254 127.0.0.1 ::ffff:127.0.0.1 ::1 0.0.0.0 224.0.0.1 fe80::1 fe80::1%1
not-an-address
"""


@pytest.mark.parametrize("address", NO_TARGETS.split())
def test_an_answer_that_leads_to_the_vm_itself_or_to_its_metadata_is_no_target(bench, address):
    bench.resolver.known[NAME] = (address,)
    bench.look_up()
    assert bench.beliefs.rules["ru_2"].targets == ()


def test_where_everything_is_on_this_machine_loopback_is_a_target(tmp_path):
    bench = Bench(tmp_path, loopback=True)
    bench.plane.publish('"r1.s1"', [database()])
    bench.turn()
    bench.resolver.known[NAME] = ("127.0.0.9", "169.254.169.254")
    bench.look_up()
    assert bench.beliefs.rules["ru_2"].targets == ("127.0.0.9",)


def test_what_has_an_address_and_a_name_has_both_as_targets(bench):
    bench.plane.publish('"r2.s1"', [database(targets=["10.0.0.1"])])
    bench.turn()
    bench.resolver.known[NAME] = ("10.0.1.7",)
    bench.look_up()
    bench.turn()
    assert bench.endpoints() == [("10.0.0.1", 22), ("10.0.1.7", 22)]


@pytest.mark.parametrize("name", ["", "a b.c", "localhost", "-a.example.com", "a..b", "x" * 254, 7, "a.example.com\n"])
def test_what_is_no_dns_name_is_refused_with_the_whole_configuration(name):
    with pytest.raises(CompactError):
        parse_rules([database(id_="ru_2") | {"names": [name]}])


def test_who_waits_for_a_database_is_looked_after_as_long_as_it_may_take_to_start(bench):
    belief = bench.beliefs.of["ru_2"]
    belief.woken = 0.0
    assert belief.waiting(STARTING_FOR + 60)
    assert belief.waiting(29 * 60)
    assert not belief.waiting(30 * 60)


def test_the_hold_on_tcp_lasts_thirty_minutes(bench):
    (listener,) = bench.file("lds")["resources"]
    text = json.dumps(listener)
    attempts = json.loads(text[text.index('"max_connect_attempts": ') + 24 :].split(",")[0].rstrip("}"))
    bench.plane.publish('"r2.s1"', [database(start=10)])
    bench.turn()
    ten = json.dumps(bench.file("lds")["resources"])
    assert f'"max_connect_attempts": {round(attempts / 3)}' in ten


def test_the_resolver_of_the_host_answers_or_says_nothing_but_never_raises():
    async def story():
        resolver = SystemResolver()
        assert "127.0.0.1" in await resolver.addresses("127.0.0.1")
        assert await resolver.addresses("a" * 70 + ".invalid") == ()

    asyncio.run(story())
