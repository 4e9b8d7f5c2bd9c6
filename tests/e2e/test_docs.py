"""Every command of the documentation is run, as it stands there.

Blocks marked `sh` of a page are one script, run by bash in a checkout whose stage is deployed in an emulated account.
What stands for something of the reader's own is replaced by what that account has. The tutorial runs beside a demo.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from scripts.children import die_with_parent
from tests.e2e.deploy_world import ROOT, DeployWorld

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

DOCS = ROOT / "docs"
TUTORIAL, DEPLOY = DOCS / "tutorial" / "first-hour.md", DOCS / "how-to" / "deploy.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLOUD = ROOT / "tests" / "e2e" / "docs_cloud.py"
SHIM = ROOT / "tests" / "e2e" / "aws_shim.py"


def script(page: Path) -> str:
    """All of its blocks, in their order."""
    return "".join(text for kind, text in BLOCK.findall(page.read_text()) if kind == "sh")


PAGES = sorted(page for page in [ROOT / "README.md", *DOCS.rglob("*.md")] if script(page))
OTHERS = [page for page in PAGES if page not in {TUTORIAL, DEPLOY}]


def test_no_command_hides_in_a_block_that_is_not_run():
    """Blocks without a mark, and indented ones, are for what a reader does not type, or types elsewhere."""
    allowed = {"", "json", "sh", "yaml"}
    for page in DOCS.rglob("*.md"):
        kinds = {kind for kind, _ in BLOCK.findall(page.read_text())}
        assert kinds <= allowed, f"{page}: {kinds - allowed}"


class Reader:
    """Somebody who follows the documentation."""

    def __init__(self, world: DeployWorld) -> None:
        self.world = world
        self.checkout = world.checkout("reader")
        self.env: dict[str, str] = {}
        ec2 = world.cloud.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        vpc = subnets[0]["VpcId"]
        zones = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in subnets if subnet["VpcId"] == vpc}
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
        machine = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"][0]
        settings = {"DBInstanceClass": "db.t4g.micro", "Engine": "postgres", "AllocatedStorage": 20}
        world.cloud.client("rds").create_db_instance(
            DBInstanceIdentifier="orders", MasterUsername="me", MasterUserPassword="not-a-secret", **settings
        )
        self.own = {
            "vpc-0123456789abcdef0": vpc,
            "subnet-0123456789abcdef0": next(iter(zones.values())),
            "subnet-0123456789abcdef1": list(zones.values())[1],
            "sg-0123456789abcdef0": groups[0]["GroupId"],
            "i-0123456789abcdef0": machine["InstanceId"],
        }
        commands = world.home / "bin"
        commands.mkdir()
        aws = commands / "aws"
        aws.write_text(f'#!/bin/sh\nexec {sys.executable} {SHIM} "$@"\n')
        aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
        self.path = f"{commands}:{os.environ['PATH']}"

    def follow(self, text: str) -> str:
        """Type it; answers what was printed."""
        for word, own in self.own.items():
            text = text.replace(word, own)
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-x"],
            input=text,
            cwd=self.checkout,
            env=self.world.env() | {"PATH": self.path, "PYTHONPATH": str(self.checkout)} | self.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=die_with_parent,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    world = DeployWorld(tmp_path_factory.mktemp("docs"), CLOUD)
    try:
        reader = Reader(world)
        first, _, rest = script(DEPLOY).partition("./scripts/autostop health")
        printed = reader.follow(first)
        reader.env = {
            "AUTOSTOP_URL": re.search(r"The API is at (\S+)", printed)[1],
            "AUTOSTOP_KEY": re.search(r"(ak_\w+_\S+)", printed)[1],
        }
        subprocess.run(["git", "init", "-q"], cwd=reader.checkout, check=True)
        reader.rest_of_deploy = "./scripts/autostop health" + rest
        yield reader
    finally:
        world.end()


def test_the_page_on_deploying_leads_to_a_stage_that_the_doctor_finds_well(reader):
    printed = reader.follow(reader.rest_of_deploy)
    assert " findings, 0 wrong." in printed
    assert "Done: no steps had something to do." in printed


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_a_page_can_be_followed_from_its_first_command_to_its_last(reader, page):
    reader.follow(script(page))


def test_the_tutorial_can_be_followed_beside_the_demo(tmp_path):
    home = ROOT / ".demo" / "env.json"
    demo = subprocess.Popen(
        [ROOT / "scripts" / "demo"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509  (no threads of ours hold locks here)
    )
    made = [ROOT / name for name in ("page.html", "nights.json", "change.json")]
    try:
        deadline = time.monotonic() + 300
        while not home.exists():
            assert demo.poll() is None, "the demo ended"
            assert time.monotonic() < deadline, "the demo does not come up"
            time.sleep(0.5)
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-x"],
            input=script(TUTORIAL),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert "ssh" in done.stdout
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(120)
        for file in made:
            file.unlink(missing_ok=True)
