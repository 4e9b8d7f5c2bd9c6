"""What `ports.ProxySecrets` promises, of the secrets in memory and of Secrets Manager (moto)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest

from chalicelib.adapters.aws.proxy_secrets import AwsProxySecrets
from chalicelib.adapters.memory.proxy_parts import FakeProxySecrets
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.network import secret_region
from chalicelib.domain.provisioning import KeySecret
from tests.builders import make_balancer
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.contract.proxy_account import STAGE, ProxyAccount
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.ports import ProxySecrets

BALANCER, OTHER = make_balancer(existing=False), make_balancer("lb_2", existing=False)
TOKEN, NEXT = "ak_1_first-secret", "ak_2_second-secret"


class Bench(Protocol):
    secrets: ProxySecrets

    def read(self, arn: str) -> str:
        """What its VM reads."""


class InMemory:
    def __init__(self) -> None:
        self.secrets = FakeProxySecrets()

    def read(self, arn: str) -> str:
        return next(token for secret, token in self.secrets.kept.values() if secret.arn == arn)


class Aws:
    def __init__(self) -> None:
        self.account = ProxyAccount()
        self.secrets = AwsProxySecrets(STAGE)
        self.manager: Any = boto3.client("secretsmanager", region_name=REGION)

    def read(self, arn: str) -> str:
        return self.manager.get_secret_value(SecretId=arn)["SecretString"]

    def tags(self, arn: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.manager.describe_secret(SecretId=arn)["Tags"]}


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


def test_a_secret_is_found_with_the_key_that_is_in_it(bench):
    assert bench.secrets.find(BALANCER) is None
    arn = bench.secrets.create(BALANCER, TOKEN, "ak_1")
    assert bench.secrets.find(BALANCER) == KeySecret(arn, "ak_1")
    assert bench.read(arn) == TOKEN
    assert secret_region(arn) == REGION
    assert bench.secrets.find(OTHER) is None


def test_a_second_one_of_the_same_name_is_refused_and_the_first_stays(bench):
    arn = bench.secrets.create(BALANCER, TOKEN, "ak_1")
    with pytest.raises(CloudError) as caught:
        bench.secrets.create(BALANCER, NEXT, "ak_2")
    assert caught.value.code == "ResourceExistsException"
    assert bench.secrets.find(BALANCER) == KeySecret(arn, "ak_1")
    assert bench.read(arn) == TOKEN


def test_a_new_key_takes_the_place_of_the_one_before_under_the_same_arn(bench):
    arn = bench.secrets.create(BALANCER, TOKEN, "ak_1")
    bench.secrets.create(OTHER, TOKEN, "ak_3")
    bench.secrets.renew(BALANCER, arn, NEXT, "ak_2")
    assert bench.secrets.find(BALANCER) == KeySecret(arn, "ak_2")
    assert bench.read(arn) == NEXT
    assert bench.secrets.find(OTHER).key_id == "ak_3"


def test_it_is_deleted_once_and_twice_and_its_name_is_free_at_once(bench):
    arn = bench.secrets.create(BALANCER, TOKEN, "ak_1")
    kept = bench.secrets.create(OTHER, TOKEN, "ak_3")
    for _ in range(2):
        bench.secrets.delete(BALANCER, arn)
        assert bench.secrets.find(BALANCER) is None
    assert bench.secrets.find(OTHER) == KeySecret(kept, "ak_3")
    again = bench.secrets.create(BALANCER, NEXT, "ak_2")
    assert bench.secrets.find(BALANCER) == KeySecret(again, "ak_2")


# Only AWS has it


def test_it_is_tagged_as_it_is_made_and_has_the_key_nowhere_but_in_its_value(aws):
    arn = aws.secrets.create(BALANCER, TOKEN, "ak_1")
    described = aws.manager.describe_secret(SecretId=arn)
    assert described["Name"] == "autostop/test/proxy/lb_1"
    ours = {"autostop:proxy": "lb_1", "autostop:stage": STAGE, "Name": "autostop proxy", "autostop:api-key": "ak_1"}
    assert aws.tags(arn) == ours
    assert TOKEN not in str(described)
    aws.secrets.renew(BALANCER, arn, NEXT, "ak_2")
    assert aws.tags(arn) == ours | {"autostop:api-key": "ak_2"}
    assert NEXT not in str(aws.manager.describe_secret(SecretId=arn))


def test_who_looks_for_it_never_reads_it(aws):
    aws.secrets.create(BALANCER, TOKEN, "ak_1")
    aws.account.asked.clear()
    aws.secrets.find(BALANCER)
    assert [name for name, _ in aws.account.asked] == ["DescribeSecret"]


def test_one_that_somebody_is_deleting_is_none(aws):
    arn = aws.secrets.create(BALANCER, TOKEN, "ak_1")
    aws.manager.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    assert aws.secrets.find(BALANCER) is None


def test_one_whose_tag_somebody_took_away_holds_no_key_that_we_know(aws):
    arn = aws.secrets.create(BALANCER, TOKEN, "ak_1")
    aws.manager.untag_resource(SecretId=arn, TagKeys=["autostop:api-key"])
    assert aws.secrets.find(BALANCER) == KeySecret(arn, None)


def test_a_worker_that_dies_between_value_and_tag_leaves_a_key_that_is_renewed_once_more(aws):
    arn = aws.secrets.create(BALANCER, TOKEN, "ak_1")
    aws.account.asked.clear()
    aws.secrets.renew(BALANCER, arn, NEXT, "ak_2")
    assert [name for name, _ in aws.account.asked] == ["PutSecretValue", "TagResource"]


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDeniedException", CloudError), ("ThrottlingException", ThrottledError)]
)
def test_a_refusal_has_the_code_of_aws_and_nothing_of_the_key(aws, code, kind, caplog):
    caplog.set_level("INFO")
    for call in (
        lambda: aws.secrets.find(BALANCER),
        lambda: aws.secrets.create(BALANCER, TOKEN, "ak_1"),
        lambda: aws.secrets.renew(BALANCER, "autostop/test/proxy/lb_1", TOKEN, "ak_1"),
        lambda: aws.secrets.delete(BALANCER, "autostop/test/proxy/lb_1"),
    ):
        aws.account.refusals.append(refusal(code))
        with pytest.raises(CloudError) as caught:
            call()
        assert (type(caught.value), caught.value.code) == (kind, code)
        assert TOKEN not in repr(caught.value) + str(caught.value.__cause__) + caplog.text
