"""Steps look, act on the difference, and look again; plans are what they would do."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from scripts.base_stack import template
from scripts.deployment.errors import NotAsWantedError
from scripts.deployment.stacks import changes, counted
from scripts.deployment.steps import Difference, carry_out, plan


@dataclass
class Light:
    """Something that can be on; `stuck` ignores whoever turns it on."""

    name: str
    on: bool = False
    stuck: bool = False
    acts: list[str] = field(default_factory=list)

    def look(self) -> Difference | None:
        return None if self.on else Difference("turn on", "it is dark")

    def act(self, say) -> None:
        self.acts.append(self.name)
        self.on = not self.stuck


def test_a_plan_acts_on_nothing():
    light = Light("hall")
    (planned,) = plan([light])
    assert planned.difference == Difference("turn on", "it is dark")
    assert light.acts == []


def test_only_what_differs_is_acted_on_and_a_second_run_has_nothing_to_do():
    lights, said = [Light("hall"), Light("stairs", on=True)], []
    assert carry_out(lights, said.append) == 1
    assert said == ["hall: turn on (it is dark)", "stairs: as wanted"]
    assert carry_out(lights, said.append) == 0


def test_what_was_done_and_is_not_seen_ends_the_run_before_the_next_step():
    stuck, after = Light("hall", stuck=True), Light("stairs")
    with pytest.raises(NotAsWantedError, match="hall: done, but still to turn on"):
        carry_out([stuck, after], lambda _: None)
    assert after.acts == []


def test_a_stack_that_changes_says_what_of_it():
    old = {"Resources": {"Kept": {"Type": "AWS::SQS::Queue"}, "Gone": {"Type": "AWS::SQS::Queue"}}}
    new = {
        "Resources": {"Kept": {"Type": "AWS::SQS::Queue", "Properties": {"x": 1}}, "Fresh": {"Type": "AWS::S3::Bucket"}}
    }
    assert changes(old, new) == "adds Fresh; changes Kept; removes Gone"
    assert changes(new, new) == ""
    assert changes(new, {**new, "Outputs": {}}) == "changes its outputs or its description"


def test_what_a_stack_is_made_of_is_counted_by_kind():
    assert counted(template("dev")).startswith("17 Logs LogGroup, 11 DynamoDB Table")
