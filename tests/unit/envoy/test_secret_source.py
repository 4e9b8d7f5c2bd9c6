"""Secrets Manager as the agent asks it."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from chalicelib.agent.secret_source import SecretsManager, SecretUnavailableError
from tests.unit.envoy.fakes import arn, settings


@pytest.fixture
def vault(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


def test_the_current_version_and_its_text_are_read(vault, tmp_path):
    made = vault.create_secret(Name="autostop/lb_1", SecretString="first")["ARN"]
    source = SecretsManager(settings(tmp_path))
    first = source.version(made)
    assert source.read(made) == "first"
    vault.put_secret_value(SecretId=made, SecretString="second")
    assert source.read(made) == "second"
    assert source.version(made) != first


def test_a_secret_of_another_region_is_asked_for_there(vault, tmp_path):
    other = boto3.client("secretsmanager", region_name="eu-central-1")
    made = other.create_secret(Name="autostop/lb_1", SecretString="there")["ARN"]
    assert SecretsManager(settings(tmp_path)).read(made) == "there"


def test_what_is_not_there_or_no_text_is_unavailable_in_awss_words(vault, tmp_path):
    source = SecretsManager(settings(tmp_path))
    with pytest.raises(SecretUnavailableError, match="ResourceNotFoundException"):
        source.read(arn("none"))
    binary = vault.create_secret(Name="binary", SecretBinary=b"\x00")["ARN"]
    with pytest.raises(SecretUnavailableError, match="is no text"):
        source.read(binary)
