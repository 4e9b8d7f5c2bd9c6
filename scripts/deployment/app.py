"""The functions, their rules and the REST API, by `chalice deploy`; and the bound on the role that makes things."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib import __version__
from scripts.beyond_chalice import provision_boundary
from scripts.deployment import config_file, sources
from scripts.deployment.adopt import API, adopt
from scripts.deployment.functions import boundary_of, code_of
from scripts.deployment.kept import Record
from scripts.deployment.steps import Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

    from scripts.deployment.chalice import Chalice
    from scripts.deployment.kept import Kept
    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Say


@dataclass(frozen=True, slots=True)
class App:
    """`chalice deploy` as a step, run only where something differs: it costs minutes, and touches every function.

    `coming` is the configuration as it will be when it is this step's turn.
    """

    stage: Stage
    coming: Callable[[], dict[str, Any]]
    chalice: Chalice
    kept: Kept
    gateway: APIGatewayClient
    functions: LambdaClient
    name: str = "functions and API"

    def missing(self) -> list[str]:
        """The functions that are not there."""
        return sorted(self.stage.functions.keys() - code_of(self.stage, self.functions).keys())

    def look(self) -> Difference | None:
        code = code_of(self.stage, self.functions)
        missing = sorted(self.stage.functions.keys() - code.keys())
        if len(missing) == len(self.stage.functions):
            return Difference("deploy", f"{len(missing)} functions and a REST API, version {__version__}")
        if missing:
            return Difference("deploy", f"not there: {', '.join(missing)}")
        record = self.kept.record()
        if record is None:
            return Difference("deploy", "nothing tells what was deployed, as after an interrupted deploy")
        if record.fingerprint != self._fingerprint():
            return Difference("deploy", f"version {record.version} of {record.at} with other sources or settings")
        others = sorted(name for name, sha in code.items() if record.code.get(name) != sha)
        if others:
            return Difference("deploy", f"code that was not deployed by this: {', '.join(others)}")
        if self.api_id() is None:
            return Difference("deploy", "there is no REST API")
        return None

    def act(self, say: Say) -> None:
        recorded = self.kept.deployed() or self.chalice.recorded()
        adopted = adopt(self.stage, recorded, self.gateway, self.functions)
        for name in adopted.found:
            say(f"  {name}: is there already, and was not recorded")
        for orphan in adopted.orphans:
            say(f"  REST API {orphan} is of an interrupted deploy; when nobody uses it:")
            say(f"    aws apigateway delete-rest-api --region {self.stage.region} --rest-api-id {orphan}")
        self.chalice.record(adopted.deployed)
        self.kept.put_deployed(adopted.deployed)
        self.chalice.run("deploy", say)
        self.kept.put_deployed(self.chalice.recorded() or {})
        self.kept.put_section(self._section())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        code = code_of(self.stage, self.functions)
        self.kept.put_record(Record(__version__, self._fingerprint(), code, now))

    def api_id(self) -> str | None:
        """The REST API of the stage, if there is one and the account still has it."""
        recorded = self.kept.deployed() or {}
        ids = [one["rest_api_id"] for one in recorded.get("resources", ()) if one["name"] == API]
        there = (api["id"] for page in self.gateway.get_paginator("get_rest_apis").paginate() for api in page["items"])
        return ids[0] if ids and ids[0] in set(there) else None

    def _fingerprint(self) -> str:
        return sources.fingerprint(self.stage.root, self.coming(), self.stage.name)

    def _section(self) -> dict[str, Any]:
        return config_file.section(config_file.read(self.stage.root), self.stage.name) or {}


@dataclass(frozen=True, slots=True)
class ChalicesFile:
    """`.chalice/deployed/STAGE.json` in this checkout, so that plain `chalice deploy` works from here, too."""

    chalice: Chalice
    kept: Kept
    name: str = "record of Chalice"

    def look(self) -> Difference | None:
        if self.chalice.recorded() is not None or self.kept.deployed() is None:
            return None
        return Difference(
            "fetch", f"{self.chalice.file.relative_to(self.chalice.stage.root)}, as it is kept in the account"
        )

    def act(self, say: Say) -> None:
        say(f"  from s3://{self.kept.bucket}")
        self.chalice.record(self.kept.deployed() or {})


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the role of `provision` may never go beyond. Chalice cannot give a role one."""

    stage: Stage
    iam: IAMClient
    name: str = "bound of the provision role"

    def look(self) -> Difference | None:
        found = boundary_of(self._role, self.iam)
        return None if found == self._arn else Difference("put", f"{self._arn.rsplit('/', 1)[1]} on {self._role}")

    def act(self, say: Say) -> None:
        say(f"  bounding {self._role}")
        self.iam.put_role_permissions_boundary(RoleName=self._role, PermissionsBoundary=self._arn)

    @property
    def _role(self) -> str:
        return f"autostop-{self.stage.name}-provision"

    @property
    def _arn(self) -> str:
        return f"arn:{self.stage.partition}:iam::{self.stage.account}:policy/{provision_boundary(self.stage.name)}"
