"""`autostop-agent-upgrade`: fetched with the proxy's key, verified, installed, and rolled back when it is not well."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from chalicelib.web.install.parts import parts
from chalicelib.web.install.script import KEY_FILE, InstallSettings, script

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ak_proxy_" + "s" * 24


def release_of(text: str) -> str:
    return re.search(r"^readonly RELEASE=(\S+)$", text, re.MULTILINE)[1]


class Plane:
    """A control plane that has one script to give, and says a SHA-256 of it."""

    def __init__(self) -> None:
        self.script, self.sha256 = "", None
        plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["Authorization"] == f"Bearer {KEY}" and self.path == "/load-balancers/lb_1/install"
                body = plane.script.encode() if known else b"who are you"
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("AutoStop-Script-SHA256", plane.sha256 or hashlib.sha256(body).hexdigest())
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not to the output of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.settings = InstallSettings(
            f"http://127.0.0.1:{self.server.server_port}", "lb_1", "us-east-1", "/autostop/dev/proxy", (20000, 29999)
        )

    def text(self, version: str, **changes) -> str:
        return script(self.settings, replace(parts(), version=version, **changes))


@pytest.fixture(scope="module")
def plane():
    made = Plane()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Machine:
    """A proxy below a directory, as the script makes it with --no-system, with this interpreter for its own."""

    def __init__(self, root: Path, plane: Plane) -> None:
        self.root, self.current = root, root / "opt/autostop/current"
        first = plane.text("0.1.0")
        subprocess.run(
            ["bash", "-s", "--", "--root", str(root), "--no-system", "--member", "proxy-1"],
            input=first,
            text=True,
            capture_output=True,
            check=True,
        )
        (root / "run").mkdir(exist_ok=True)
        key = root / KEY_FILE.lstrip("/")
        key.parent.mkdir(parents=True)
        key.write_text(KEY)
        self.venv()

    def venv(self) -> None:
        (self.current / "venv/bin").mkdir(parents=True)
        python = self.current / "venv/bin/python"
        python.write_text(f'#!/bin/bash\nexec {sys.executable} -P "$@"\n')
        python.chmod(0o755)

    @property
    def release(self) -> str:
        return str(self.current.readlink())

    def upgrade(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.current / "bin/autostop-agent-upgrade"), "--root", str(self.root), *options]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd="/")
        assert list((self.root / "run").glob("autostop-upgrade.*")) == []
        return done


@pytest.fixture
def machine(plane, tmp_path) -> Machine:
    plane.script, plane.sha256 = plane.text("0.2.0"), None
    return Machine(tmp_path, plane)


def test_it_installs_what_the_control_plane_carries_for_the_same_member(plane, machine):
    before = machine.release
    done = machine.upgrade()
    assert done.returncode == 0, done.stderr
    assert machine.release == release_of(plane.script) != before
    assert '"member": "proxy-1"' in (machine.current / "etc/agent.json").read_text()
    assert f"installed is {before}, the control plane carries {machine.release}" in done.stderr
    machine.venv()
    again = machine.upgrade()
    assert (again.returncode, "there is nothing to do" in again.stderr) == (0, True)
    assert KEY not in done.stderr + done.stdout


def test_check_only_says_what_would_be_installed(plane, machine):
    before = machine.release
    done = machine.upgrade("--check")
    assert done.returncode == 0
    assert hashlib.sha256(plane.script.encode()).hexdigest() in done.stderr
    assert machine.release == before


def test_what_is_not_what_the_control_plane_says_is_not_installed(plane, machine):
    before = machine.release
    plane.sha256 = "0" * 64
    done = machine.upgrade()
    assert done.returncode == 1
    assert "the script was damaged on its way" in done.stderr
    assert "nothing is changed" in done.stderr
    assert machine.release == before


def test_only_the_script_with_the_sha_256_that_was_asked_for_is_installed(plane, machine):
    before, right = machine.release, hashlib.sha256(plane.script.encode()).hexdigest()
    refused = machine.upgrade("--sha256", "1" * 64)
    assert refused.returncode == 1
    assert "that is not the script with the SHA-256 111" in refused.stderr
    assert machine.release == before
    assert machine.upgrade("--sha256", right).returncode == 0
    assert machine.release == release_of(plane.script)


def test_without_its_key_nothing_is_changed(plane, machine):
    before = machine.release
    (machine.root / KEY_FILE.lstrip("/")).write_text("ak_other_key")
    done = machine.upgrade()
    assert done.returncode == 1
    assert "the control plane answers 401" in done.stderr
    assert machine.release == before


def test_options_that_make_no_sense_are_refused(machine):
    for options, words in [(["--what"], "unknown option"), (["--sha256", "abc"], "needs 64 hexadecimal digits")]:
        done = machine.upgrade(*options)
        assert (done.returncode, words in done.stderr) == (1, True)


STUBS = """
systemctl() { echo "systemctl $*" >>"$home/calls"; }
sysctl() { :; }
systemd-tmpfiles() { :; }
install() { :; }
sleep() { SECONDS=$((SECONDS + 20)); }
status() {
  if [[ $(readlink "$home/current") == "$WELL" ]]; then
    echo 'configuration r1.s1, in Envoy r1.s1'
  else
    echo 'TROUBLE: the control plane fails'
    return 1
  fi
}
home=$ROOT/opt/autostop
run
"""


def system_run(text: str, root: Path, well: str) -> subprocess.CompletedProcess[str]:
    """The part of the script that is for a system, on directories of the test, with services that only note."""
    body = text.removesuffix('main "$@"\n')
    assert body != text
    for place in ("/run/autostop", "/usr/sbin"):
        body = body.replace(place, f"{root}{place}")
    env = os.environ | {"ROOT": str(root), "WELL": well}
    return subprocess.run(
        ["bash", "-s"], input=body + STUBS, capture_output=True, text=True, check=False, env=env, timeout=60
    )


@pytest.mark.parametrize("is_well", [True, False])
def test_a_release_that_is_not_well_within_a_minute_is_rolled_back_with_its_command(plane, machine, is_well):
    old, text = machine.release, plane.script
    assert machine.upgrade().returncode == 0  # the release is made; now as a system would take it into use
    new = machine.release
    (machine.current.parent / "next").symlink_to(old)
    (machine.current.parent / "next").rename(machine.current)
    (machine.root / "usr/sbin").mkdir(parents=True)
    done = system_run(text, machine.root, new if is_well else old)
    link = machine.root / "usr/sbin/autostop-agent-upgrade"
    assert link.readlink() == machine.current / "bin/autostop-agent-upgrade"
    assert machine.release == (new if is_well else old)
    assert done.returncode == (0 if is_well else 1), done.stderr
    words = (
        f"{new} is installed and all is well" if is_well else f"{new} was not well within a minute: {old} runs again"
    )
    assert words in done.stderr
    assert (machine.current.parent / old).exists()
    calls = (machine.current.parent / "calls").read_text()
    assert calls.count("systemctl stop autostop-agent\n") == (1 if is_well else 2)
