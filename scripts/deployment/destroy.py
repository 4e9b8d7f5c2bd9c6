"""Taking a stage away: what goes, what has to go first, what stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts import base_stack, flow_logs
from scripts.deployment.adopt import adopt, by_name
from scripts.deployment.errors import StillInUseError
from scripts.deployment.functions import code_of
from scripts.deployment.stacks import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.deployment.deployment import Deployment
    from scripts.deployment.steps import Say


@dataclass(slots=True)
class Destruction:
    """Of one stage. `with_data`: the tables, too, which are otherwise kept with their protection."""

    deployment: Deployment
    with_data: bool

    def listed(self) -> Iterator[str]:
        """What goes and what stays, a line each. It changes nothing."""
        here, stage = self.deployment, self.deployment.stage
        for stack in (here.links, here.base):
            seen = stack.seen()
            if seen.status is not None:
                yield f"goes   stack {stack.name}: {counted(seen.template)}"
        functions = code_of(stage, here.app.functions)
        if functions:
            yield f"goes   {len(functions)} functions with their roles, schedules and event rules"
        api = here.app.api_id()
        if api is not None:
            yield f"goes   the REST API {api}, and with it the address {here.url()}"
        for subnet, id_ in flow_logs.ours(here.session.client("ec2"), stage.name).items():
            yield f"goes   flow log {id_} of {subnet}"
        for name in self._tables():
            yield f"{'goes ' if self.with_data else 'stays'}  table {name}"

    def hold_back(self) -> None:
        """Raises StillInUseError while the stage has rules or load balancers.

        Only the API starts what a rule stopped, and puts back what was changed on an ALB.
        """
        names = [*self._of("load-balancers"), *self._of("rules")]
        if names:
            raise StillInUseError(
                f"The stage still has {', '.join(names[:20])}{' …' if len(names) > 20 else ''}. "  # noqa: PLR2004
                "Delete them first (./scripts/autostop rules delete, load-balancers delete): that starts what a rule "
                "stopped, and puts back what was changed on an ALB. --force goes on without."
            )

    def carry_out(self, say: Say) -> None:
        """Take it away; what is gone already is passed over, so that an interrupted run can be repeated."""
        here, stage = self.deployment, self.deployment.stage
        ec2 = here.session.client("ec2")
        flow_logs.remove(stage.name, list(flow_logs.ours(ec2, stage.name)), stage.region)
        self._empty(f"autostop-{stage.name}-alb-logs-{stage.account}-{stage.region}")
        here.links.delete(say)
        say(f"{here.links.name}: gone")
        adopted = adopt(stage, here.kept.deployed() or here.chalice.recorded(), here.app.gateway, here.app.functions)
        recorded = adopted.deployed["resources"]
        events, iam = here.session.client("events"), here.session.client("iam")
        # What an interrupted deploy made goes, too: before what was recorded, as it may hang on it.
        everything = [*by_name(stage, recorded, here.app.functions, iam, events), *recorded]
        if everything:
            here.chalice.record({**adopted.deployed, "resources": everything})
            here.chalice.run("delete", say)
        here.chalice.file.unlink(missing_ok=True)
        say("functions and API: gone")
        tables = self._tables()
        self._empty(here.kept.bucket)
        here.base.delete(say)
        say(f"{here.base.name}: gone")
        self._forget_lines()
        if self.with_data:
            self._drop(tables, say)

    def _of(self, table: str) -> Iterator[str]:
        """The ids of what a table has, without the models: a stage of any version can be taken away."""
        name = f"{self.deployment.stage.table_prefix}{table}"
        if name not in self._tables():
            return
        client = self.deployment.session.client("dynamodb")
        for page in client.get_paginator("scan").paginate(TableName=name, ProjectionExpression="id"):
            for item in page["Items"]:
                yield item["id"]["S"]

    def _tables(self) -> list[str]:
        client, prefix = self.deployment.session.client("dynamodb"), self.deployment.stage.table_prefix
        ours = {
            one["Properties"]["TableName"]
            for one in base_stack.template(self.deployment.stage.name)["Resources"].values()
            if one["Type"] == "AWS::DynamoDB::Table"
        }
        pages = client.get_paginator("list_tables").paginate()
        return sorted(name for page in pages for name in page["TableNames"] if name.startswith(prefix) and name in ours)

    def _empty(self, bucket: str) -> None:
        """A bucket with anything in it, old versions included, cannot be deleted."""
        found = self.deployment.session.resource("s3").Bucket(bucket)
        if found.creation_date is not None:
            found.object_versions.delete()

    def _forget_lines(self) -> None:
        """The log groups that the base stack retains."""
        client = self.deployment.session.client("logs")
        for function in self.deployment.stage.functions:
            name = base_stack.log_group_of(self.deployment.stage.name, function)
            try:
                client.delete_log_group(logGroupName=name)
            except client.exceptions.ResourceNotFoundException:
                continue

    def _drop(self, tables: list[str], say: Say) -> None:
        client = self.deployment.session.client("dynamodb")
        for name in tables:
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
            client.delete_table(TableName=name)
            say(f"table {name}: gone")
