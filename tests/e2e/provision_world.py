"""The deployed API on the embedded cloud, with a network for proxies' VMs; policies are enforced."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from scripts.local import cloud as clouds
from scripts.local import stack
from scripts.local.processes import Processes, python

if TYPE_CHECKING:
    from collections.abc import Callable

FULLER = Path(__file__).parent / "fuller_cloud.py"
BOOTSTRAP = "from chalicelib.bootstrap import api_handler; print(api_handler.create_first_admin_key('e2e'))"


@dataclass(slots=True)
class ProvisionWorld:
    """What runs, and the account it runs in. `program`: the cloud, a script."""

    home: Path
    program: Path = FULLER
    processes: Processes = field(init=False)
    cloud: clouds.Cloud = field(init=False)
    deployed: stack.Deployed = field(init=False)
    admin_key: str = field(init=False)
    network: dict[str, Any] = field(init=False)

    def set_up(self) -> None:
        """Cloud, app, first key, network."""
        self.processes = Processes(self.home / "logs")
        self.cloud = clouds.start(self.processes, self.home, (str(self.program),))
        self.deployed = stack.deploy(self.cloud)
        self.admin_key = self._first_key()
        self.network = self._make_network()

    def end(self) -> None:
        """End everything."""
        if hasattr(self, "processes"):
            self.processes.end()

    def ask(self, method: str, path: str, body: object = None, key: str | None = None) -> httpx.Response:
        """One call of the deployed API, as admin unless another key is given."""
        headers = {"Authorization": f"Bearer {key or self.admin_key}"}
        return httpx.request(method, self.deployed.api_url + path, json=body, headers=headers, timeout=30)

    def wait(self, what: str, found: Callable[[], Any], seconds: float, last: object = None) -> Any:
        """What is found first that is not falsy. Raises AssertionError after the deadline, with `last` in its words."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.processes.check()
            answer = found()
            if answer:
                return answer
            time.sleep(0.25)
        raise AssertionError(f"{what}: not within {seconds:g} s; last: {last}")

    def user_data(self, instance_id: str) -> str:
        """Of an instance, as it was launched."""
        asked = self.cloud.client("ec2").describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        return base64.b64decode(asked["UserData"]["Value"]).decode()

    def _first_key(self) -> str:
        """In a process of its own: the settings are read from the environment, which is not ours to change."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AUTOSTOP_"))}
        env |= clouds.CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_REGION": clouds.REGION,
            "AUTOSTOP_STAGE": stack.STAGE,
            "AUTOSTOP_TABLE_PREFIX": f"autostop-{stack.STAGE}-",
            "AUTOSTOP_PROXY_LOG_GROUP": f"/autostop/{stack.STAGE}/proxy",
            **self.deployed.variables,
        }
        made = subprocess.run(
            [python(), "-c", BOOTSTRAP], cwd=stack.ROOT, env=env, capture_output=True, text=True, check=True
        )
        return made.stdout.strip()

    def _make_network(self) -> dict[str, Any]:
        ec2 = self.cloud.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(VpcId=vpc, GroupName="proxies", Description="proxies")["GroupId"]
        ec2.create_key_pair(KeyName="admins")
        return {"vpc_id": vpc, "subnet_ids": [subnet], "security_group_ids": [group], "key_pair": "admins"}
