"""./scripts/bootstrap and ./scripts/deploy on the embedded cloud: real `chalice deploy`, stacks, policies enforced."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from scripts.policies import TABLES
from tests.e2e.deploy_world import STAGE, DeployWorld

pytestmark = pytest.mark.e2e

KILLED_AT = (
    "base stack: create",
    "configuration: write",
    "Creating lambda function: autostop-e2e-tick",
    "Subscribing autostop-e2e-reconcile",
    "Creating Rest API",
    "bound of the provision role: put",
    "links stack: create",
    "first admin key: create",
    "checking what was deployed",
)
"""In their order: the run after each goes on from there."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = DeployWorld(tmp_path_factory.mktemp("deploy"))
    try:
        yield world
    finally:
        world.end()


@pytest.fixture(scope="module")
def killed(world):
    """The stage, by runs that were all killed but the last; and the checkout it was made from."""
    checkout = world.checkout("first")
    for line in KILLED_AT:
        ran = world.run(checkout, "bootstrap", "--yes", kill_at=line)
        assert ran.code == -9, f"no line {line!r}, or it ended before:\n{ran.text}"
    ran = world.run(checkout, "bootstrap", "--yes")
    assert ran.code == 0, ran.text
    return checkout


@pytest.fixture(scope="module")
def token(world, killed):
    """For whoever lost the first one."""
    ran = world.run(killed, "bootstrap", "--yes", "--new-admin-key")
    assert ran.code == 0, ran.text
    return ran.token()


def test_a_plan_changes_nothing(world):
    ran = world.run(world.checkout("planned"), "bootstrap", "--dry-run")
    assert ran.code == 0, ran.text
    assert "create  autostop-e2e-base: " in ran.text
    assert "USD a month for 10 rules" in ran.text
    assert world.cloud.client("cloudformation").list_stacks()["StackSummaries"] == []
    assert world.cloud.client("lambda").list_functions()["Functions"] == []


def test_a_stage_cannot_be_updated_before_it_is_there(world):
    ran = world.run(world.checkout("early"), "deploy")
    assert ran.code == 1
    assert "./scripts/bootstrap --stage e2e makes it" in ran.text


def test_killed_at_any_step_and_run_again_it_comes_to_the_same_end(world, killed):
    functions = world.cloud.client("lambda")
    names = {one["FunctionName"] for one in functions.list_functions()["Functions"]}
    assert len(names) == len(TABLES)
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    assert sorted(m["EventSourceArn"].rsplit(":", 1)[1] for m in mappings) == [
        "autostop-e2e-provision",
        "autostop-e2e-reconcile",
    ]
    assert [m["BatchSize"] for m in mappings] == [1, 1]
    (api,) = world.cloud.client("apigateway").get_rest_apis()["items"]
    health = httpx.get(f"{world.cloud.url}/restapis/{api['id']}/api/_user_request_/health", timeout=30)
    assert health.json()["status"] == "ok"


def test_a_second_run_changes_nothing(world, killed):
    before = state(world)
    ran = world.run(killed, "bootstrap", "--yes")
    assert ran.code == 0, ran.text
    assert "Done: no steps had something to do." in ran.text
    assert state(world) == before


def test_what_chalice_cannot_do_is_done(world, killed):
    functions, iam = world.cloud.client("lambda"), world.cloud.client("iam")
    role = iam.get_role(RoleName="autostop-e2e-provision")["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith(":policy/autostop-e2e-provision-boundary")
    for function in ("tick", "proxy_logs", "ec2_state"):
        config = functions.get_function_event_invoke_config(
            FunctionName=f"autostop-e2e-{function}", Qualifier="$LATEST"
        )
        assert config["DestinationConfig"]["OnFailure"]["Destination"].endswith(":autostop-e2e-dead-letters")
    logs = world.cloud.client("logs")
    for group in ("proxy", "flow"):
        (filter_,) = logs.describe_subscription_filters(logGroupName=f"/autostop/e2e/{group}")["subscriptionFilters"]
        assert filter_["destinationArn"].endswith(f":function:autostop-e2e-{group}_logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/autostop-e2e")["logGroups"]
    assert len(groups) == len(TABLES)
    assert {group["retentionInDays"] for group in groups} == {30}
    bucket = f"autostop-e2e-alb-logs-000000000000-{world.cloud.client('s3').meta.region_name}"
    told = world.cloud.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    assert told["LambdaFunctionConfigurations"][0]["LambdaFunctionArn"].endswith(":function:autostop-e2e-alb_logs")


def test_another_checkout_goes_on_from_what_the_account_keeps(world, killed):
    other = world.checkout("other")
    before = state(world)
    ran = world.run(other, "deploy")
    assert ran.code == 0, ran.text
    assert "functions and API: as wanted" in ran.text
    assert state(world) == before
    for file in ("config.json", f"deployed/{STAGE}.json"):
        read = [json.loads((where / ".chalice" / file).read_text()) for where in (killed, other)]
        assert read[0] == read[1]


def test_whoever_lost_the_admin_key_gets_another(world, token):
    assert ask(world, "GET", "/rules", token).status_code == 200


def test_the_doctor_finds_a_stage_well_and_names_what_was_broken(world, killed, token):
    (api,) = world.cloud.client("apigateway").get_rest_apis()["items"]
    env = {"AUTOSTOP_URL": f"{world.cloud.url}/restapis/{api['id']}/api/_user_request_", "AUTOSTOP_KEY": token}
    ran = world.run(killed, "autostop", "doctor", **env)
    assert ran.code == 0, ran.text
    assert ran.lines[-1].endswith(" findings, 0 wrong.")
    for words in ("reconcile may do what its policy says", "agrees with that of AWS", "0 rules, none of them failed"):
        assert words in ran.text

    logs, sqs, iam = (world.cloud.client(service) for service in ("logs", "sqs", "iam"))
    logs.delete_subscription_filter(logGroupName="/autostop/e2e/proxy", filterName="autostop-proxy_logs")
    world.cloud.client("events").disable_rule(Name="autostop-e2e-tick-event")
    letters = sqs.get_queue_url(QueueName="autostop-e2e-dead-letters")["QueueUrl"]
    sqs.send_message(QueueUrl=letters, MessageBody="{}")
    nothing = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "ec2:StopInstances", "Resource": "*"}],
    }
    iam.put_role_policy(RoleName="autostop-e2e-reconcile", PolicyName="deny", PolicyDocument=json.dumps(nothing))

    ran = world.run(killed, "autostop", "doctor", **env)
    assert ran.code == 1
    for words in (
        "BAD  schedules and subscriptions: mend (the rule autostop-e2e-tick-event is DISABLED; /autostop/e2e/proxy is",
        "BAD  1 messages and events could not be taken in, and lie in autostop-e2e-dead-letters",
        "BAD  reconcile may not ec2:StopInstances",
    ):
        assert words in ran.text

    iam.delete_role_policy(RoleName="autostop-e2e-reconcile", PolicyName="deny")
    sqs.purge_queue(QueueUrl=letters)
    assert "Done: 1 step had something to do." in world.run(killed, "deploy").text
    assert world.run(killed, "autostop", "doctor", **env).code == 0


def test_a_changed_function_is_deployed_and_everything_around_it_stays(world, killed):
    checkout = world.checkout("changed")
    page = checkout / "chalicelib" / "__init__.py"
    page.write_text(page.read_text().replace('__version__ = "', '__version__ = "9.'))
    before = state(world)
    ran = world.run(checkout, "deploy")
    assert ran.code == 0, ran.text
    after = state(world)
    assert after["code"].keys() == before["code"].keys()
    assert all(after["code"][name] != sha for name, sha in before["code"].items())
    assert {key: after[key] for key in ("apis", "stacks", "mappings")} == {
        key: before[key] for key in ("apis", "stacks", "mappings")
    }
    (api,) = after["apis"]
    health = httpx.get(f"{world.cloud.url}/restapis/{api}/api/_user_request_/health", timeout=30)
    assert health.json()["version"].startswith("9.")


def test_a_stage_in_use_is_not_taken_away_and_its_data_outlives_it_unless_it_is_to_go(world, killed, token):
    made = ask(world, "POST", "/schedules", token, NIGHTS)
    assert made.status_code == 201, made.text
    lb = ask(world, "POST", "/load-balancers", token, own_proxy(world))
    assert lb.status_code == 201, lb.text
    refused = world.run(killed, "bootstrap", "--destroy", "--yes")
    assert refused.code == 1
    assert f"The stage still has {lb.json()['id']}" in refused.text
    assert ask(world, "DELETE", f"/load-balancers/{lb.json()['id']}", token).status_code in {200, 202, 204}

    gone = world.run(killed, "bootstrap", "--destroy", "--yes")
    assert gone.code == 0, gone.text
    assert state(world) == {"code": {}, "apis": [], "mappings": [], "stacks": []}
    left = world.cloud.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/autostop-e2e")
    assert left["logGroups"] == []
    assert world.cloud.client("iam").list_roles()["Roles"] == []

    again = world.run(world.checkout("again"), "bootstrap", "--yes")
    assert again.code == 0, again.text
    names = [one["name"] for one in ask(world, "GET", "/schedules", token).json()["items"]]
    assert names == ["nights"], "the tables were taken on with what is in them"

    away = world.run(killed, "bootstrap", "--destroy", "--yes", "--delete-data")
    assert away.code == 0, away.text
    assert world.cloud.client("dynamodb").list_tables()["TableNames"] == []
    assert world.cloud.client("s3").list_buckets()["Buckets"] == []


def test_what_an_interrupted_deploy_made_and_recorded_nowhere_goes_too(world, killed):
    checkout = world.checkout("interrupted")
    ran = world.run(checkout, "bootstrap", "--yes", kill_at="Subscribing autostop-e2e-reconcile")
    assert ran.code == -9, ran.text
    assert len(world.cloud.client("lambda").list_functions()["Functions"]) > 1
    gone = world.run(checkout, "bootstrap", "--destroy", "--yes", "--delete-data")
    assert gone.code == 0, gone.text
    assert state(world) == {"code": {}, "apis": [], "mappings": [], "stacks": []}
    assert world.cloud.client("iam").list_roles()["Roles"] == []
    assert world.cloud.client("events").list_rules()["Rules"] == []
    assert world.cloud.client("dynamodb").list_tables()["TableNames"] == []


NIGHTS = {
    "name": "nights",
    "kind": "downtime",
    "time_zone": "UTC",
    "weekly": [{"days": ["MON"], "start": "20:00", "end": "06:00"}],
}


def ask(world: DeployWorld, method: str, path: str, token: str, body: object = None) -> httpx.Response:
    (api,) = world.cloud.client("apigateway").get_rest_apis()["items"]
    url = f"{world.cloud.url}/restapis/{api['id']}/api/_user_request_{path}"
    return httpx.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def own_proxy(world: DeployWorld) -> dict[str, Any]:
    """A load balancer for which nothing is made."""
    ec2 = world.cloud.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    where = {
        "vpc_id": subnet["VpcId"],
        "subnet_ids": [subnet["SubnetId"]],
        "security_group_ids": [groups[0]["GroupId"]],
    }
    return {
        "kind": "proxy",
        "name": "edge",
        "region": "us-east-1",
        "machine_type": "t3.micro",
        "existing": True,
        **where,
    }


def state(world: DeployWorld) -> dict[str, Any]:
    """What of the stage a run could change."""
    functions = world.cloud.client("lambda")
    listed = functions.list_functions()["Functions"]
    stacks = world.cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {
        "code": {f["FunctionName"]: (f["CodeSha256"], f["LastModified"]) for f in listed},
        "apis": sorted(api["id"] for api in world.cloud.client("apigateway").get_rest_apis()["items"]),
        "mappings": sorted(m["UUID"] for m in functions.list_event_source_mappings()["EventSourceMappings"]),
        "stacks": sorted((s["StackName"], s["StackStatus"], str(s.get("LastUpdatedTime"))) for s in stacks),
    }
