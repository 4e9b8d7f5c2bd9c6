"""`GET /load-balancers/{id}/install`: who gets which script, with API Gateway's own event."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import app as application
from chalicelib.bootstrap import parts
from chalicelib.domain.access import Role
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.entrypoints.api.install import api_url
from chalicelib.settings import from_env
from tests.builders import make_balancer

if TYPE_CHECKING:
    from collections.abc import Callable

LAMBDA = SimpleNamespace(aws_request_id="r", function_name="api_handler")
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:autostop/lb_1"
ROUTE = "/load-balancers/{load_balancer_id}/install"


@pytest.fixture
def install(api, monkeypatch) -> Callable[..., Any]:
    settings = from_env(
        {
            "AUTOSTOP_STAGE": "dev",
            "AWS_REGION": "eu-central-1",
            "AUTOSTOP_TABLE_PREFIX": "autostop-dev-",
            "AUTOSTOP_QUEUE_URL": "https://sqs.example.com/q",
            "AUTOSTOP_PROVISION_QUEUE_URL": "https://sqs.example.com/p",
            "AUTOSTOP_PROXY_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/autostop-test-proxy-boundary",
            "AUTOSTOP_PROXY_LOG_GROUP": "/autostop/dev/proxy",
        }
    )
    monkeypatch.setattr(parts, "settings", lambda: settings)

    def ask(role: Role | None, id_: str = "lb_1") -> Any:
        path = f"/load-balancers/{id_}/install"
        context = {
            "httpMethod": "GET",
            "resourcePath": ROUTE,
            "domainName": "abc.execute-api.eu-central-1.amazonaws.com",
            "stage": "api",
            "path": f"/api{path}",
            "identity": {"sourceIp": "203.0.113.7"},
        }
        event = {
            "requestContext": context,
            "headers": {"authorization": f"Bearer {api.tokens[role]}"} if role else {},
            "multiValueQueryStringParameters": None,
            "pathParameters": {"load_balancer_id": id_},
            "stageVariables": None,
            "body": None,
            "isBase64Encoded": False,
        }
        return application.app(event, LAMBDA)

    return ask


def test_an_admin_gets_a_script_that_knows_where_the_api_is(install):
    answer = install(Role.ADMIN)
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "text/x-shellscript"
    assert answer["body"].startswith("#!/bin/bash\n")
    assert '"api_url": "https://abc.execute-api.eu-central-1.amazonaws.com/api"' in answer["body"]
    assert '"load_balancer_id": "lb_1"' in answer["body"]
    assert '"region": "eu-central-1"' in answer["body"]
    assert '"log_group": "/autostop/dev/proxy"' in answer["body"]


def test_it_says_which_sha_256_its_bytes_have(install):
    answer = install(Role.PROXY)
    assert answer["headers"]["AutoStop-Script-SHA256"] == hashlib.sha256(answer["body"].encode()).hexdigest()


def test_the_script_holds_nobodys_key(install, api):
    body = install(Role.PROXY)["body"]
    assert not [token for token in api.tokens.values() if token in body or token.rsplit("_", 1)[1] in body]


@pytest.mark.parametrize(("role", "status"), [(Role.PROXY, 200), (Role.OPERATOR, 403), (Role.VIEWER, 403), (None, 401)])
def test_besides_admins_only_the_proxy_itself_gets_it(install, role, status):
    assert install(role)["statusCode"] == status


def test_a_proxy_does_not_get_the_script_of_another(install, api):
    api.world.stores.balancers.create(make_balancer("lb_2"))
    assert install(Role.ADMIN, "lb_2")["statusCode"] == 200
    assert install(Role.PROXY, "lb_2")["statusCode"] == 403


def test_a_balancer_with_a_secret_has_the_agent_read_it_and_no_key_file(install, api):
    api.world.stores.balancers.create(make_balancer("lb_2", api_key_secret_arn=SECRET))
    body = install(Role.ADMIN, "lb_2")["body"]
    assert f'"api_key_secret_arn": "{SECRET}"' in body
    assert '"key_file"' not in body


def test_there_is_no_script_for_what_is_no_proxy_or_not_there(install, api):
    api.world.stores.balancers.create(make_balancer("lb_2", kind=LoadBalancerKind.ALB))
    refused = install(Role.ADMIN, "lb_2")
    assert refused["statusCode"] == 409
    assert json.loads(refused["body"])["detail"] == "lb_2 is no proxy: there is nothing to install."
    assert install(Role.ADMIN, "lb_3")["statusCode"] == 404


def test_the_address_is_the_one_that_was_asked_also_on_a_domain_of_ones_own_and_in_an_emulator():
    path = "/load-balancers/lb_1/install"
    own = {"domainName": "stop.example.com", "stage": "api", "path": f"/v1{path}"}
    assert api_url(own, path, None) == "https://stop.example.com/v1"
    bare = {"domainName": "stop.example.com", "stage": "api", "path": path}
    assert api_url(bare, path, None) == "https://stop.example.com"
    local = {"apiId": "a1", "stage": "api", "path": f"/api{path}"}
    assert api_url(local, path, "http://127.0.0.1:4566") == "http://127.0.0.1:4566/restapis/a1/api/_user_request_"


def test_no_script_is_made_with_an_address_that_nobody_knows():
    with pytest.raises(ConflictError, match="does not say at which address"):
        api_url({"path": "/load-balancers/lb_1/install"}, "/load-balancers/lb_1/install", None)


def test_the_openapi_document_shows_the_route_as_a_shell_script_for_admins_and_the_proxy(api):
    route = api("GET", "/openapi.json", role=None).json_body["paths"][ROUTE]["get"]
    assert list(route["responses"]["200"]["content"]) == ["text/x-shellscript"]
    assert route["x-role"] == "admin"
    assert route["x-or-its-proxy"] is True


def test_the_secret_of_a_proxys_key_is_named_through_the_api_and_its_script_reads_the_key_there(install, api):
    body = {
        "kind": "proxy",
        "name": "own",
        "region": "us-east-1",
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-1"],
        "security_group_ids": ["sg-1"],
        "existing": True,
        "api_key_secret_arn": SECRET,
    }
    made = api("POST", "/load-balancers", body)
    assert made.status_code == 201, made.body
    assert made.json_body["api_key_secret_arn"] == SECRET
    assert f'"api_key_secret_arn": "{SECRET}"' in install(Role.ADMIN, made.json_body["id"])["body"]
    wrong = api("POST", "/load-balancers", body | {"api_key_secret_arn": "the key itself"})
    assert [error["field"] for error in wrong.json_body["errors"]] == ["api_key_secret_arn"]
