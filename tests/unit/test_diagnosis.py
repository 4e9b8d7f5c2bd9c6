"""AWS's codes in words that say what to do."""

from __future__ import annotations

import pytest

from chalicelib.domain.diagnosis import diagnosed


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("InsufficientInstanceCapacity", "We currently do not have sufficient capacity", "no capacity"),
        (None, "Server.InsufficientInstanceCapacity: Insufficient capacity", "no capacity"),
        ("VcpuLimitExceeded", "You have requested more vCPU capacity", "quota"),
        (None, "Client.InternalError: Client error on launch", "kms:CreateGrant"),
        ("OptInRequired", "You are not subscribed", "licence or subscription"),
        ("UnauthorizedOperation", "You are not authorized", "role"),
        ("IncorrectInstanceState", "The instance is not in a state", "state that does not allow"),
        ("InvalidInstanceID.NotFound", "The instance ID does not exist", "does not exist any more"),
        (None, "Client.VolumeLimitExceeded: Volume limit exceeded", "quota"),
        (None, "Client.InvalidSnapshot.NotFound: The snapshot does not exist", "volume"),
    ],
)
def test_the_known_causes_are_explained_after_awss_own_words(code, message, words):
    said = diagnosed(code, message)
    assert said.startswith(f"{code}: " if code else message.split(":")[0])
    assert words in said


def test_an_unknown_cause_keeps_awss_own_words():
    assert diagnosed("SomethingNew", "Never seen") == "SomethingNew: Never seen"
