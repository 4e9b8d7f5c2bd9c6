"""The life of a proxy that AutoStop makes: the deployed API and `provision` function, each under its own role.

The cloud is MiniStack with what it lacks of EC2 and IAM (`fuller_cloud` says what). No machine boots in it: what the
VM's agent says and asks is said and asked here, with the key from the secret and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local import stack
from scripts.local.cloud import REGION
from tests.certificates import make_pair
from tests.e2e.provision_world import ProvisionWorld

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = ProvisionWorld(tmp_path_factory.mktemp("provisioning"))
    try:
        world.set_up()
        yield world
    finally:
        world.end()


@dataclass
class Proxy:
    """One load balancer, as its people and its agent see it."""

    world: ProvisionWorld
    id: str

    @property
    def part(self) -> str:
        """Of role and instance profile."""
        return f"autostop-{stack.STAGE}-proxy-{self.id}"

    @property
    def secret(self) -> str:
        return f"autostop/{stack.STAGE}/proxy/{self.id}"

    def wait_for(self, status: str, reason: str = "") -> dict[str, Any]:
        """Polls: the worker looks again each ten seconds. A failure on the way is told at once."""

        last: list[object] = []

        def found() -> dict[str, Any] | None:
            answer = self.world.ask("GET", f"/load-balancers/{self.id}")
            seen = answer.json()
            if answer.status_code == 404:
                seen = {"status": "404", "status_reason": None}
            if status != "failed":
                assert seen["status"] != "failed", seen["status_reason"]
            last[:] = [seen["status"], seen["status_reason"]]
            return seen if seen["status"] == status and reason in (seen["status_reason"] or "") else None

        found_at_last: dict[str, Any] = self.world.wait(f"{self.id} {status} {reason}", found, 45, last)
        return found_at_last

    def key(self) -> tuple[str, str]:
        """The key in its secret, and the version of that."""
        held = self.world.cloud.client("secretsmanager").get_secret_value(SecretId=self.secret)
        return held["SecretString"], held["VersionId"]

    def polls(self, key: str) -> int:
        """The status that an agent with this key gets."""
        return self.world.ask("GET", f"/load-balancers/{self.id}/config?member=i-1", key=key).status_code

    def reports(self, instance_id: str, key: str) -> int:
        """That Envoy on this instance has the configuration of now; the status of the answer."""
        config = self.world.ask("GET", f"/load-balancers/{self.id}/config?member={instance_id}", key=key)
        assert config.status_code == 200, config.text
        applied = {"at": datetime.now(UTC).isoformat()}
        said = {"member": instance_id, "config": config.headers["etag"].strip('"'), "applied": applied}
        return self.world.ask("POST", f"/load-balancers/{self.id}/report", said, key=key).status_code


def order(world: ProvisionWorld, **more: object) -> dict[str, object]:
    return {"kind": "proxy", "name": "the door", "region": REGION, "existing": False, **world.network, **more}


def ordered(world: ProvisionWorld, **more: object) -> Proxy:
    created = world.ask("POST", "/load-balancers", order(world, **more))
    assert created.status_code == 201, created.text
    assert created.json()["status"] == "creating"
    return Proxy(world, created.json()["id"])


def refused(code: str, ask: Any, **asked: object) -> bool:
    try:
        ask(**asked)
    except ClientError as error:
        return error.response["Error"]["Code"] == code
    return False


def machines(world: ProvisionWorld) -> dict[str, dict[str, Any]]:
    found = world.cloud.client("ec2").describe_instances()["Reservations"]
    return {machine["InstanceId"]: machine for reservation in found for machine in reservation["Instances"]}


def addresses(world: ProvisionWorld) -> dict[str, str | None]:
    found = world.cloud.client("ec2").describe_addresses()["Addresses"]
    return {address["PublicIp"]: address.get("InstanceId") for address in found}


def groups(world: ProvisionWorld, instance_id: str) -> set[str]:
    return {group["GroupId"] for group in machines(world)[instance_id]["SecurityGroups"]}


def check_machine(proxy: Proxy, made: dict[str, Any]) -> None:
    network, machine = proxy.world.network, machines(proxy.world)[made["instance_id"]]
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert tags == {"autostop:proxy": proxy.id, "autostop:stage": stack.STAGE, "Name": "autostop the door"}
    assert (machine["SubnetId"], machine["KeyName"]) == (network["subnet_ids"][0], network["key_pair"])
    assert [group["GroupId"] for group in machine["SecurityGroups"]] == network["security_group_ids"]
    assert machine["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/{proxy.part}")
    assert made["private_ip"] == machine["PrivateIpAddress"]
    assert addresses(proxy.world)[made["public_ip"]] == made["instance_id"]


def check_role(proxy: Proxy) -> None:
    iam, secrets = proxy.world.cloud.client("iam"), proxy.world.cloud.client("secretsmanager")
    role = iam.get_role(RoleName=proxy.part)["Role"]
    boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
    assert boundary.endswith(f":policy/autostop-{stack.STAGE}-proxy-boundary")
    secret = secrets.describe_secret(SecretId=proxy.secret)["ARN"]
    stream = f"arn:aws:logs:{REGION}:000000000000:log-group:/autostop/{stack.STAGE}/proxy:log-stream:{proxy.id}/i-1"
    for action, own in (
        ("secretsmanager:GetSecretValue", secret),
        ("logs:CreateLogStream", stream),
        ("logs:PutLogEvents", stream),
    ):
        for arn, wanted in ((own, "allowed"), (own.replace(proxy.id, "lb_other"), "implicitDeny")):
            (answer,) = iam.simulate_principal_policy(
                PolicySourceArn=role["Arn"], ActionNames=[action], ResourceArns=[arn]
            )["EvaluationResults"]
            assert answer["EvalDecision"] == wanted, arn


def check_install_script(proxy: Proxy, instance_id: str, key: str) -> None:
    """What the VM is answered is what it was told to expect when it was launched."""
    user_data = proxy.world.user_data(instance_id)
    assert key not in user_data
    path = f"/load-balancers/{proxy.id}/install"
    assert f"{proxy.world.deployed.api_url}{path}" in user_data
    script = proxy.world.ask("GET", path, key=key)
    assert script.status_code == 200, script.text
    expected = re.search(r"^readonly SHA256=([0-9a-f]{64})$", user_data, re.MULTILINE)
    assert expected
    assert expected[1] == hashlib.sha256(script.content).hexdigest()


def test_a_proxy_is_made_gets_a_new_key_and_is_taken_away_with_all_that_was_made_for_it(world):
    ec2, iam, secrets = (world.cloud.client(name) for name in ("ec2", "iam", "secretsmanager"))
    bystander = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    foreign_ip = ec2.allocate_address(Domain="vpc")["PublicIp"]

    proxy = ordered(world, static_ip=True)
    made = proxy.wait_for("creating", "its agent has not reported yet")
    key, version = proxy.key()
    check_machine(proxy, made)
    check_role(proxy)
    check_install_script(proxy, made["instance_id"], key)

    assert proxy.reports(made["instance_id"], key) == 204
    ready = proxy.wait_for("ready")
    places = ("instance_id", "private_ip", "public_ip")
    assert [ready[name] for name in places] == [made[name] for name in places]
    assert ready["status_reason"] is None

    assert world.ask("POST", f"/load-balancers/{proxy.id}/renew-key").status_code == 202
    world.wait("a new version of the secret", lambda: proxy.key()[1] != version, 30)
    newer, _ = proxy.key()
    assert newer != key
    world.wait("the new key is known", lambda: proxy.polls(newer) == 200, 10)
    assert proxy.polls(key) == 200  # until the agent has the new one
    proxy.wait_for("ready")

    gone = world.ask("DELETE", f"/load-balancers/{proxy.id}")
    assert (gone.status_code, gone.json()) == (200, {"id": proxy.id, "status": "deleting"})
    proxy.wait_for("404")
    states = {id_: machine["State"]["Name"] for id_, machine in machines(world).items()}
    assert states == {bystander: "running", made["instance_id"]: "terminated"}
    assert addresses(world) == {foreign_ip: None}
    assert refused("ResourceNotFoundException", secrets.describe_secret, SecretId=proxy.secret)
    assert refused("NoSuchEntity", iam.get_role, RoleName=proxy.part)
    assert refused("NoSuchEntity", iam.get_instance_profile, InstanceProfileName=proxy.part)
    assert ec2.describe_security_groups(GroupIds=world.network["security_group_ids"])["SecurityGroups"]
    assert ec2.describe_key_pairs(KeyNames=[world.network["key_pair"]])["KeyPairs"]
    left = world.ask("GET", "/api-keys").json()["items"]
    assert [one["name"] for one in left] == ["first admin key"]
    assert [proxy.polls(token) for token in (key, newer)] == [401, 401]


def test_certificates_are_proved_with_the_rights_of_the_vm_before_there_is_one(world):
    secrets = world.cloud.client("secretsmanager")
    pair, other = make_pair("app.test"), make_pair("app.test")
    chain = secrets.create_secret(Name="tls/chain", SecretString=pair.chain)["ARN"]
    key = secrets.create_secret(Name="tls/key", SecretString=other.key)["ARN"]
    certificate = {"hosts": ["app.test"], "certificate_secret_arn": chain, "private_key_secret_arn": key}
    before = set(machines(world))

    proxy = ordered(world, certificates=[certificate])
    assert "certificates[0]" in proxy.wait_for("failed")["status_reason"]
    assert set(machines(world)) == before

    secrets.put_secret_value(SecretId=key, SecretString=pair.key)
    again = world.ask("PUT", f"/load-balancers/{proxy.id}", order(world, certificates=[certificate]))
    assert (again.status_code, again.json()["status"]) == (200, "creating"), again.text
    made = proxy.wait_for("creating", "its agent has not reported yet")
    assert set(machines(world)) - before == {made["instance_id"]}
    assert made["public_ip"] not in addresses(world)

    assert world.ask("DELETE", f"/load-balancers/{proxy.id}").json()["status"] == "deleting"
    proxy.wait_for("404")
    assert secrets.describe_secret(SecretId=key)["ARN"] == key


def test_a_put_changes_the_machine_that_runs_and_has_one_that_is_gone_replaced(world):
    ec2 = world.cloud.client("ec2")
    vpc, (group,) = world.network["vpc_id"], world.network["security_group_ids"]
    more = ec2.create_security_group(VpcId=vpc, GroupName="more", Description="more")["GroupId"]
    before = set(addresses(world))
    proxy = ordered(world, static_ip=True)
    first = proxy.wait_for("creating", "its agent has not reported yet")

    wider = order(world, security_group_ids=[group, more])
    assert world.ask("PUT", f"/load-balancers/{proxy.id}", wider).status_code == 200
    world.wait("the address is released", lambda: set(addresses(world)) == before, 20)
    world.wait("the groups are set", lambda: groups(world, first["instance_id"]) == {group, more}, 20)

    assert proxy.reports(first["instance_id"], proxy.key()[0]) == 204
    proxy.wait_for("ready")
    ec2.terminate_instances(InstanceIds=[first["instance_id"]])
    assert world.ask("PUT", f"/load-balancers/{proxy.id}", wider).status_code == 200
    second = proxy.wait_for("creating", "its agent has not reported yet")
    assert second["instance_id"] != first["instance_id"]
    assert groups(world, second["instance_id"]) == {group, more}

    assert world.ask("DELETE", f"/load-balancers/{proxy.id}").json()["status"] == "deleting"
    proxy.wait_for("404")
