"""What `ports.ProxyMachines` promises, of the machines in memory and of EC2 (moto, as tests/contract/proxy_account.py).

What only AWS has (encryption, tags, IMDS, refusals) is in the second half.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.proxy_machines import Ec2ProxyMachines
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.proxy_parts import FakeProxyMachines
from chalicelib.domain.errors import CloudError, NoRoomError, NotYetError, ThrottledError
from chalicelib.domain.provisioning import MachineState
from tests.builders import make_balancer
from tests.contract.conftest_aws import fresh_aws
from tests.contract.proxy_account import STAGE, ProxyAccount
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import ProxyMachines

SCRIPT = "#!/bin/sh\necho ü\n"
MINUTE = timedelta(minutes=1)


class Bench(Protocol):
    machines: ProxyMachines
    balancer: LoadBalancer
    groups: tuple[str, ...]

    def other(self) -> LoadBalancer:
        """Another one in the same network."""

    def wait(self) -> None:
        """What takes time is done."""


class InMemory:
    groups = ("sg-1", "sg-2")

    def __init__(self) -> None:
        self._clock = VirtualClock()
        self.machines = FakeProxyMachines(self._clock)
        self.balancer = make_balancer(existing=False)

    def other(self) -> LoadBalancer:
        return make_balancer("lb_2", existing=False)

    def wait(self) -> None:
        self._clock.advance(MINUTE)


class Aws:
    def __init__(self) -> None:
        self.account = ProxyAccount()
        self.machines, self.balancer, self.groups = (
            Ec2ProxyMachines(STAGE),
            self.account.balancer(),
            self.account.groups,
        )
        self.account.iam.create_instance_profile(InstanceProfileName="p")

    def other(self) -> LoadBalancer:
        return self.account.balancer("lb_2")

    def wait(self) -> None:
        """moto's machines go on by being looked at."""
        self.account.ec2.describe_instances()


@pytest.fixture(params=["memory", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield Aws()


@pytest.fixture
def aws() -> Iterator[Aws]:
    with fresh_aws():
        yield Aws()


def launch(bench: Bench, order: str = "lb_1.1.0", **changes: Any) -> str:
    wanted = replace(bench.balancer, **changes)
    return bench.machines.launch(wanted, wanted.subnet_ids[0], order, "p", SCRIPT)


def test_a_machine_that_is_launched_is_found_by_its_load_balancer_only_and_runs_after_some_time(bench):
    assert list(bench.machines.find(bench.balancer)) == []
    id_ = launch(bench)
    bench.wait()
    (found,) = bench.machines.find(bench.balancer)
    assert (found.id, found.state, found.group_ids) == (id_, MachineState.RUNNING, frozenset(bench.groups[:1]))
    assert found.private_ip
    assert list(bench.machines.find(bench.other())) == []


def test_the_same_token_launches_one_machine_and_another_token_another(bench):
    first = launch(bench)
    assert launch(bench) == first
    second = launch(bench, "lb_1.2.0")
    assert {machine.id for machine in bench.machines.find(bench.balancer)} == {first, second}
    assert first != second


@pytest.mark.parametrize(
    "change", [{"name": "renamed"}, {"machine_type": "t3.small"}, {"security_group_ids": "other"}], ids=str
)
def test_the_same_token_is_the_same_machine_though_the_order_was_changed_since(bench, change):
    """The worker before died between the launch and its note of it, and then somebody PUT the load balancer."""
    first = launch(bench)
    if "security_group_ids" in change:
        change = {"security_group_ids": bench.groups[1:]}
    assert launch(bench, **change) == first
    assert len(bench.machines.find(bench.balancer)) == 1


def test_the_token_of_a_machine_that_was_terminated_answers_with_that_one(bench):
    first = launch(bench)
    bench.machines.terminate(bench.balancer, first)
    bench.wait()
    assert launch(bench) == first
    (found,) = bench.machines.find(bench.balancer)
    assert found.state is MachineState.TERMINATED


def test_a_machine_is_put_in_other_groups(bench):
    id_ = launch(bench)
    bench.machines.set_groups(replace(bench.balancer, security_group_ids=bench.groups), id_)
    assert bench.machines.find(bench.balancer)[0].group_ids == frozenset(bench.groups)
    bench.machines.set_groups(replace(bench.balancer, security_group_ids=bench.groups[1:]), id_)
    assert bench.machines.find(bench.balancer)[0].group_ids == frozenset(bench.groups[1:])


def test_a_machine_that_is_not_there_is_put_nowhere(bench):
    with pytest.raises(CloudError) as caught:
        bench.machines.set_groups(bench.balancer, "i-0123456789abcdef0")
    assert (caught.value.code, caught.value.retryable) == ("InvalidInstanceID.NotFound", False)


def test_a_machine_is_terminated_once_twice_and_where_it_never_was(bench):
    kept, gone = launch(bench), launch(bench, "lb_1.2.0")
    for _ in range(2):
        bench.machines.terminate(bench.balancer, gone)
        bench.wait()
    bench.machines.terminate(bench.balancer, "i-0123456789abcdef0")
    found = {machine.id: machine for machine in bench.machines.find(bench.balancer)}
    assert found[gone].state is MachineState.TERMINATED
    assert found[gone].state.is_over
    assert "initiated" in found[gone].why
    assert found[kept].state is MachineState.RUNNING


# Only AWS has it


def test_all_of_it_is_tagged_and_imds_takes_only_tokens(aws):
    id_ = launch(aws)
    instance = aws.account.ec2.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]
    tags = {"autostop:proxy": "lb_1", "autostop:stage": STAGE, "Name": "autostop proxy"}
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == tags
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/p")
    assert instance["SubnetId"] == aws.balancer.subnet_ids[0]
    (volume,) = aws.account.ec2.describe_volumes()["Volumes"]
    assert {tag["Key"]: tag["Value"] for tag in volume["Tags"]} == tags
    # moto tags no network interface: what is asked for counts.
    (order,) = aws.account.of("RunInstances")
    assert {one["ResourceType"] for one in order["TagSpecifications"]} == {"instance", "volume", "network-interface"}
    assert all({tag["Key"]: tag["Value"] for tag in one["Tags"]} == tags for one in order["TagSpecifications"])


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_root_volume_is_encrypted_where_the_load_balancer_says_so_and_goes_with_its_machine(aws, encrypted):
    launch(aws, encrypted_volume=encrypted)
    (volume,) = aws.account.ec2.describe_volumes()["Volumes"]
    assert volume["Encrypted"] is encrypted
    (order,) = aws.account.of("RunInstances")
    (mapping,) = order["BlockDeviceMappings"]
    (image,) = aws.account.ec2.describe_images(ImageIds=[order["ImageId"]])["Images"]
    assert mapping["DeviceName"] == image["RootDeviceName"], "on another one it would be a second, empty volume"
    assert mapping["Ebs"]["DeleteOnTermination"] is True


@pytest.mark.parametrize("key_pair", [None, "ops"])
def test_a_key_pair_is_on_it_only_where_one_is_named(aws, key_pair):
    id_ = launch(aws, key_pair=key_pair)
    instance = aws.account.ec2.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]
    assert (instance.get("KeyName") or None) == key_pair
    assert ("KeyName" in aws.account.of("RunInstances")[0]) is (key_pair is not None)


def test_the_machine_gets_the_script_to_the_byte(aws):
    answer = aws.account.ec2.describe_instance_attribute(InstanceId=launch(aws), Attribute="userData")
    assert base64.b64decode(answer["UserData"]["Value"]) == SCRIPT.encode()


def test_machines_of_another_stage_are_none_of_ours(aws):
    launch(aws)
    assert list(Ec2ProxyMachines("prod").find(aws.balancer)) == []


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("InsufficientInstanceCapacity", "We currently do not have sufficient t3.micro capacity", NoRoomError),
        ("InsufficientFreeAddressesInSubnet", "The subnet has no free addresses", NoRoomError),
        ("Unsupported", "Your requested instance type (t3.micro) is not supported in your zone", NoRoomError),
        (
            "InvalidParameterValue",
            "Value (p) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
            NotYetError,
        ),
        ("RequestLimitExceeded", "Request limit exceeded.", ThrottledError),
        ("VcpuLimitExceeded", "You have requested more vCPU capacity than your limit", CloudError),
    ],
)
def test_a_refusal_says_what_helps_in_the_words_of_aws(aws, code, message, kind):
    def refuse(**_: object) -> None:
        raise refusal(code, message, "RunInstances")

    client("ec2", "us-east-1").meta.events.register_first("before-call.ec2.RunInstances", refuse)
    with pytest.raises(CloudError) as caught:
        launch(aws)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.retryable is (kind in {NotYetError, ThrottledError})


def test_a_token_that_is_taken_by_a_machine_that_nobody_shows_yet_is_asked_for_again(aws):
    launch(aws)
    (launched,) = [machine.id for machine in aws.machines.find(aws.balancer)]
    aws.account.ec2.delete_tags(Resources=[launched], Tags=[{"Key": "autostop:proxy"}])  # as if not shown yet
    with pytest.raises(NotYetError) as caught:
        launch(aws, name="renamed")
    assert caught.value.code == "IdempotentParameterMismatch"
