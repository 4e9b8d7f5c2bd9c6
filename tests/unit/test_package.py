"""What is deployed: policies as generated, every event function a module of its own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from chalicelib.adapters.dynamodb.models import ALL_MODELS, SHORT_NAMES
from chalicelib.web.install.parts import parts
from scripts import base_stack, policies
from scripts.benches import package
from scripts.local import stack

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("function", sorted(policies.TABLES))
def test_the_policy_checked_in_is_the_one_that_the_table_gives(function):
    assert (ROOT / ".chalice" / f"policy-{function}.json").read_text() == policies.text(function)


def test_no_policy_allows_more_than_a_named_action():
    for function in policies.TABLES:
        for statement in policies.policy(function)["Statement"]:
            assert not any("*" in action for action in statement["Action"])


def test_only_the_worker_may_stop_anything():
    able = [f for f in policies.TABLES if "ec2:StopInstances" in json.dumps(policies.policy(f))]
    assert able == ["reconcile"]


@pytest.fixture(scope="module")
def template():
    return json.loads((stack.package() / "sam.json").read_text())["Resources"]


def test_every_event_function_is_a_module_of_its_own_with_a_role_of_its_own(template):
    functions = {n: r["Properties"] for n, r in template.items() if r["Type"] == "AWS::Serverless::Function"}
    handlers = {name: properties["Handler"] for name, properties in functions.items()}
    assert handlers == {
        "APIHandler": "app.app",
        "Tick": "chalicelib.entrypoints.tick.tick",
        "Reconcile": "chalicelib.entrypoints.reconcile.reconcile",
        "Discover": "chalicelib.entrypoints.discover.discover",
        "Ec2State": "chalicelib.entrypoints.ec2_state.ec2_state",
        "RdsState": "chalicelib.entrypoints.rds_state.rds_state",
        "TagChange": "chalicelib.entrypoints.tag_change.tag_change",
        "Ec2Calls": "chalicelib.entrypoints.ec2_calls.ec2_calls",
        "AlbLogs": "chalicelib.entrypoints.alb_logs.alb_logs",
        "FlowLogs": "chalicelib.entrypoints.flow_logs.flow_logs",
        "ProxyLogs": "chalicelib.entrypoints.proxy_logs.proxy_logs",
        "Provision": "chalicelib.entrypoints.provision.provision",
        "ProvisionSweep": "chalicelib.entrypoints.provision.provision_sweep",
        "SavingsRollup": "chalicelib.entrypoints.savings_rollup.savings_rollup",
        "WarmUp": "chalicelib.entrypoints.warm_up.warm_up",
    }
    for name, properties in functions.items():
        key = "api_handler" if name == "APIHandler" else properties["Handler"].rsplit(".", 1)[1]
        (role,) = properties["Role"]["Fn::GetAtt"][:1]
        (inline,) = template[role]["Properties"]["Policies"]
        assert inline["PolicyDocument"] == policies.policy(key)
        assert properties["Tracing"] == ("Active" if name in {"APIHandler", "Reconcile"} else "PassThrough")


@pytest.mark.parametrize("name", ["Reconcile", "Provision"])
def test_a_worker_takes_one_message_at_a_time_and_its_queue_waits_six_times_as_long_as_it_may_run(template, name):
    (event,) = template[name]["Properties"]["Events"].values()
    assert event["Properties"]["BatchSize"] == 1
    timeout = template[name]["Properties"]["Timeout"]
    queue = base_stack.template("dev")["Resources"][name]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * timeout
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 3


def test_each_function_has_its_own_memory_timeout_and_environment(template):
    functions = {n: r["Properties"] for n, r in template.items() if r["Type"] == "AWS::Serverless::Function"}
    limits = {name: (properties["MemorySize"], properties["Timeout"]) for name, properties in functions.items()}
    assert limits == {
        "APIHandler": (1024, 29),
        "Tick": (512, 50),
        "Reconcile": (1024, 60),
        "Discover": (512, 240),
        "Ec2State": (512, 30),
        "RdsState": (512, 30),
        "TagChange": (512, 120),
        "Ec2Calls": (512, 30),
        "AlbLogs": (512, 300),
        "FlowLogs": (1024, 60),
        "ProxyLogs": (1024, 60),
        "Provision": (512, 150),
        "ProvisionSweep": (512, 60),
        "SavingsRollup": (1024, 600),
        "WarmUp": (1024, 29),
    }
    only = {"AUTOSTOP_SHORTEST_IDLE_MINUTES": "APIHandler", "AUTOSTOP_HEARTBEAT_SECONDS": "ProxyLogs"}
    for name, properties in functions.items():
        variables = properties["Environment"]["Variables"]
        assert variables["AUTOSTOP_STAGE"] == "local"
        assert {variable for variable in only if variable in variables} == {v for v, f in only.items() if f == name}


def test_whoever_makes_or_shows_load_balancers_knows_the_name_that_cloudformation_gives_the_warm_up_function(template):
    wanted = {"Fn::GetAtt": ["WarmUp", "Arn"]}
    name = "AUTOSTOP_WARM_UP_FUNCTION_ARN"
    functions = {n: r["Properties"] for n, r in template.items() if r["Type"] == "AWS::Serverless::Function"}
    told = {n: properties["Environment"]["Variables"].get(name) for n, properties in functions.items()}
    assert {n for n, arn in told.items() if arn == wanted} == {"APIHandler", "Provision", "ProvisionSweep"}


def test_what_provisions_is_bounded_by_a_policy_that_it_cannot_change(template):
    boundary = template["ProvisionRole"]["Properties"]["PermissionsBoundary"]["Fn::Sub"]
    made = base_stack.template("local")["Resources"]["ProvisionBoundary"]["Properties"]
    assert boundary.endswith(f":policy/{made['ManagedPolicyName']}")
    assert len(json.dumps(made["PolicyDocument"], separators=(",", ":"))) <= 6144, "IAM takes no more"
    actions = {action for statement in made["PolicyDocument"]["Statement"] for action in statement["Action"]}
    assert not [action for action in actions if "PolicyVersion" in action or action == "iam:CreatePolicy"]


def test_the_api_function_carries_every_part_of_the_install_script():
    carried = set(zipfile.ZipFile(stack.package() / "deployment.zip").namelist())
    files = {file for file in (ROOT / "chalicelib" / "web" / "install").iterdir() if file.is_file()}
    agent = {ROOT / name for name in parts().agent}
    assert {file.relative_to(ROOT).as_posix() for file in files | agent} <= carried


def test_the_package_is_no_larger_than_what_a_cold_start_can_bear():
    assert 5 < package.package_mb() <= package.BUDGET_MB


def test_of_the_requests_to_the_api_few_are_traced_and_no_other_api_is_meant(template):
    assert template["RestAPI"]["Properties"]["TracingEnabled"], "who decides is API Gateway"
    resources = base_stack.template("dev")["Resources"].values()
    (rule,) = [r["Properties"]["SamplingRule"] for r in resources if r["Type"] == "AWS::XRay::SamplingRule"]
    assert (rule["FixedRate"], rule["ReservoirSize"]) == (0.01, 0)
    assert rule["ServiceName"] == "autostop/*"
    assert rule["URLPath"] == "*", "API Gateway knows no paths in sampling rules"


def test_no_bytecode_of_the_machine_that_packed_it_is_in_the_package():
    carried = zipfile.ZipFile(stack.package() / "deployment.zip").namelist()
    assert not [name for name in carried if name.endswith(".pyc")]


def test_the_proxies_log_group_is_subscribed(template):
    assert template["ProxyLogsSubscription"]["Type"] == "AWS::Logs::SubscriptionFilter"


def test_the_base_stack_has_every_table_of_the_models_protected_outside_the_demo():
    resources = base_stack.template("dev")["Resources"]
    tables = {r["Properties"]["TableName"]: r for r in resources.values() if r["Type"] == "AWS::DynamoDB::Table"}
    assert set(tables) == {f"autostop-dev-{SHORT_NAMES[model]}" for model in ALL_MODELS}
    for table in tables.values():
        assert table["DeletionPolicy"] == "Retain"
        assert table["Properties"]["DeletionProtectionEnabled"]
        assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert tables["autostop-dev-events"]["Properties"]["TimeToLiveSpecification"]["Enabled"]
