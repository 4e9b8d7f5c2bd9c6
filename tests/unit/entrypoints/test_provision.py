"""The whole life of a proxy on moto: made, changed, taken away by the functions, each call held against their policy.

moto refuses a root volume without a size, and its list of public parameters takes it seconds: as in
tests/contract/proxy_account.py, both are helped on the wire. That the certificates are read with the VM's own rights is
in tests/unit/aws/test_certificate_proof.py; here those reads are held against the role that the VM has then.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.ec2.models import ec2_backends

from chalicelib.adapters.aws.clients import client
from chalicelib.bootstrap import api_handler
from chalicelib.domain.certificates import Certificate
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.errors import InvalidInputError, NotFoundError
from chalicelib.domain.provision import Phase
from chalicelib.entrypoints.provision import provision, provision_sweep
from scripts import provision_policy
from tests.builders import make_balancer, make_rule
from tests.certificates import make_pair
from tests.contract.conftest_aws import ACCOUNT, REGION
from tests.contract.proxy_account import sized
from tests.unit.entrypoints.conftest import CONTEXT, PROVISION_QUEUE, documented
from tests.unit.entrypoints.test_handlers import sqs_event
from tests.unit.entrypoints.test_policies import needs, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.usecases.manage_load_balancers import ManageLoadBalancers
    from tests.unit.entrypoints.conftest import Stage

API = "https://api.example.com/api"
TAGGED = {
    "RunInstances": {"instance", "volume", "network-interface"},
    "AllocateAddress": {"elastic-ip"},
    "AuthorizeSecurityGroupIngress": {"security-group-rule"},
}


@dataclass
class Proxy:
    """One load balancer of the stage, and the account that it is made in."""

    stage: Stage
    id: str
    ec2: Any
    iam: Any

    @property
    def stored(self) -> LoadBalancer:
        return self.stage.stores.balancers.get(self.id)

    @property
    def status(self) -> tuple[str, str | None]:
        made = self.stored.provision
        return self.stored.status, made and made.reason

    def look(self) -> None:
        """The queue calls the function; only its calls are recorded then."""
        self.stage.calls.clear()
        message = {"v": 1, "load_balancer_id": self.id, "at_once": True}
        assert provision(sqs_event(json.dumps(message)), CONTEXT) is None

    def report(self) -> None:
        """The machine's agent says that Envoy runs a configuration."""
        self.stage.stores.proxies.applied(self.id, self.stored.provision.instance_id, 1, datetime.now(UTC))

    def machines(self) -> list[dict[str, Any]]:
        mine = [{"Name": "tag:autostop:proxy", "Values": [self.id]}]
        return [r["Instances"][0] for r in self.ec2.describe_instances(Filters=mine)["Reservations"]]

    def opened(self) -> list[int]:
        found = self.ec2.describe_security_group_rules()["SecurityGroupRules"]
        return [rule["FromPort"] for rule in found if not rule["IsEgress"] and rule.get("Tags")]


def certificate(*hosts: str) -> Certificate:
    pair, manager = make_pair(*hosts), boto3.client("secretsmanager", region_name=REGION)
    chain, key = (
        manager.create_secret(Name=f"tls/{pair.serial}/{name}", SecretString=text)["ARN"]
        for name, text in (("chain", pair.chain), ("key", pair.key))
    )
    return Certificate(hosts, chain, key)


@pytest.fixture
def _helped() -> Iterator[None]:
    ec2, ssm = client("ec2", REGION).meta.events, client("ssm", REGION).meta.events

    def image(**_: object) -> tuple[object, dict[str, Any]]:
        newest = next(iter(ec2_backends[ACCOUNT][REGION].amis))
        return SimpleNamespace(status_code=200), {"Parameter": {"Value": newest}}

    def with_size(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return sized(copy.deepcopy(params))

    ec2.register_last("provide-client-params.ec2.RunInstances", with_size)
    ssm.register_first("before-call.ssm.GetParameter", image)
    yield
    ec2.unregister("provide-client-params.ec2.RunInstances", with_size)
    ssm.unregister("before-call.ssm.GetParameter", image)


def by_api(stage: Stage, do: Callable[[ManageLoadBalancers], Any]) -> Any:
    """What a person asks for; the API may do what that takes."""
    stage.calls.clear()
    answer = do(api_handler.services().manage_load_balancers)
    assert refused(stage, "api_handler") == []
    return answer


@pytest.fixture
def order(stage: Stage, _helped: None) -> Callable[..., Proxy]:
    """Has a load balancer made, as the API does. The network of each is new, for the account is not."""
    ec2: Any = boto3.client("ec2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24", AvailabilityZone=f"{REGION}a")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="proxy", Description="test", VpcId=vpc)["GroupId"]
    network = {"vpc_id": vpc, "subnet_ids": (subnet,), "security_group_ids": (group,), "existing": False}

    def make(**changes: Any) -> Proxy:
        draft = make_balancer("", **(network | changes))
        made = by_api(stage, lambda api: api.create(draft, "test", lambda: API)).balancer
        return Proxy(stage, made.id, ec2, boto3.client("iam", region_name=REGION))

    return make


def held(proxy: Proxy) -> None:
    """Every call of the last look may be made, on the conditions of the policy."""
    calls, reads = proxy.stage.calls, []
    for call in list(calls):
        if call[1] == "GetSecretValue":
            calls.remove(call)  # is made with the rights of the VM
            reads.append(call[2]["SecretId"])
    assert refused(proxy.stage, "provision") == []
    for _, operation, params in calls:
        kinds = {
            one["ResourceType"]
            for one in params.get("TagSpecifications", ())
            if {"Key": provision_policy.TAG, "Value": proxy.id} in one["Tags"]
        }
        assert kinds == TAGGED.get(operation, set()), operation
        if operation in {"CreateRole", "PutRolePermissionsBoundary"}:
            assert fnmatchcase(params["PermissionsBoundary"], provision_policy.BOUNDARY)
    if reads:
        (name,) = {params["RoleName"] for _, operation, params in calls if operation == "GetRole"}
        policy = proxy.iam.get_role_policy(RoleName=name, PolicyName="autostop")["PolicyDocument"]
        assert set(reads) <= set(policy["Statement"][0]["Resource"])


def test_a_proxy_is_made_changed_and_taken_away_and_nothing_is_left_of_it(stage, order):
    first, second = certificate("a.example.com"), certificate("b.example.com")
    proxy = order(certificates=(first,), open_ports=True, key_pair=None)
    rule = add_rule(stage, proxy)
    used: set[str] = set()

    def look() -> None:
        proxy.look()
        used.update(action for call in stage.calls for action, _ in needs(*call))
        held(proxy)

    machine = becomes_ready(proxy, look)

    changed = replace(proxy.stored, certificates=(second,), static_ip=True)
    by_api(stage, lambda api: api.replace(proxy.id, changed, "test"))
    look()
    made = proxy.stored.provision
    assert (proxy.status, made.proven) == (("ready", None), (second,))
    (address,) = proxy.ec2.describe_addresses()["Addresses"]
    assert (address["InstanceId"], address["PublicIp"]) == (machine["InstanceId"], made.public_ip)
    (named,) = [p["RoleName"] for p in proxy.iam.list_roles()["Roles"] if proxy.id in p["RoleName"]]
    rights = proxy.iam.get_role_policy(RoleName=named, PolicyName="autostop")["PolicyDocument"]["Statement"][0]
    assert second.certificate_secret_arn in rights["Resource"]
    assert first.certificate_secret_arn not in rights["Resource"]
    assert [one["InstanceId"] for one in proxy.machines()] == [machine["InstanceId"]], "no other machine for that"

    other = proxy.ec2.create_security_group(GroupName="2", Description="-", VpcId=changed.vpc_id)["GroupId"]
    moved = replace(proxy.stored, security_group_ids=(other,))
    by_api(stage, lambda api: api.replace(proxy.id, moved, "test"))
    look()
    assert [group["GroupId"] for group in proxy.machines()[0]["SecurityGroups"]] == [other]

    before = made.key_id
    by_api(stage, lambda api: api.renew_key(proxy.id, "test"))
    look()
    made = proxy.stored.provision
    assert (proxy.status, [key.id for key in made.retired]) == (("ready", None), [before])
    secret = boto3.client("secretsmanager", region_name=REGION).get_secret_value(SecretId=made.secret_arn)
    assert secret["SecretString"].startswith(f"{made.key_id}_")
    assert keys(proxy) == {before, made.key_id}, "the one before works for half an hour yet"

    stage.stores.rules.delete(rule)
    going = by_api(stage, lambda api: api.delete(proxy.id, "test"))
    assert going.provision.phase is Phase.DELETING
    look()
    if stage_has(stage, proxy):
        look()
    nothing_is_left(proxy)
    proxy.look()
    assert [operation for _, operation, _ in stage.calls] == ["GetItem"], "a message that comes late finds nobody"
    granted = {action for statement in provision_policy.provisioning() for action in statement["Action"]}
    assert granted - used == set(), "granted, and nobody needs it"


def becomes_ready(proxy: Proxy, look: Callable[[], None]) -> dict[str, Any]:
    """Until its machine waits for its agent, and then says that it serves."""
    look()
    (machine,) = proxy.machines()
    assert proxy.stored.provision.instance_id == machine["InstanceId"]
    for _ in range(2):
        look()
        assert proxy.status[0] == "creating"
    assert proxy.status == ("creating", f"{machine['InstanceId']} runs; its agent has not reported yet.")
    assert proxy.opened() == [80]
    proxy.report()
    look()
    assert proxy.status == ("ready", None)
    assert proxy.stored.provision.private_ip == machine["PrivateIpAddress"]
    return machine


def add_rule(stage: Stage, proxy: Proxy) -> Any:
    made = make_rule("ru_1", load_balancer_id=proxy.id)
    return stage.stores.rules.create(made, compact_rule("ru_1", made.spec, ()))


def stage_has(stage: Stage, proxy: Proxy) -> bool:
    try:
        return bool(stage.stores.balancers.get(proxy.id))
    except NotFoundError:
        return False


def nothing_is_left(proxy: Proxy) -> None:
    assert not stage_has(proxy.stage, proxy)
    assert {machine["State"]["Name"] for machine in proxy.machines()} <= {"terminated"}
    assert proxy.ec2.describe_addresses()["Addresses"] == []
    assert proxy.opened() == []
    for parts, name in (("Roles", "RoleName"), ("InstanceProfiles", "InstanceProfileName")):
        listed = proxy.iam.list_roles() if parts == "Roles" else proxy.iam.list_instance_profiles()
        assert [one[name] for one in listed[parts] if proxy.id in one[name]] == []
    secrets = boto3.client("secretsmanager", region_name=REGION).list_secrets()["SecretList"]
    assert [one["Name"] for one in secrets if proxy.id in one["Name"]] == []
    assert keys(proxy) == set()


def keys(proxy: Proxy) -> set[str]:
    return {key.id for key in proxy.stage.stores.keys.list(50).items if key.load_balancer_id == proxy.id}


def test_what_is_due_is_sent_to_the_queue_by_the_sweep_which_may_do_no_more(stage, order):
    proxy = order()
    sqs = boto3.client("sqs", region_name=REGION)
    sqs.delete_queue(QueueUrl=stage.provision_queue_url)
    sqs.create_queue(QueueName=PROVISION_QUEUE)
    stage.calls.clear()
    assert provision_sweep(documented("schedule"), CONTEXT) == {"sent": 1}
    assert refused(stage, "provision_sweep") == []
    (message,) = sqs.receive_message(QueueUrl=stage.provision_queue_url)["Messages"]
    stage.calls.clear()
    provision(sqs_event(message["Body"]), CONTEXT)
    held(proxy)
    assert len(proxy.machines()) == 1
    proxy.look()
    assert provision_sweep(documented("schedule"), CONTEXT) == {"sent": 0}, "it is looked at in ten seconds anyway"


def test_a_proxy_whose_certificate_expired_gets_no_machine(stage, order):
    pair = make_pair("a.example.com", start=datetime(2026, 1, 1, tzinfo=UTC), days=1)
    manager = boto3.client("secretsmanager", region_name=REGION)
    both = manager.create_secret(Name=f"tls/{pair.serial}", SecretString=pair.chain + pair.key)["ARN"]
    proxy = order(certificates=(Certificate(("a.example.com",), both, both),))
    proxy.look()
    held(proxy)
    state, reason = proxy.status
    assert state == "failed"
    assert reason.startswith("certificates[0]: it expired at 2026-01-0")
    assert proxy.machines() == []


@pytest.mark.parametrize("body", ["", "{}", '{"v": 1, "load_balancer_id": "lb_*"}'])
def test_what_is_no_message_of_ours_goes_to_the_dead_letters(stage, body):
    with pytest.raises(InvalidInputError):
        provision(sqs_event(body), CONTEXT)
    assert stage.calls == []
