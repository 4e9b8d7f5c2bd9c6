"""What `ports.ProxyAddresses` promises, of the addresses in memory and of Elastic IPs (moto)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import boto3
import pytest

from chalicelib.adapters.aws.proxy_machines import Ec2ProxyAddresses
from chalicelib.adapters.memory.proxy_parts import FakeProxyAddresses
from chalicelib.domain.errors import CloudError, ThrottledError
from tests.builders import make_balancer
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.contract.proxy_account import STAGE, ProxyAccount
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import ProxyAddresses


class Bench(Protocol):
    addresses: ProxyAddresses
    balancer: LoadBalancer
    other: LoadBalancer

    def machine(self) -> str: ...


class InMemory:
    def __init__(self) -> None:
        self.addresses = FakeProxyAddresses()
        self.balancer, self.other = make_balancer(existing=False), make_balancer("lb_2", existing=False)
        self._made = 0

    def machine(self) -> str:
        self._made += 1
        return f"i-{self._made:08x}"


class Aws:
    def __init__(self) -> None:
        self.account = ProxyAccount()
        self.addresses = Ec2ProxyAddresses(STAGE)
        self.balancer, self.other = self.account.balancer(), self.account.balancer("lb_2")

    def machine(self) -> str:
        image = self.account.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        order = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        made = self.account.ec2.run_instances(**order, SubnetId=self.account.subnet_id)
        return made["Instances"][0]["InstanceId"]


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


def test_an_address_is_its_load_balancers_and_on_no_machine_at_first(bench):
    assert list(bench.addresses.find(bench.balancer)) == []
    bench.addresses.allocate(bench.balancer)
    (found,) = bench.addresses.find(bench.balancer)
    assert found.instance_id is None
    assert found.allocation_id.startswith("eipalloc-")
    assert found.public_ip.count(".") == 3
    assert list(bench.addresses.find(bench.other)) == []


def test_it_goes_from_one_machine_to_the_next_and_to_the_same_again(bench):
    first, second = bench.machine(), bench.machine()
    bench.addresses.allocate(bench.balancer)
    (address,) = bench.addresses.find(bench.balancer)
    for machine in (first, second, second, first):
        bench.addresses.associate(bench.balancer, address.allocation_id, machine)
        (found,) = bench.addresses.find(bench.balancer)
        assert (found.allocation_id, found.public_ip) == (address.allocation_id, address.public_ip)
        assert found.instance_id == machine


def test_each_is_another_one_whatever_was_released_before(bench):
    for _ in range(2):
        bench.addresses.allocate(bench.balancer)
    bench.addresses.allocate(bench.other)
    first, second = bench.addresses.find(bench.balancer)
    bench.addresses.release(bench.balancer, first.allocation_id)
    bench.addresses.allocate(bench.balancer)
    now = bench.addresses.find(bench.balancer)
    assert second in now
    assert len({address.allocation_id for address in now}) == 2
    assert len(bench.addresses.find(bench.other)) == 1


@pytest.mark.parametrize("used", [False, True], ids=["idle", "on a machine"])
def test_it_is_given_back_once_and_twice(bench, used):
    bench.addresses.allocate(bench.balancer)
    bench.addresses.allocate(bench.other)
    (address,) = bench.addresses.find(bench.balancer)
    if used:
        bench.addresses.associate(bench.balancer, address.allocation_id, bench.machine())
    for _ in range(2):
        bench.addresses.release(bench.balancer, address.allocation_id)
        assert list(bench.addresses.find(bench.balancer)) == []
    assert len(bench.addresses.find(bench.other)) == 1


def test_one_that_is_gone_is_put_on_no_machine(bench):
    with pytest.raises(CloudError) as caught:
        bench.addresses.associate(bench.balancer, "eipalloc-0123456789abcdef0", bench.machine())
    assert caught.value.code == "InvalidAllocationID.NotFound"


# Only AWS has it


def test_it_is_tagged_as_it_is_made_and_one_of_the_users_or_of_another_stage_is_none_of_ours(aws):
    aws.account.ec2.allocate_address(Domain="vpc")
    Ec2ProxyAddresses("prod").allocate(aws.balancer)
    aws.addresses.allocate(aws.balancer)
    (ours,) = aws.addresses.find(aws.balancer)
    ec2 = boto3.client("ec2", region_name=REGION)
    (seen,) = ec2.describe_addresses(AllocationIds=[ours.allocation_id])["Addresses"]
    tags = {"autostop:proxy": "lb_1", "autostop:stage": STAGE, "Name": "autostop proxy"}
    assert {tag["Key"]: tag["Value"] for tag in seen["Tags"]} == tags


def test_an_address_is_taken_off_its_machine_before_it_is_given_back(aws):
    """AWS refuses to release one that is in use (InvalidIPAddress.InUse); moto does not."""
    aws.addresses.allocate(aws.balancer)
    (address,) = aws.addresses.find(aws.balancer)
    aws.addresses.associate(aws.balancer, address.allocation_id, aws.machine())
    aws.account.asked.clear()
    aws.addresses.release(aws.balancer, address.allocation_id)
    assert [name for name, _ in aws.account.asked] == ["DescribeAddresses", "DisassociateAddress", "ReleaseAddress"]


@pytest.mark.parametrize(
    ("code", "kind"), [("AddressLimitExceeded", CloudError), ("RequestLimitExceeded", ThrottledError)]
)
def test_a_refusal_is_raised_with_the_code_of_aws(aws, code, kind):
    for call in (
        lambda: aws.addresses.allocate(aws.balancer),
        lambda: aws.addresses.find(aws.balancer),
        lambda: aws.addresses.associate(aws.balancer, "eipalloc-1", "i-1"),
        lambda: aws.addresses.release(aws.balancer, "eipalloc-1"),
    ):
        aws.account.refusals.append(refusal(code))
        with pytest.raises(CloudError) as caught:
            call()
        assert (type(caught.value), caught.value.code) == (kind, code)
