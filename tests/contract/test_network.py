"""What `ports.Network` promises, of the network in memory and of AWS.

moto 5.2 neither refuses nor throttles these calls (a failure is put on the wire before it), answers every listing on
one page, and has no other account whose secrets we may not see: that is in tests/unit/aws/test_network.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.network import AwsNetwork
from chalicelib.adapters.memory.network import FakeNetwork
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.network import Ingress, Subnet, Vpc
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.ports import Network

ELSEWHERE = "eu-central-1"
ZONE = f"{REGION}a"
ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:"


class Bench(Protocol):
    """An adapter, and a way to have things in its account."""

    network: Network

    @property
    def asked(self) -> int:
        """How many calls were made."""

    def vpc(self, cidr: str) -> str: ...
    def subnet(self, vpc_id: str, cidr: str, zone: str = ZONE) -> str: ...
    def group(self, vpc_id: str) -> str: ...
    def open(self, group_id: str, protocol: str, ports: tuple[int, int] | None, cidr: str) -> None: ...
    def key_pair(self, name: str) -> None: ...
    def secret(self, name: str) -> str: ...
    def delete_secret(self, arn: str) -> None:
        """AWS keeps it for a while, marked."""

    def offer(self, machine_type: str, zone: str) -> None:
        """It can be had there."""

    def fail(self, error: CloudError) -> None:
        """The next call is answered so."""


class InMemory:
    def __init__(self) -> None:
        self.network = FakeNetwork()
        self._made = 0

    @property
    def asked(self) -> int:
        return len(self.network.asked)

    def _id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self._made:08x}"

    def vpc(self, cidr: str) -> str:
        id_ = self._id("vpc")
        self.network.add_vpc(REGION, id_, cidr)
        return id_

    def subnet(self, vpc_id: str, cidr: str, zone: str = ZONE) -> str:
        id_ = self._id("subnet")
        self.network.add_subnet(REGION, Subnet(id_, vpc_id, zone))
        return id_

    def group(self, vpc_id: str) -> str:
        id_ = self._id("sg")
        self.network.add_group(REGION, id_, vpc_id)
        return id_

    def open(self, group_id: str, protocol: str, ports: tuple[int, int] | None, cidr: str) -> None:
        self.network.open(REGION, group_id, Ingress(protocol, ports, (cidr,)))

    def key_pair(self, name: str) -> None:
        self.network.key_pairs.add((REGION, name))

    def secret(self, name: str) -> str:
        self.network.secrets.add(ARN + name)
        return ARN + name

    def delete_secret(self, arn: str) -> None:
        self.network.secrets.remove(arn)

    def offer(self, machine_type: str, zone: str) -> None:
        self.network.offers.add((machine_type, zone))

    def fail(self, error: CloudError) -> None:
        self.network.fail_next.append(error)


class Aws:
    def __init__(self) -> None:
        self.network = AwsNetwork()
        self.asked = 0
        self._failures: list[Exception] = []
        self._ec2: Any = boto3.client("ec2", region_name=REGION)
        self._secrets: Any = boto3.client("secretsmanager", region_name=REGION)
        for service, region in (("ec2", REGION), ("ec2", ELSEWHERE), ("secretsmanager", REGION)):
            client(service, region).meta.events.register_first("before-call.*", self._note)

    def _note(self, **_: object) -> None:
        self.asked += 1
        if self._failures:
            raise self._failures.pop()

    def vpc(self, cidr: str) -> str:
        return self._ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]

    def subnet(self, vpc_id: str, cidr: str, zone: str = ZONE) -> str:
        made = self._ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=zone)
        return made["Subnet"]["SubnetId"]

    def group(self, vpc_id: str) -> str:
        made = self._ec2.create_security_group(GroupName=f"g-{vpc_id}", Description="test", VpcId=vpc_id)
        return made["GroupId"]

    def open(self, group_id: str, protocol: str, ports: tuple[int, int] | None, cidr: str) -> None:
        rule: dict[str, Any] = {"IpProtocol": protocol, "IpRanges": [{"CidrIp": cidr}]}
        if ports is not None:
            rule |= {"FromPort": ports[0], "ToPort": ports[1]}
        self._ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])

    def key_pair(self, name: str) -> None:
        self._ec2.create_key_pair(KeyName=name)

    def secret(self, name: str) -> str:
        return self._secrets.create_secret(Name=name, SecretString="-")["ARN"]

    def delete_secret(self, arn: str) -> None:
        self._secrets.delete_secret(SecretId=arn)

    def offer(self, machine_type: str, zone: str) -> None:
        """moto has a list of AWS's own offers, t3.micro in us-east-1a among them."""

    def fail(self, error: CloudError) -> None:
        self._failures.append(refusal(error.code, error.message, "Describe"))


@pytest.fixture(params=["memory", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield Aws()


def test_a_vpc_has_its_range_and_is_of_its_region(bench):
    id_ = bench.vpc("10.7.0.0/16")
    assert bench.network.vpc(REGION, id_) == Vpc(id_, "10.7.0.0/16")
    assert bench.network.vpc(ELSEWHERE, id_) is None
    assert bench.network.vpc(REGION, "vpc-0123456789abcdef0") is None


def test_subnets_say_their_vpc_and_zone_and_an_unknown_one_fails_no_other(bench):
    vpc = bench.vpc("10.7.0.0/16")
    one, two = bench.subnet(vpc, "10.7.1.0/24"), bench.subnet(vpc, "10.7.2.0/24", f"{REGION}b")
    bench.subnet(vpc, "10.7.3.0/24")  # not asked about
    found = bench.network.subnets(REGION, [one, "subnet-0123456789abcdef0", two])
    assert found == {one: Subnet(one, vpc, ZONE), two: Subnet(two, vpc, f"{REGION}b")}


def test_a_new_group_lets_nobody_in_and_an_unknown_one_fails_no_other(bench):
    vpc = bench.vpc("10.7.0.0/16")
    group = bench.group(vpc)
    found = bench.network.security_groups(REGION, ["sg-0123456789abcdef0", group])
    assert list(found) == [group]
    assert (found[group].vpc_id, found[group].ingress) == (vpc, ())


@pytest.mark.parametrize(
    ("protocol", "ports", "opened"),
    [
        ("tcp", (80, 80), {80}),
        ("tcp", (0, 65535), {1, 79, 80, 81, 65535}),
        ("udp", (80, 80), set()),
        ("-1", None, {1, 79, 80, 81, 65535}),
    ],
)
def test_what_a_group_lets_in_is_read_as_it_was_added(bench, protocol, ports, opened):
    group = bench.group(bench.vpc("10.7.0.0/16"))
    bench.open(group, protocol, ports, "203.0.113.0/24")
    (rule,) = bench.network.security_groups(REGION, [group])[group].ingress
    assert {port for port in (1, 79, 80, 81, 65535) if rule.opens(port)} == opened
    assert rule.sources == ("203.0.113.0/24",)


def test_a_machine_type_is_offered_in_zones_and_an_unknown_one_in_none(bench):
    bench.offer("t3.micro", ZONE)
    assert ZONE in bench.network.zones_offering(REGION, "t3.micro")
    assert bench.network.zones_offering(REGION, "t9.colossal") == frozenset()
    assert ZONE not in bench.network.zones_offering(ELSEWHERE, "t3.micro")


def test_a_machine_type_has_the_processor_that_ec2_says_and_an_unknown_one_has_none(bench):
    for type_ in ("t3.micro", "t4g.micro"):
        bench.offer(type_, ZONE)
    assert bench.network.architectures(REGION, "t3.micro") == {"x86_64"}
    assert bench.network.architectures(REGION, "t4g.micro") == {"arm64"}
    assert bench.network.architectures(REGION, "t9.colossal") == frozenset()


def test_a_key_pair_is_known_by_its_whole_name_in_its_region(bench):
    bench.key_pair("ops")
    assert bench.network.has_key_pair(REGION, "ops")
    for region, name in ((REGION, "op"), (REGION, "OPS"), (ELSEWHERE, "ops")):
        assert not bench.network.has_key_pair(region, name)


def test_a_secret_is_there_until_somebody_deletes_it(bench):
    arn = bench.secret("proxy-key")
    assert bench.network.has_secret(arn)
    assert not bench.network.has_secret(f"{ARN}other-abcdef")
    bench.delete_secret(arn)
    assert not bench.network.has_secret(arn)


def test_each_question_is_one_call_whatever_the_number_of_ids_and_none_for_no_ids(bench):
    vpc = bench.vpc("10.7.0.0/16")
    subnets = [bench.subnet(vpc, f"10.7.{n}.0/24") for n in range(16)]
    before = bench.asked
    bench.network.subnets(REGION, [])
    bench.network.security_groups(REGION, [])
    assert bench.asked == before
    assert len(bench.network.subnets(REGION, subnets)) == 16
    bench.network.vpc(REGION, vpc)
    bench.network.security_groups(REGION, [bench.group(vpc), "sg-0123456789abcdef0"])
    bench.network.has_key_pair(REGION, "ops")
    assert bench.asked - before == 4


QUESTIONS = {
    "vpc": lambda network: network.vpc(REGION, "vpc-1"),
    "subnets": lambda network: network.subnets(REGION, ["subnet-1"]),
    "groups": lambda network: network.security_groups(REGION, ["sg-1"]),
    "zones": lambda network: network.zones_offering(REGION, "t3.micro"),
    "architectures": lambda network: network.architectures(REGION, "t3.micro"),
    "key pair": lambda network: network.has_key_pair(REGION, "ops"),
    "secret": lambda network: network.has_secret(f"{ARN}key-abcdef"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "error",
    [ThrottledError("RequestLimitExceeded", "Rate exceeded"), CloudError("UnauthorizedOperation", "not authorized")],
    ids=["throttled", "refused"],
)
def test_a_failure_is_raised_with_the_code_of_aws_and_the_next_call_is_another(bench, question, error):
    bench.fail(error)
    with pytest.raises(CloudError) as caught:
        QUESTIONS[question](bench.network)
    assert type(caught.value) is type(error)
    assert (caught.value.code, caught.value.message) == (error.code, error.message)
    assert not QUESTIONS[question](bench.network) or question in {"zones", "architectures"}
