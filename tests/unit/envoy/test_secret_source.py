"""Secrets Manager as the agent asks it, with moto in its place."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from chalicelib.agent.secret_source import SecretsManager, SecretUnavailableError
from tests.unit.envoy.fakes import arn, settings


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch):
    """A client where the secrets lie: in another region than the proxy."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-west-1")


def test_the_version_moves_with_what_is_in_the_secret_and_its_arn_says_in_which_region(secrets, tmp_path):
    made = secrets.create_secret(Name="tls/app", SecretString="one")["ARN"]
    source = SecretsManager(settings(tmp_path))
    first = source.version(made)
    assert source.read(made) == "one"
    assert source.version(made) == first
    secrets.put_secret_value(SecretId=made, SecretString="two")
    assert source.version(made) != first
    assert source.read(made) == "two"


def test_what_is_not_there_and_what_is_no_text_is_said_in_words(secrets, tmp_path):
    source = SecretsManager(settings(tmp_path))
    for ask in (source.version, source.read):
        with pytest.raises(SecretUnavailableError, match="ResourceNotFound"):
            ask(arn("nobody"))
    binary = secrets.create_secret(Name="binary", SecretBinary=b"\x00")["ARN"]
    with pytest.raises(SecretUnavailableError, match="no text"):
        source.read(binary)


def test_a_network_that_is_away_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(SecretUnavailableError, match="EndpointConnectionError"):
        SecretsManager(settings(tmp_path)).version(arn("app"))
