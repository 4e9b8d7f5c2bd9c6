"""The user data of a VM that AutoStop makes: what is in it, and what it does until systemd would take over."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import replace

import pytest

from chalicelib.agent.settings import load
from chalicelib.web.install.made import boot_script, install_script
from chalicelib.web.install.parts import HERE
from chalicelib.web.install.script import InstallSettings
from chalicelib.web.install.user_data import LARGEST, UserDataSettings, user_data
from tests.unit.install.boots import Api, Vm, contents, processes, served

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:autostop/dev/proxy/lb_1-AbCdEf"
SETTINGS = InstallSettings(
    "https://abc.execute-api.us-east-1.amazonaws.com/api",
    "lb_1",
    "us-east-1",
    "/autostop/dev/proxy",
    (20000, 29999),
    ARN,
)
TEMPLATE = (HERE / "user-data.sh").read_text()
KEY = "ak_01testtesttest_" + "s3cret" * 6


def few_tries(text: str, tries: int) -> str:
    """It is an hour of them otherwise."""
    changed = re.sub(r"^readonly TRIES=\d+$", f"readonly TRIES={tries}", text, flags=re.MULTILINE)
    assert changed != text
    return changed


def told(api_url: str, script: str, arn: str = ARN, tries: int = 3) -> str:
    """User data for this script at this API."""
    return few_tries(user_data(UserDataSettings(api_url, "lb_1", arn, script), TEMPLATE), tries)


@pytest.fixture
def vm(tmp_path) -> Vm:
    return Vm(tmp_path, KEY)


def test_it_fits_into_what_ec2_takes_and_bash_takes_it():
    text = boot_script(SETTINGS)
    assert len(text.encode()) <= LARGEST == 16_384
    assert text.startswith("#!/bin/bash\n")
    assert subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=True).stderr == ""


def test_more_than_ec2_takes_is_refused_before_anybody_asks_ec2():
    with pytest.raises(ValueError, match="more than 16384"):
        boot_script(replace(SETTINGS, api_url="https://" + "a" * LARGEST))


def test_without_a_secret_to_read_a_key_from_there_is_no_user_data():
    with pytest.raises(ValueError, match="lb_1 has no key yet"):
        boot_script(replace(SETTINGS, api_key_secret_arn=None))


def test_there_is_no_key_in_it_only_the_name_of_the_secret():
    text = boot_script(SETTINGS)
    assert not re.search(r"ak_[a-z0-9]{4,40}_", text)
    assert text.count(ARN) == 1
    assert not re.search(r"@[A-Z0-9_]+@", text)


def test_the_same_input_gives_the_same_bytes_and_the_hash_is_that_of_the_script_which_is_served():
    assert boot_script(SETTINGS) == boot_script(replace(SETTINGS))
    served_script = install_script(SETTINGS)
    assert f"readonly SHA256={hashlib.sha256(served_script.encode()).hexdigest()}\n" in boot_script(SETTINGS)
    assert boot_script(replace(SETTINGS, port_range=(1, 2))) != boot_script(SETTINGS)


@pytest.mark.parametrize(("scheme", "taken"), [("https", "=https"), ("http", "=http")])
def test_an_api_with_tls_is_asked_in_no_other_way(scheme, taken):
    assert f" --proto {taken} " in told(f"{scheme}://api.test/api", "")


@pytest.mark.parametrize(
    "hostile",
    [
        "$(touch pwned)",
        "`touch pwned`",
        "'; touch pwned; '",
        '"; touch pwned; "',
        "\ntouch pwned\n",
        "a b  c",
        "@TRIES@",
    ],
)
def test_whatever_is_in_an_arn_or_a_url_is_an_argument_and_never_run(vm, hostile):
    region = hostile.replace(":", "")
    arn = f"arn:aws:secretsmanager:{region}:1:secret:{hostile}"
    done = vm.install(told(f"http://127.0.0.1:9/{hostile}", "", arn, tries=1))
    assert done.returncode == 1
    asked = vm.asked()
    assert asked[asked.index("--secret-id") + 1] == arn
    assert asked[asked.index("--region") + 1] == region
    assert f"cannot fetch http://127.0.0.1:9/{hostile}/load-balancers/lb_1/install yet" in done.stderr
    assert list((vm.home / "work").iterdir()) == []


def test_it_installs_the_real_release_once_there_is_a_key_and_the_key_is_nowhere_to_be_seen(tmp_path):
    vm = Vm(tmp_path, KEY, gives=3)
    script = install_script(SETTINGS)
    with served(Api(KEY, script.encode()), vm.scratch) as api:
        done = vm.install(told(api.url, script))
    assert done.returncode == 0, done.stderr
    assert vm.calls() == 3
    asked = f"get-secret-value --region eu-central-1 --secret-id {ARN} --query SecretString --output text"
    assert vm.asked() == 3 * ["secretsmanager", *asked.split()]
    assert api.paths == ["/api/load-balancers/lb_1/install"]

    release = re.search(r"^readonly RELEASE=(\S+)$", script, re.MULTILINE)[1]
    home = vm.root / "opt/autostop"
    assert (home / "current").readlink().name == release
    assert (home / release / "complete").exists()
    settings = load(home / "current/etc/agent.json")
    assert (settings.member, settings.api_key_secret_arn) == ("i-1", ARN)

    # While curl waited for its answer, it and the shell could be seen by everyone on the machine.
    (seen,) = api.seen
    ours = [told_of for told_of in seen.values() if str(vm.scratch).encode() in told_of]
    assert any(told_of.startswith(b"curl\0") for told_of in ours)
    assert any(told_of.startswith(b"bash\0") for told_of in ours)
    assert not [told_of for told_of in seen.values() if KEY.encode() in told_of]
    everything = [*api.scratch, *contents(vm.root), *contents(vm.scratch), *contents(vm.home / "work")]
    assert not [content for content in everything if KEY.encode() in content]
    assert KEY not in done.stdout + done.stderr
    assert list(vm.scratch.iterdir()) == []


@pytest.mark.parametrize(("arguments", "env"), [([KEY], {}), ([], {"KEY": KEY})], ids=["argument", "environment"])
def test_what_looks_for_the_key_would_see_it_in_an_argument_and_in_the_environment(arguments, env):
    shell = ["bash", "-c", "echo here; read -r", "bash", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(shell, stdin=pipe, stdout=pipe, env=os.environ | env) as running:
        assert running.stdout.readline() == b"here\n"
        seen = processes()[running.pid]
        running.communicate(b"\n")
    assert KEY.encode() in seen


def test_the_script_that_it_runs_has_the_key_neither_in_its_environment_nor_on_its_input(vm):
    script = 'env >"$2/env"\ncat >"$2/input" </dev/stdin\n'
    with served(Api(KEY, script.encode()), vm.scratch) as api:
        done = vm.install(told(api.url, script))
    assert done.returncode == 0, done.stderr
    assert "TMPDIR=" in (vm.root / "env").read_text()
    assert KEY not in (vm.root / "env").read_text() + (vm.root / "input").read_text()


def test_a_script_with_another_hash_is_refused_and_nothing_of_it_is_run(vm):
    with served(Api(KEY, b'touch "$2/pwned" pwned\n'), vm.scratch) as api:
        done = vm.install(told(api.url, install_script(SETTINGS)))
    assert done.returncode == 1
    assert "is not the script that this VM was made for" in done.stderr
    assert "given up after 3 tries" in done.stderr
    assert len(api.paths) == 3
    assert [list(folder.iterdir()) for folder in (vm.root, vm.home / "work", vm.scratch)] == [[], [], []]


def test_a_script_that_was_cut_off_on_its_way_is_refused_too(vm):
    script = install_script(SETTINGS)
    with served(Api(KEY, script.encode()[:-9]), vm.scratch) as api:
        done = vm.install(told(api.url, script, tries=1))
    assert done.returncode == 1
    assert list(vm.root.iterdir()) == []


def test_with_the_wrong_key_it_gives_up_after_its_tries_and_does_not_tell_the_key(vm):
    script = install_script(SETTINGS)
    with served(Api("ak_right_key", script.encode()), vm.scratch) as api:
        done = vm.install(told(api.url, script))
    assert done.returncode == 1
    assert (len(api.paths), vm.calls()) == (3, 3)
    assert "401" in done.stderr
    assert "given up after 3 tries" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert [list(folder.iterdir()) for folder in (vm.root, vm.scratch)] == [[], []]


def test_without_any_key_it_asks_no_api_and_gives_up_after_its_tries(tmp_path):
    vm = Vm(tmp_path, KEY, gives=9)
    with served(Api(KEY, b""), vm.scratch) as api:
        done = vm.install(told(api.url, ""))
    assert (done.returncode, api.paths, vm.calls()) == (1, [], 3)
    assert done.stderr.count(f"cannot read {ARN} yet") == 3


def test_an_installation_that_failed_is_tried_again(vm):
    script = '[[ -e "$2/once" ]] && exit 0\ntouch "$2/once"\nexit 7\n'
    with served(Api(KEY, script.encode()), vm.scratch) as api:
        done = vm.install(told(api.url, script))
    assert (done.returncode, len(api.paths)) == (0, 2)
    assert "given up" not in done.stderr
