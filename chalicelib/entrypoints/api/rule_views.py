"""What the API answers of rules: as people asked for them, as they are, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from chalicelib.domain import alb_limits
from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.flow_proof import source_of as flow_source
from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.membership import MAX_LEFT_OUT
from chalicelib.domain.metric_sources import SAMPLED
from chalicelib.domain.resources import CLUSTER, OWN_ACCOUNT, ResourceKind
from chalicelib.domain.sources import WATCHED_ONLY, SourceKind
from chalicelib.domain.waits import start_timeout
from chalicelib.usecases.last_use import last_use

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.guards import Guard
    from chalicelib.domain.rules import Override, Rule, RuleSpec, SeenResource
    from chalicelib.domain.sources import SourceSpec
    from chalicelib.usecases.explain import Explanation
    from chalicelib.usecases.services import Services

from chalicelib.entrypoints.api.views import Json, evidence_view, minutes, stamp


def settings_of(spec: RuleSpec) -> Json:
    """What people asked for, in the shape in which they ask."""
    check = spec.health_check
    return {
        "name": spec.name,
        "enabled": spec.enabled,
        "dry_run": spec.dry_run,
        "idle_minutes": minutes(spec.idle),
        "resources": {
            "kind": spec.kind.value,
            "region": spec.region,
            "instance_ids": [id_ for id_ in spec.resource_ids if not id_.startswith(CLUSTER)],
            "cluster_ids": [id_.removeprefix(CLUSTER) for id_ in spec.resource_ids if id_.startswith(CLUSTER)],
            "tags": dict(spec.tags),
            "when_idle": spec.when_idle,
        },
        "connector": None if spec.connector == OWN_ACCOUNT else asdict(spec.connector),
        "load_balancer_id": spec.load_balancer_id,
        "http": [
            {
                "hosts": list(h.hosts),
                "paths": list(h.paths),
                "listen": {"protocol": h.listen_protocol, "port": h.listen_port},
                "target": h.target_port and {"protocol": h.target_protocol, "port": h.target_port},
                "action": h.action,
                "redirect_url": h.redirect_url,
            }
            for h in spec.http
        ],
        "tcp": [asdict(t) | {"allow_cidrs": list(t.allow_cidrs)} for t in spec.tcp],
        "tcp_idle": {1: "any_bytes", 0: "connection"}.get(
            spec.tcp_idle_bytes, {"bytes_per_minute": spec.tcp_idle_bytes}
        ),
        "health_check": check
        and {
            "protocol": check.protocol,
            "port": check.port,
            "path": check.path,
            "status": list(check.status),
            "timeout_seconds": check.timeout_seconds,
            "interval_seconds": check.interval_seconds,
        },
        "start_timeout_minutes": minutes(start_timeout(spec)),
        "while_starting": spec.while_starting.value,
        "ignore": {
            "paths": list(spec.ignore.paths),
            "user_agents": list(spec.ignore.user_agents),
            "cidrs": list(spec.ignore.cidrs),
        },
        "guards": [_guard(guard) for guard in spec.guards],
        "idle_connections": spec.idle_connections,
        "sources": [_source_of(source) for source in spec.sources],
        "depends_on": [
            {"rule_id": need.rule_id, "delay_seconds": int(need.delay.total_seconds())} for need in spec.depends_on
        ],
        "schedule_ids": list(spec.schedule_ids),
        "on_manual_change": spec.on_manual_change,
        "accept_data_loss": spec.accept_data_loss,
        "hourly_cost": spec.hourly_cost,
    }


def _source_of(source: SourceSpec) -> Json:
    match source.kind:
        case SourceKind.FLOW_LOGS:
            return {"kind": source.kind.value, "ports": list(source.ports)}
        case SourceKind.CPU:
            return {"kind": source.kind.value, "above_percent": source.above}
        case _:
            return {"kind": source.kind.value, "above": source.above}


def _guard(guard: Guard) -> Json:
    view: Json = {"metric": guard.metric.value, "for_minutes": minutes(guard.window)}
    if guard.metric is GuardMetric.CPU:
        view["above_percent"] = guard.above
    elif guard.metric.is_a_metric:
        view["above"] = guard.above
    return view


def rule_view(rule: Rule, services: Services) -> Json:
    """A rule with what is so. Costs one query for activity and one for the proxy's members."""
    status = rule.status
    known = services.activity.facts(rule.id)
    sources: Iterable[Source] = ()
    if rule.spec.load_balancer_id is not None:
        sources = services.proxies.sources(rule.spec.load_balancer_id)
    elif services.flow_log_window is not None:
        now, window = services.clock.now(), services.flow_log_window
        sources = [flow_source(proof, proof.interface, window, now) for proof in known.flows]
    used = last_use(rule, known)
    held = rule.held_down(services.clock.now())
    return {
        "id": rule.id,
        **settings_of(rule.spec),
        "state": status.state.value,
        "state_reason": status.reason
        and {"code": status.reason.value, "words": status.reason.words, "detail": status.detail},
        "state_since": stamp(status.since),
        "override": _override(status.override, services.clock.now()),
        "last_activity_at": stamp(used.at if used else None),
        "watermarks": [_source(source, services.clock.now()) for source in sources],
        "due_at": stamp(status.due_at),
        "listen": rule.listen,
        "dependents": list(rule.dependents),
        "members": list(rule.members),
        "resources_observed": [_seen(s) for s in status.seen],
        "startable": held is None,
        "not_startable": held and {"code": held.reason.value, "words": held.words, "until": stamp(held.until)},
        "warnings": [*_warnings(rule), *_of_its_balancer(rule, services)],
        "created_at": stamp(rule.created_at),
        "updated_at": stamp(rule.updated_at),
        "version": rule.version,
    }


def _seen(seen: SeenResource) -> Json:
    view: Json = {"id": seen.id, "state": seen.state.value, "private_ip": seen.private_ip}
    if seen.endpoint is not None:
        view |= {"endpoint": seen.endpoint, "restarts_at": stamp(seen.restarts_at)}
    return view


def explanation_view(explanation: Explanation, now: datetime) -> Json:
    """The decision now."""
    decision, rule = explanation.decision, explanation.rule
    return {
        "rule_id": rule.id,
        "state": rule.status.state.value,
        "desired": decision.desired.value,
        "action": decision.action.value,
        "reason": {"code": decision.reason.value, "words": decision.words},
        "blind": decision.reason in {Reason.BLIND, Reason.NO_SOURCE},
        "evidence": [evidence_view(row, now) for row in decision.evidence],
        "watermarks": [_source(source, now) for source in explanation.sources],
        "last_activity_at": stamp(explanation.last_use.at) if explanation.last_use else None,
        "until": stamp(decision.until),
        "schedule": [
            {
                "from": stamp(span.start),
                "to": stamp(span.end),
                "kind": span.kind and span.kind.value,
                "schedule_id": span.schedule_id,
            }
            for span in explanation.planned
        ],
    }


def _source(source: Source, now: datetime) -> Json:
    span = source.span
    return {
        "source": source.title,
        "proven_from": stamp(span.start) if span else None,
        "watermark": stamp(span.end) if span else None,
        "age_seconds": round((now - span.end).total_seconds(), 1) if span else None,
        "silent": source.is_silent(now),
    }


def _override(override: Override | None, now: datetime) -> Json | None:
    if override is None or not override.in_force(now):
        return None
    return {
        "kind": override.kind.value,
        "until": stamp(override.until),
        "by": override.by,
        "reason": override.reason,
        "force": override.force,
    }


def _of_its_balancer(rule: Rule, services: Services) -> tuple[str, ...]:
    """What its load balancer cannot serve. Costs one read, for rules with HTTP routes alone."""
    if rule.spec.load_balancer_id is None or not rule.spec.http:
        return ()
    try:
        return alb_limits.warnings_of(rule.spec, services.manage_load_balancers.stored(rule.spec.load_balancer_id))
    except NotFoundError:
        return ()  # it was deleted a moment ago


def _warnings(rule: Rule) -> list[str]:
    spec, members = rule.spec, rule.membership
    words = []
    if spec.idle_connections is not None:
        words.append(SAMPLED)
    elif spec.sources:
        words.append(WATCHED_ONLY)
    elif spec.load_balancer_id is None and not spec.schedule_ids and not rule.dependents:
        words.append(f"{Reason.NO_SOURCE.words} It is stopped by cool-down only.")
        if spec.kind is ResourceKind.RDS:
            words.append("With idle_connections the connections that CloudWatch counts are its activity source.")
    if members.unread is not None:
        words.append(f"Resources with its tags could not be looked up: {members.unread}")
    words += [f"{out.id} has its tags and is left out: it {out.why}." for out in members.left_out]
    if len(members.left_out) == MAX_LEFT_OUT:
        words.append(f"There may be more that are left out; {MAX_LEFT_OUT} are named.")
    return words
