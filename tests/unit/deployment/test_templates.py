"""Every template that an account is given passes cfn-lint, and both ways of deploying link the same."""

from __future__ import annotations

import json

import pytest
from cfnlint import api

from scripts import base_stack, beyond_chalice, policies
from scripts.local import stack

NOTED = {
    # Notes for whoever lets a machine write templates.
    "I4010",
    # AWS knows no sqs:SendMessageBatch (sqs:SendMessage is what it asks for); the emulator asks for it.
    "W3037",
}


def faults(template: dict[str, object]) -> list[str]:
    """What cfn-lint says of it, warnings included."""
    found = api.lint_all(json.dumps(template))
    return [f"{one.rule.id} {one.message} at {one.path}" for one in found if one.rule.id not in NOTED]


@pytest.mark.parametrize("stage", ["dev", "local", "a-long-stage-na"])
def test_the_base_stack_is_sound(stage):
    assert faults(base_stack.template(stage)) == []


def test_the_links_stack_is_sound():
    assert faults(beyond_chalice.links("dev")) == []


def test_the_packaged_template_with_what_is_merged_into_it_is_sound():
    template = json.loads((stack.package() / "sam.json").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/deployment.zip"
    assert faults(template) == []


def test_a_base_stack_fits_into_the_request_that_makes_it():
    assert len(json.dumps(base_stack.template("a-long-stage-na"), separators=(",", ":"))) < 51_200


def test_both_ways_of_deploying_link_the_functions_in_the_same_way():
    beside, within = beyond_chalice.links("dev")["Resources"], beyond_chalice.merged("dev")["Resources"]
    assert beside.keys() <= within.keys()
    assert {name: one["Type"] for name, one in beside.items()} == {name: within[name]["Type"] for name in beside}
    for function in policies.INVOKED_BY_EVENTS:
        both = [where[f"{base_stack.logical_name(function)}Failures"]["Properties"] for where in (beside, within)]
        assert both[0]["DestinationConfig"] == both[1]["DestinationConfig"]
        assert both[0]["FunctionName"] == base_stack.function_name("dev", function)
        assert both[1]["FunctionName"] == {"Ref": base_stack.logical_name(function)}


def test_each_function_that_nobody_waits_for_may_put_what_it_failed_at_into_the_queue_for_it():
    for function in policies.TABLES:
        allowed = [one["Action"] for one in policies.policy(function)["Statement"] if one["Sid"] == "Failures"]
        assert allowed == ([["sqs:SendMessage"]] if function in policies.INVOKED_BY_EVENTS else [])
