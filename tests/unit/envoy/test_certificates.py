"""Certificates on the proxy: proved before they are served, rotated whole, and the last good one kept."""

from __future__ import annotations

import asyncio
import json
import stat
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.agent.certificates import KEPT, TELL_AGAIN, Certificates
from chalicelib.agent.vault import Vault, filesystem_of
from chalicelib.envoy.compact import parse_certificates
from chalicelib.envoy.pem import BadPairError, examine
from tests.certificates import make_pair
from tests.unit.envoy.fakes import START, FakeSecrets, HandClock, arn, believe, pair, site

A = pair("a", "a.example.com")
B = pair("b", "*.b.example.com")
NAME_A, NAME_B = (parse_certificates([item])[0].name for item in (A, B))
EVERY = 300


@pytest.fixture
def tmpfs():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made) / "sds"


class Bench:
    def __init__(self, directory: Path, *pairs: dict, most: int = 50) -> None:
        self.clock, self.source, self.directory = HandClock(), FakeSecrets(), directory
        self.beliefs = believe(self.clock, site(), certificates=pairs)
        self.most = most
        self.changes, self.told = 0, []
        self.begin()

    def begin(self) -> None:
        """An agent that has just started."""
        vault = Vault(self.directory)
        self.certificates = Certificates(
            self.beliefs, self.source, vault, self.clock, EVERY, self.most, self._changed, self.told.append
        )

    def _changed(self) -> None:
        self.changes += 1

    def turn(self, seconds: float = 0) -> None:
        self.clock.pass_time(seconds)
        asyncio.run(self.certificates.turn())

    def put(self, name: str, chain: str, key: str) -> None:
        self.source.put(**{f"{name}_cert": chain, f"{name}_key": key})

    def served(self, name: str) -> str:
        file = json.loads((self.directory / f"{name}.json").read_text())
        return file["resources"][0]["tls_certificate"]["certificate_chain"]["inline_string"]

    @property
    def status(self) -> list[tuple[str, str]]:
        return [(line["arn"], line["status"]) for line in self.told[-1]]


@pytest.fixture
def good():
    return make_pair("a.example.com", start=START)


@pytest.fixture
def bench(tmpfs, good) -> Bench:
    bench = Bench(tmpfs, A)
    bench.put("a", good.chain, good.key)
    bench.turn()
    return bench


def test_a_good_pair_is_there_for_envoy_and_for_nobody_else(bench, good):
    assert bench.served(NAME_A) == good.chain
    assert bench.certificates.loaded == {NAME_A}
    assert bench.changes == 1
    assert stat.S_IMODE((bench.directory / f"{NAME_A}.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(bench.directory.stat().st_mode) == 0o700
    assert bench.told == [
        [
            {
                "hosts": ["a.example.com"],
                "arn": arn("a_cert"),
                "status": "ok",
                "not_after": "2026-04-05T07:00:00.000Z",
                "detail": None,
            }
        ]
    ]


def test_only_versions_are_asked_for_while_nothing_is_rotated(bench):
    for _ in range(20):
        bench.turn(EVERY)
    assert len(bench.source.reads) == 2
    assert 2 * 2 <= bench.source.asked <= 21 * 2


def test_a_rotation_is_served_within_its_period_and_changes_no_listener(bench):
    new = make_pair("a.example.com", start=START)
    bench.put("a", new.chain, new.key)
    bench.turn(EVERY * 1.1)
    assert bench.served(NAME_A) == new.chain
    assert bench.changes == 1


def test_half_a_rotation_is_not_served_and_the_other_half_is_seen_soon(bench, good):
    new = make_pair("a.example.com", start=START)
    bench.source.put(a_cert=new.chain)
    bench.turn(EVERY * 1.1)
    assert bench.served(NAME_A) == good.chain
    assert bench.status == [(arn("a_cert"), "invalid")]
    assert "the key is not the certificate's; the last good one is served" in bench.told[-1][0]["detail"]
    bench.source.put(a_key=new.key)
    bench.turn(31)
    assert bench.served(NAME_A) == new.chain
    assert bench.status == [(arn("a_cert"), "ok")]


@pytest.mark.parametrize("text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_broken_certificate_never_takes_the_place_of_a_good_one(bench, good, text):
    bench.source.put(a_cert=text)
    bench.turn(EVERY * 1.1)
    assert bench.served(NAME_A) == good.chain
    assert bench.status == [(arn("a_cert"), "invalid")]


def test_an_expired_one_does_not_take_the_place_of_a_good_one_but_is_served_where_there_is_none(bench, good, tmpfs):
    old = make_pair("a.example.com", start=START - timedelta(days=100))
    bench.put("a", old.chain, old.key)
    bench.turn(EVERY * 1.1)
    assert bench.served(NAME_A) == good.chain
    assert bench.status == [(arn("a_cert"), "expired")]
    (bench.directory / f"{NAME_A}.json").unlink()
    bench.begin()
    bench.turn()
    assert bench.served(NAME_A) == old.chain
    assert bench.status == [(arn("a_cert"), "expired")]


def test_a_certificate_that_expires_while_it_is_served_is_reported(bench):
    bench.turn(timedelta(days=91).total_seconds())
    assert bench.status == [(arn("a_cert"), "expired")]
    assert bench.certificates.loaded == {NAME_A}


def test_a_missing_secret_is_reported_and_keeps_no_other_from_being_served(tmpfs, good):
    bench = Bench(tmpfs, B, A)
    bench.put("a", good.chain, good.key)
    bench.turn()
    assert bench.certificates.loaded == {NAME_A}
    assert bench.status == [(arn("b_cert"), "missing"), (arn("a_cert"), "ok")]
    assert "can't find" in bench.told[-1][0]["detail"]
    other = make_pair("*.b.example.com", start=START)
    bench.put("b", other.chain, other.key)
    bench.turn(31)
    assert bench.certificates.loaded == {NAME_A, NAME_B}
    assert bench.status == [(arn("b_cert"), "ok"), (arn("a_cert"), "ok")]


def test_while_secrets_manager_is_away_all_is_served_on_even_after_a_start(bench, good):
    bench.source.away = True
    bench.turn(EVERY * 1.1)
    assert bench.status == [(arn("a_cert"), "ok")]
    assert "Could not connect" in bench.told[-1][0]["detail"]
    bench.begin()
    # Before anything else: a listener written without it would be taken from its clients.
    assert bench.certificates.loaded == {NAME_A}
    bench.turn()
    assert bench.certificates.loaded == {NAME_A}
    assert bench.served(NAME_A) == good.chain
    bench.source.away = False
    bench.turn(31)
    assert bench.told[-1][0]["detail"] is None


def test_a_deleted_secret_is_said_and_the_last_good_pair_is_served_on(bench, good):
    del bench.source.texts[arn("a_key")]
    for _ in range(3):
        bench.turn(EVERY * 1.1)
    assert bench.certificates.loaded == {NAME_A}
    assert bench.served(NAME_A) == good.chain
    assert "can't find the specified secret" in bench.told[-1][0]["detail"]


def test_one_that_is_taken_from_the_configuration_goes_after_envoy_has_given_it_up(bench):
    bench.beliefs.adopt(believe(bench.clock, site()).config, '"r2.s1"', bench.clock.now())
    bench.turn(1)
    assert bench.certificates.loaded == frozenset()
    assert (bench.directory / f"{NAME_A}.json").exists()
    bench.turn(KEPT)
    assert not (bench.directory / f"{NAME_A}.json").exists()
    assert bench.told[-1] == []


def test_what_was_told_is_told_again_by_and_by(bench):
    told = len(bench.told)
    bench.turn(TELL_AGAIN)
    assert len(bench.told) == told + 1


def test_private_keys_are_never_written_to_a_disk(tmp_path, good, monkeypatch):
    monkeypatch.setattr("chalicelib.agent.vault.filesystem_of", lambda _: "ext4")
    bench = Bench(tmp_path / "sds", A)
    bench.put("a", good.chain, good.key)
    bench.turn()
    assert list((tmp_path / "sds").iterdir()) == []
    assert bench.status == [(arn("a_cert"), "invalid")]
    assert "not on tmpfs" in bench.told[-1][0]["detail"]


def test_the_file_system_is_the_one_that_linux_tells(tmpfs):
    assert filesystem_of(tmpfs) == "tmpfs"
    assert filesystem_of(Path("/proc/self")) == "proc"


def test_no_more_secrets_are_served_than_envoy_can_watch(tmpfs, good):
    bench = Bench(tmpfs, A, B, most=1)
    other = make_pair("*.b.example.com", start=START)
    bench.put("a", good.chain, good.key)
    bench.put("b", other.chain, other.key)
    bench.turn()
    assert bench.certificates.loaded == {NAME_A}
    assert "fs.inotify.max_user_instances" in bench.told[-1][1]["detail"]


def test_both_may_lie_in_one_secret_with_words_around_them(good):
    both = f"Bag Attributes\n{good.key}\nsubject=/CN=a\n{good.chain}"
    found = examine(both, both)
    assert (found.chain, found.key) == (good.chain, good.key)
    assert "PRIVATE" not in repr(found)


def test_a_key_that_is_too_weak_for_envoy_is_refused():
    weak = make_pair("a.example.com", rsa_bits=1024)
    with pytest.raises(BadPairError, match="EE_KEY_TOO_SMALL"):
        examine(weak.chain, weak.key)
    strong = make_pair("a.example.com", rsa_bits=2048)
    assert examine(strong.chain, strong.key).chain == strong.chain


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(good):
    key = serialization.load_pem_private_key(good.key.encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    ).decode()
    with pytest.raises(BadPairError):
        examine(good.chain, locked)


def test_a_curve_that_no_client_speaks_is_refused():
    odd = make_pair("a.example.com", curve=ec.SECP256K1())
    with pytest.raises(BadPairError, match="NO_SHARED_CIPHER"):
        examine(odd.chain, odd.key)
    large = make_pair("a.example.com", curve=ec.SECP521R1())
    assert examine(large.chain, large.key).key == large.key
