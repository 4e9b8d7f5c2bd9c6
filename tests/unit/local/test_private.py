"""The demo's private keys: where they are, for how long, and what curl makes of the certificates."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509

from chalicelib.agent.vault import filesystem_of
from chalicelib.envoy.pem import examine
from scripts.local.certificates import Authority
from scripts.local.private import Secrets, prefix

ROOT = Path(__file__).parent.parent.parent.parent

DEMO = """
import sys, time
from pathlib import Path
from scripts.local.private import Secrets
secrets = Secrets.make(Path(sys.argv[1]))
secrets.put("key", "PRIVATE")
print(secrets.path, flush=True)
time.sleep(60)
"""


def test_files_are_for_one_user_and_gone_at_the_end_with_the_cleaner(tmp_path):
    secrets = Secrets.make(tmp_path)
    file = secrets.put("key", "PRIVATE")
    assert file.read_text() == "PRIVATE"
    assert secrets.path.name.startswith(prefix(tmp_path))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(secrets.path.stat().st_mode) == 0o700
    secrets.end()
    assert not secrets.path.exists()
    cleaners = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(secrets.path).encode() in _read(p)]
    assert cleaners == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_whoever_kills_the_demo_kills_its_keys(tmp_path, number):
    with subprocess.Popen(
        [sys.executable, "-c", DEMO, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        path = Path(demo.stdout.readline().strip())
        assert (path / "key").exists()
        demo.send_signal(number)
    deadline = time.monotonic() + 10
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not path.exists()


def test_no_key_is_written_to_a_disk(tmp_path):
    if filesystem_of(tmp_path) == "tmpfs":
        pytest.skip("the directory of this test is on tmpfs itself")
    with pytest.raises(RuntimeError, match="is not on tmpfs"):
        Secrets.make(tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_checkouts_do_not_take_each_others_keys_for_their_own(tmp_path):
    assert prefix(tmp_path / "a") != prefix(tmp_path / "b")


def test_a_pair_is_of_its_authority_fits_its_key_and_is_another_each_time():
    authority = Authority()
    first, second = authority.pair("a.test"), authority.pair("a.test")
    root = x509.load_pem_x509_certificate(authority.certificate.encode())
    for pair in (first, second):
        leaf = x509.load_pem_x509_certificate(pair.chain.encode())
        leaf.verify_directly_issued_by(root)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["a.test"]
        examine(pair.chain, pair.key)
        assert "PRIVATE" not in repr(pair)
    assert first.der != second.der
    with pytest.raises(ValueError, match="issuer"):
        x509.load_pem_x509_certificate(first.chain.encode()).verify_directly_issued_by(
            x509.load_pem_x509_certificate(Authority("another").certificate.encode())
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
