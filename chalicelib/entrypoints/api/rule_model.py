"""The body of a rule: every constraint of the contract, all faults at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from chalicelib.domain.flow_proof import shortest_idle
from chalicelib.domain.guards import Guard, GuardMetric
from chalicelib.domain.metric_sources import SHORTEST_IDLE
from chalicelib.domain.resources import CLUSTER, OWN_ACCOUNT, Connector, ResourceKind
from chalicelib.domain.routes import HealthCheck, Ignore
from chalicelib.domain.rules import DependsOn, RuleSpec, WhileStarting
from chalicelib.domain.sources import SHORTEST_BY_METRIC, SourceKind, SourceSpec
from chalicelib.entrypoints.api.models import (
    DatabaseId,
    ExternalId,
    LoadBalancerId,
    Name,
    Port,
    Region,
    RoleArn,
    RuleId,
    ScheduleId,
    Strict,
    TagKey,
    TagValue,
    as_database_id,
    as_instance_id,
)
from chalicelib.entrypoints.api.route_models import (
    HealthBody,
    HttpBody,
    IgnoreBody,
    TcpBody,
    TcpIdle,
    distinct,
    idle_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _of_its_kind(value: str, info: ValidationInfo) -> str:
    """An id as the kind beside it has them; any database may be called so where that is wrong itself."""
    return _IDS.get(info.data.get("kind", ""), as_database_id)(value)


_IDS: dict[str, Callable[[str], str]] = {"ec2": as_instance_id, "rds": as_database_id}
ResourceId = Annotated[str, AfterValidator(_of_its_kind)]


class ResourcesBody(Strict):
    """What can be stopped."""

    kind: Literal["ec2", "rds"]
    region: Region
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=10)
    cluster_ids: Annotated[list[DatabaseId], AfterValidator(distinct)] = Field(default=[], max_length=50)
    instance_ids: Annotated[list[ResourceId], AfterValidator(distinct)] = Field(
        default=[], max_length=50, validate_default=True
    )
    when_idle: Literal["stop", "hibernate"] = "stop"

    @field_validator("cluster_ids")
    @classmethod
    def _of_databases(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if value and info.data.get("kind") == "ec2":
            raise ValueError("is for kind rds only")
        return value

    @field_validator("instance_ids")
    @classmethod
    def _or_others(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if not value and info.data.get("tags") == {} and info.data.get("cluster_ids") == []:
            raise ValueError("needs at least one instance where tags has no tag and cluster_ids no cluster")
        return value

    @field_validator("when_idle")
    @classmethod
    def _as_it_can(cls, value: str, info: ValidationInfo) -> str:
        if value == "hibernate" and info.data.get("kind") == "rds":
            raise ValueError("is stop for every database: none hibernates")
        return value

    @property
    def ids(self) -> tuple[str, ...]:
        """All that it names: instances, then clusters as the domain writes them."""
        return (*self.instance_ids, *(CLUSTER + id_ for id_ in self.cluster_ids))


def _one_database(resources: ResourcesBody, *, http: bool) -> None:
    """What a proxy carries of databases. Several would be one target to it, and a client could meet any of them."""
    if http:
        raise ValueError("carries databases by tcp, not by http")
    if len(resources.ids) != 1 or resources.tags:
        raise ValueError("carries one database a rule, named by its id: clients could meet any of several")


def _long_enough(info: ValidationInfo, kinds: Sequence[str]) -> None:
    """An idle time that the sources cannot prove is refused with the number that they can."""
    context, idle = info.context or {}, info.data.get("idle_minutes")
    flows = context.get("flow_log_window")
    if "flow_logs" in kinds and flows is None:
        raise ValueError("has flow_logs, and this stage reads none: AUTOSTOP_FLOW_LOG_GROUP names their log group")
    if idle is None or context.get("shortest_idle_minutes", 1.0) < 1:
        return
    needed = dict.fromkeys(kinds, SHORTEST_BY_METRIC)
    if flows is not None and "flow_logs" in needed:
        needed["flow_logs"] = shortest_idle(flows)
    kind, longest = max(needed.items(), key=lambda one: one[1])
    if timedelta(minutes=idle) < longest:
        minutes = longest / timedelta(minutes=1)
        raise ValueError(f"has {kind}, which needs idle_minutes of {minutes:g} or more: it tells late")


class ConnectorBody(Strict):
    """How another account lets AutoStop in. An external id is not a secret, but without one a role is anybody's."""

    role_arn: RoleArn
    external_id: ExternalId


class DependsOnBody(Strict):
    """A rule that this one needs, and for how long that one is to be up before."""

    rule_id: RuleId
    delay_seconds: int = Field(default=0, ge=0, le=3600)


class GuardBody(Strict):
    """What vetoes a stop. `above_percent` is for cpu, `above` for the others; session and heartbeat have neither."""

    metric: Literal["cpu", "network_bytes", "rds_connections", "ssm_session", "heartbeat"]
    above_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    above: Annotated[float, Field(ge=0, le=1e15)] | None = None
    for_minutes: int = Field(default=10, ge=5, le=1440)

    @model_validator(mode="after")
    def _fits_its_metric(self) -> Self:
        if (self.above_percent is not None) != (self.metric == "cpu"):
            raise ValueError("above_percent is needed by cpu and is for cpu only")
        if self.above is not None and self.metric not in {"network_bytes", "rds_connections"}:
            raise ValueError("above is for network_bytes and rds_connections only")
        return self

    def guard(self) -> Guard:
        """The guard as the domain knows it."""
        above = self.above_percent if self.metric == "cpu" else self.above
        return Guard(GuardMetric(self.metric), above or 0, timedelta(minutes=self.for_minutes))


class SourceBody(Strict):
    """What tells of a use where no load balancer does. `ports` are for flow_logs, `above_percent` for cpu."""

    kind: Literal["flow_logs", "cpu", "network_bytes"]
    ports: Annotated[list[Port], AfterValidator(distinct)] = Field(default=[], max_length=20)
    above_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    above: Annotated[float, Field(ge=0, le=1e15)] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if bool(self.ports) != (self.kind == "flow_logs"):
            raise ValueError("ports are needed by flow_logs and are for flow_logs only")
        if (self.above_percent is not None) != (self.kind == "cpu"):
            raise ValueError("above_percent is needed by cpu and is for cpu only")
        if (self.above is not None) != (self.kind == "network_bytes"):
            raise ValueError("above is needed by network_bytes and is for network_bytes only")
        return self

    def source(self) -> SourceSpec:
        """The source as the domain knows it."""
        above = self.above_percent if self.kind == "cpu" else self.above
        return SourceSpec(SourceKind(self.kind), above or 0, tuple(self.ports))


class RuleBody(Strict):
    """`POST /rules`, `PUT /rules/{id}`.

    What one field demands of others is checked with the later one, so that every fault is named at once and by its
    field; a field that is wrong itself is not there for the others to look at.
    """

    name: Name
    enabled: bool = True
    dry_run: bool = False
    idle_minutes: float = 15
    resources: ResourcesBody
    connector: ConnectorBody | None = None
    http: list[HttpBody] = Field(default=[], max_length=20)
    tcp: list[TcpBody] = Field(default=[], max_length=20)
    tcp_idle: TcpIdle = "any_bytes"
    load_balancer_id: LoadBalancerId | None = Field(default=None, validate_default=True)
    health_check: HealthBody | None = None
    start_timeout_minutes: int | None = Field(default=None, ge=1, le=60)
    while_starting: Literal["page", "hold", "auto"] = "auto"
    ignore: IgnoreBody = IgnoreBody()
    guards: list[GuardBody] = Field(default=[], max_length=10)
    idle_connections: int | None = Field(default=None, ge=0, le=100000)
    sources: list[SourceBody] = Field(default=[], max_length=3)
    depends_on: list[DependsOnBody] = Field(default=[], max_length=20)
    schedule_ids: Annotated[list[ScheduleId], AfterValidator(distinct)] = Field(default=[], max_length=20)
    on_manual_change: Literal["respect", "enforce"] = "respect"
    accept_data_loss: bool = False
    hourly_cost: float | None = Field(default=None, ge=0, le=100000)

    @field_validator("idle_minutes")
    @classmethod
    def _idle(cls, value: float, info: ValidationInfo) -> float:
        shortest = (info.context or {}).get("shortest_idle_minutes", 1.0)
        if not shortest <= value <= 10080:  # noqa: PLR2004
            raise ValueError(f"is not from {shortest:g} to 10080")
        if shortest >= 1 and value != int(value):
            raise ValueError("is not a whole number of minutes")
        return value

    @field_validator("http")
    @classmethod
    def _each_place_once(cls, value: list[HttpBody]) -> list[HttpBody]:
        places = [(route.listen.port, host, path) for route in value for host in route.hosts for path in route.paths]
        if len(set(places)) != len(places):
            raise ValueError("has the same host and path twice")
        spoken = {(route.listen.port, route.listen.protocol) for route in value}
        if len({port for port, _ in spoken}) != len(spoken):
            raise ValueError("has one listen port for both http and https")
        return value

    @field_validator("tcp")
    @classmethod
    def _each_port_once(cls, value: list[TcpBody], info: ValidationInfo) -> list[TcpBody]:
        targets = [tcp.target_port for tcp in value]
        listens = [tcp.listen_port for tcp in value if tcp.listen_port is not None]
        if len(set(targets)) != len(targets) or len(set(listens)) != len(listens):
            raise ValueError("has the same port twice")
        if set(listens) & {route.listen.port for route in info.data.get("http", [])}:
            raise ValueError("has a listen port that http has too")
        return value

    @field_validator("load_balancer_id")
    @classmethod
    def _carries_the_routes(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "http" in info.data and "tcp" in info.data:
            routed = bool(info.data["http"] or info.data["tcp"])
            if value is None and routed:
                raise ValueError("is needed by http and tcp")
            if value is not None and not routed:
                raise ValueError("needs at least one entry in http or tcp")
            resources = info.data.get("resources")
            if value is not None and resources is not None and resources.kind == "rds":
                _one_database(resources, http=bool(info.data["http"]))
            if routed and not info.data["tcp"] and all(http.action == "redirect" for http in info.data["http"]):
                raise ValueError("needs something that wakes: an entry in http that forwards, or one in tcp")
        return value

    @field_validator("guards")
    @classmethod
    def _for_its_kind(cls, value: list[GuardBody], info: ValidationInfo) -> list[GuardBody]:
        resources = info.data.get("resources")
        metrics = {guard.metric for guard in value}
        if resources is not None and resources.kind == "ec2" and "rds_connections" in metrics:
            raise ValueError("has rds_connections, which is for kind rds only")
        if resources is not None and resources.kind == "rds" and "ssm_session" in metrics:
            raise ValueError("has ssm_session, which is for kind ec2 only")
        return value

    @field_validator("idle_connections")
    @classmethod
    def _can_be_told(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None:
            return None
        resources = info.data.get("resources")
        if resources is not None and resources.kind != "rds":
            raise ValueError("is for kind rds only")
        if info.data.get("load_balancer_id") is not None:
            raise ValueError("is for rules without a load balancer, which sees the connections itself; use a guard")
        idle, shortest = info.data.get("idle_minutes"), SHORTEST_IDLE / timedelta(minutes=1)
        if (info.context or {}).get("shortest_idle_minutes", 1.0) >= 1 and idle is not None and idle < shortest:
            raise ValueError(f"needs idle_minutes of {shortest:g} or more: CloudWatch tells it once a minute, and late")
        return value

    @field_validator("sources")
    @classmethod
    def _can_tell(cls, value: list[SourceBody], info: ValidationInfo) -> list[SourceBody]:
        kinds = [source.kind for source in value]
        if len(set(kinds)) != len(kinds):
            raise ValueError("has a kind twice")
        if not value:
            return value
        resources = info.data.get("resources")
        if resources is not None and resources.kind != "ec2":
            raise ValueError("is for kind ec2 only; a database has idle_connections")
        if info.data.get("load_balancer_id") is not None:
            raise ValueError("is for rules without a load balancer, which tells of their use itself; use a guard")
        if "flow_logs" in kinds and info.data.get("connector") is not None:
            raise ValueError("has flow_logs, which are read of AutoStop's own account only")
        _long_enough(info, kinds)
        return value

    @field_validator("depends_on")
    @classmethod
    def _each_rule_once(cls, value: list[DependsOnBody]) -> list[DependsOnBody]:
        if len({need.rule_id for need in value}) != len(value):
            raise ValueError("has the same rule twice")
        return value

    @field_validator("health_check")
    @classmethod
    def _has_a_prober(cls, value: HealthBody | None, info: ValidationInfo) -> HealthBody | None:
        if value is not None and info.data.get("load_balancer_id", "") is None:
            raise ValueError("needs a load balancer, which probes; without one EC2's status checks count")
        return value

    def spec(self) -> RuleSpec:
        """The rule as the domain knows it."""
        check = self.health_check
        return RuleSpec(
            name=self.name,
            idle=timedelta(minutes=self.idle_minutes),
            kind=ResourceKind(self.resources.kind),
            region=self.resources.region,
            resource_ids=self.resources.ids,
            enabled=self.enabled,
            dry_run=self.dry_run,
            when_idle=self.resources.when_idle,
            load_balancer_id=self.load_balancer_id,
            http=tuple(http.route() for http in self.http),
            tcp=tuple(tcp.route() for tcp in self.tcp),
            tcp_idle_bytes=idle_bytes(self.tcp_idle),
            health_check=None
            if check is None
            else HealthCheck(
                check.protocol,
                check.port,
                check.path,
                (check.status[0], check.status[1]),
                check.timeout_seconds,
                check.interval_seconds,
            ),
            start_timeout=None if self.start_timeout_minutes is None else timedelta(minutes=self.start_timeout_minutes),
            while_starting=WhileStarting(self.while_starting),
            ignore=Ignore(tuple(self.ignore.paths), tuple(self.ignore.user_agents), tuple(self.ignore.cidrs)),
            on_manual_change=self.on_manual_change,
            accept_data_loss=self.accept_data_loss,
            hourly_cost=self.hourly_cost,
            depends_on=tuple(DependsOn(n.rule_id, timedelta(seconds=n.delay_seconds)) for n in self.depends_on),
            schedule_ids=tuple(self.schedule_ids),
            idle_connections=self.idle_connections,
            sources=tuple(source.source() for source in self.sources),
            guards=tuple(guard.guard() for guard in self.guards),
            tags=tuple(sorted(self.resources.tags.items())),
            connector=OWN_ACCOUNT
            if self.connector is None
            else Connector(self.connector.role_arn, self.connector.external_id),
        )
