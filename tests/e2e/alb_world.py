"""The deployed API on the embedded cloud, with ALBs that carry real requests to an instance that serves them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scripts.local import cloud as clouds
from scripts.local import stack
from scripts.local.processes import python
from tests.e2e.provision_world import ProvisionWorld

CLOUD = Path(__file__).parent / "alb_cloud.py"
PORT = 8080


@dataclass
class AlbWorld(ProvisionWorld):
    """With one instance, stopped, that serves on its address when it runs; and a hosted zone."""

    program: Path = CLOUD
    instance_id: str = ""
    zone_id: str = ""
    elb: Any = field(init=False)

    def set_up(self) -> None:
        super().set_up()
        self.elb = self.cloud.client("elbv2")
        ec2, network = self.cloud.client("ec2"), self.network
        more = ec2.create_subnet(
            VpcId=network["vpc_id"], CidrBlock="10.77.2.0/24", AvailabilityZone=f"{clouds.REGION}b"
        )["Subnet"]["SubnetId"]
        network["subnet_ids"].append(more)
        del network["key_pair"]
        zone = self.cloud.client("route53").create_hosted_zone(Name="alb.test", CallerReference="e2e")
        self.zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]
        self._make_instance()

    def _make_instance(self) -> None:
        ec2, address = self.cloud.client("ec2"), f"{clouds.block()}.11"
        made = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, PrivateIpAddress=address)["Instances"][0]
        assert made["PrivateIpAddress"] == address
        self.instance_id = made["InstanceId"]
        ec2.stop_instances(InstanceIds=[self.instance_id])
        settings = {
            "aws_endpoint_url": self.cloud.url,
            "boot_seconds": 1,
            "guests": {self.instance_id: {"kind": "site", "address": address, "port": PORT}},
            "ec2_state": self.deployed.functions["ec2_state"],
            "authorized": "",
            "host_key": "",
        }
        file = self.home / "fleet.json"
        file.write_text(json.dumps(settings))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AUTOSTOP_"))}
        env = clean | clouds.CREDENTIALS | {"PYTHONPATH": str(stack.ROOT)}
        self.processes.start("fleet", [python(), "-m", "scripts.local.fleet", str(file)], env)

    def state(self) -> str:
        """Of the instance, as EC2 says."""
        found = self.cloud.client("ec2").describe_instances(InstanceIds=[self.instance_id])
        state: str = found["Reservations"][0]["Instances"][0]["State"]["Name"]
        return state

    def order(self, **more: object) -> dict[str, object]:
        """An internal ALB for HTTP only."""
        usual = {"kind": "alb", "name": "the alb", "region": clouds.REGION, "scheme": "internal", **self.network}
        return {**usual, "certificate_arn": None, "domain": "*.alb.test", "hosted_zone_id": None, **more}

    def route(self, *paths: str) -> dict[str, object]:
        """Of the site, all of it unless paths are named."""
        target = {"protocol": "http", "port": PORT}
        return {"hosts": ["app.alb.test"], "paths": paths or ("/*",), "listen": {"protocol": "http"}, "target": target}

    def rule(self, balancer_id: str, **more: object) -> dict[str, object]:
        """For the instance."""
        return {
            "name": "site",
            "load_balancer_id": balancer_id,
            "idle_minutes": 60,
            "resources": {"kind": "ec2", "region": clouds.REGION, "instance_ids": [self.instance_id]},
            "http": [self.route()],
            **more,
        }

    def get(self, alb_name: str, path: str, host: str = "app.alb.test") -> httpx.Response:
        """As a browser asks the ALB; the emulator finds it by its name instead of its address."""
        url = f"{self.cloud.url}/_alb/{alb_name}{path}"
        return httpx.get(url, headers={"Host": host, "Accept": "text/html"}, timeout=15)

    def listener(self, alb_arn: str) -> str:
        """The ARN of its only one."""
        (one,) = self.elb.describe_listeners(LoadBalancerArn=alb_arn)["Listeners"]
        arn: str = one["ListenerArn"]
        return arn

    def rules_on(self, listener_arn: str) -> list[dict[str, Any]]:
        """But the default one, as AWS describes them, with their tags."""
        found = [one for one in self.elb.describe_rules(ListenerArn=listener_arn)["Rules"] if not one["IsDefault"]]
        for one in found:
            (tags,) = self.elb.describe_tags(ResourceArns=[one["RuleArn"]])["TagDescriptions"]
            one["Tags"] = {tag["Key"]: tag["Value"] for tag in tags["Tags"]}
        return found

    def weights(self, listener_arn: str, rule_id: str) -> dict[str, int]:
        """By the names of the target groups; nothing while there is no listener rule of the rule."""
        ours = [one for one in self.rules_on(listener_arn) if one["Tags"].get("autostop:rule") == rule_id]
        if not ours:
            return {}
        (one,) = ours
        groups = one["Actions"][0]["ForwardConfig"]["TargetGroups"]
        return {group["TargetGroupArn"].split("/")[1]: group["Weight"] for group in groups}
