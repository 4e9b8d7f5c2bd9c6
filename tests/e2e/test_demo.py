"""The whole of AutoStop, for real: `./scripts/demo --once`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scripts.local.private import MEMORY, prefix

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.e2e


def left_running() -> list[str]:
    """Processes that name this checkout's .demo folder on their command line, or in their environment."""
    mark = str(ROOT / ".demo").encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if mark in told and int(process.name) != os.getpid():
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def keys_left() -> list[Path]:
    """Directories with private keys of demos of this checkout, and private keys that it wrote to the disk.

    What the emulator unpacks of Lambda packages is not looked at: botocore's examples have keys in them.
    """
    told = [
        file
        for file in (ROOT / ".demo").rglob("*")
        if file.is_file() and not file.is_symlink() and "code" not in file.relative_to(ROOT).parts
    ]
    return [
        *MEMORY.glob(f"{prefix(ROOT)}*"),
        *(file for file in told if b"PRIVATE KEY-----" in file.read_bytes()),
    ]


def test_the_main_story_holds_and_nothing_is_left_running():
    done = subprocess.run(
        [ROOT / "scripts" / "demo", "--once"], capture_output=True, text=True, timeout=480, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "every step held" in done.stdout
    assert "certificate rotated: the new one is served, the open connection stays" in done.stdout
    assert left_running() == []
    assert keys_left() == []
    assert not (ROOT / ".demo" / "env.json").exists()


@pytest.mark.parametrize(
    "signals", [(signal.SIGKILL,), (signal.SIGINT, signal.SIGINT)], ids=["kill -9", "Ctrl-C twice"]
)
def test_however_the_demo_ends_nothing_is_left_running_and_no_key_is_left(signals):
    env = ROOT / ".demo" / "env.json"
    env.unlink(missing_ok=True)  # a demo that was killed could not take it away
    with subprocess.Popen([ROOT / "scripts" / "demo"], stdout=subprocess.DEVNULL, start_new_session=True) as demo:
        try:
            deadline = time.monotonic() + 300
            while not env.exists() and time.monotonic() < deadline:
                assert demo.poll() is None
                time.sleep(0.2)
            assert left_running()
            (in_memory,) = keys_left()  # and none of them is on the disk
            assert in_memory.stat().st_mode & 0o077 == 0
            for number in signals:
                demo.send_signal(number)
                time.sleep(0.1)
            demo.wait(timeout=30)
        finally:
            demo.kill()
    deadline = time.monotonic() + 15
    while (left_running() or keys_left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_running() == []
    assert keys_left() == []
