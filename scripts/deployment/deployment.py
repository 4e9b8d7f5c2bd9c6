"""A stage's deployment, put together: which steps there are, on which clients."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from scripts import base_stack, beyond_chalice
from scripts.deployment.app import App, Boundary, ChalicesFile
from scripts.deployment.chalice import Chalice
from scripts.deployment.config_file import ConfigFile
from scripts.deployment.feeds import Feeds
from scripts.deployment.first_key import FirstKey
from scripts.deployment.kept import Kept
from scripts.deployment.smoke import Smoke, api_url
from scripts.deployment.stacks import Stack, StackStep

if TYPE_CHECKING:
    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Say, Step


class Deployment:
    """Built for one run. `another_key`: an admin key is made though there is one."""

    def __init__(self, stage: Stage, *, another_key: bool = False) -> None:
        session = boto3.Session(region_name=stage.region)
        self.stage = stage
        self.session = session
        formation = session.client("cloudformation")
        self.base = Stack(formation, self.stage.base)
        self.links = Stack(formation, self.stage.links)
        bucket = f"autostop-{self.stage.name}-state-{self.stage.account}-{self.stage.region}"
        self.kept = Kept(session.client("s3"), bucket)
        self.chalice = Chalice(self.stage)
        gateway, functions = session.client("apigateway"), session.client("lambda")
        self.config = ConfigFile(stage, lambda: self.base.seen().outputs, self.kept.section, self._concurrency)
        self.app = App(stage, self.config.coming, self.chalice, self.kept, gateway, functions)
        self.feeds = Feeds(stage, session.client("events"), session.client("logs"), self.app)
        self.first_key = FirstKey(self.stage, self.base, another_key)

    def steps(self) -> tuple[Step, ...]:
        """In their order; each needs those before it."""
        return (
            StackStep(
                "base stack",
                self.base,
                base_stack.template(self.stage.name, traced="AWS_ENDPOINT_URL" not in os.environ),
            ),
            self.config,
            ChalicesFile(self.chalice, self.kept),
            self.app,
            Boundary(self.stage, self.session.client("iam")),
            StackStep(
                "links stack", self.links, beyond_chalice.links(self.stage.name), ", once the functions are there"
            ),
            self.feeds,
            self.first_key,
        )

    def url(self) -> str | None:
        """Of the API, if it is there."""
        api = self.app.api_id()
        return None if api is None else api_url(api, self.stage.region)

    def stage_is_there(self) -> bool:
        """Whether it was bootstrapped."""
        return self.base.seen().status is not None

    def smoke(self, say: Say) -> None:
        """Raises UnhealthyError."""
        Smoke(self.url() or "").check(say, self.first_key.token)

    def _concurrency(self) -> int:
        found = self.session.client("lambda").get_account_settings()["AccountLimit"]
        return min(found.get("ConcurrentExecutions", 0), found.get("UnreservedConcurrentExecutions", 0))
