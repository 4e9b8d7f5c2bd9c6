"""What the API answers: domain objects as the contract's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import __version__
from chalicelib.domain.members import other_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.decisions import Evidence
    from chalicelib.domain.events import Event
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.members import MemberAgent
    from chalicelib.domain.schedules import Schedule
    from chalicelib.ports import Page, Total
    from chalicelib.usecases.manage_load_balancers import CheckedBalancer
    from chalicelib.usecases.warm_up import WakeProgress

Json = dict[str, Any]


def stamp(at: datetime | None) -> str | None:
    """RFC 3339, UTC, with Z."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minutes(span: timedelta) -> float:
    """Whole minutes as a whole number; the demo's fractions as they are."""
    value = span.total_seconds() / 60
    return int(value) if value == int(value) else value


def page_of(page: Page[Any], view: Callable[[Any], Json]) -> Json:
    """A list's answer."""
    return {"items": [view(item) for item in page.items], "next_cursor": page.next_cursor}


def schedule_view(schedule: Schedule) -> Json:
    """A schedule, in the shape in which people ask for it."""
    return {
        "id": schedule.id,
        "name": schedule.name,
        "kind": schedule.kind.value,
        "time_zone": schedule.time_zone,
        "priority": schedule.priority,
        "weekly": [
            {"days": [day.value for day in w.days], "start": _clock(w.start), "end": _clock(w.end)}
            for w in schedule.weekly
        ],
        "rrule": schedule.rrule,
        "duration_minutes": None if schedule.duration is None else int(schedule.duration.total_seconds() // 60),
        "from": stamp(schedule.starts),
        "until": stamp(schedule.until),
        "except_dates": [day.isoformat() for day in schedule.except_dates],
        "created_at": stamp(schedule.created_at),
        "updated_at": stamp(schedule.updated_at),
        "version": schedule.version,
    }


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"


def event_view(event: Event) -> Json:
    """One entry of the history."""
    return {
        "id": event.id,
        "at": stamp(event.at),
        "kind": event.kind.value,
        "subject": event.subject,
        "actor": event.actor,
        "words": event.words,
        "action": event.action,
        "reason": event.reason,
        "state": event.state,
        "evidence": [evidence_view(row, event.at) for row in event.evidence],
        "seconds": event.seconds,
    }


def with_members(checked: CheckedBalancer, members: Sequence[MemberAgent]) -> Json:
    """A load balancer with the agents of its proxies and everything that is wrong about it in words."""
    said = [
        {
            "member": member.member,
            "agent": member.version,
            "reported_at": stamp(member.at),
            "newer_agent": __version__ if member.version != __version__ else None,
        }
        for member in members
    ]
    warnings = (*checked.warnings, *other_versions(members, __version__))
    return balancer_view(checked.balancer, warnings) | {"members": said}


def balancer_view(balancer: LoadBalancer, warnings: Sequence[str]) -> Json:
    """A load balancer; in a list `warnings` has nothing of its network, which is not looked at there."""
    made = balancer.provision
    return {
        "id": balancer.id,
        "kind": balancer.kind.value,
        "name": balancer.name,
        "region": balancer.region,
        "vpc_id": balancer.vpc_id,
        "subnet_ids": list(balancer.subnet_ids),
        "security_group_ids": list(balancer.security_group_ids),
        "machine_type": balancer.machine_type,
        "key_pair": balancer.key_pair,
        "encrypted_volume": balancer.encrypted_volume,
        "static_ip": balancer.static_ip,
        "api_key_secret_arn": balancer.api_key_secret_arn,
        "certificates": [
            {
                "hosts": list(certificate.hosts),
                "certificate_secret_arn": certificate.certificate_secret_arn,
                "private_key_secret_arn": certificate.private_key_secret_arn,
            }
            for certificate in balancer.certificates
        ],
        "balancer_cidrs": list(balancer.balancer_cidrs),
        "port_range": list(balancer.port_range),
        "existing": balancer.existing,
        "open_ports": balancer.open_ports,
        "api_key_days": balancer.api_key_days,
        "status": balancer.status,
        "status_reason": made.reason if made else None,
        "instance_id": made.instance_id if made else None,
        "private_ip": made.private_ip if made else None,
        "public_ip": made.public_ip if made else None,
        "warnings": list(warnings),
        "created_at": stamp(balancer.created_at),
        "updated_at": stamp(balancer.updated_at),
        "version": balancer.version,
    }


def key_view(key: ApiKey) -> Json:
    """A key, without its secret, which nobody has."""
    return {
        "id": key.id,
        "role": key.role.value,
        "name": key.name,
        "created_at": stamp(key.created_at),
        "expires_at": stamp(key.expires_at),
        "load_balancer_id": key.load_balancer_id,
    }


def total_view(total: Total) -> Json:
    """What one source counted in one minute."""
    return {
        "minute": total.minute,
        "source": total.source,
        "requests": total.requests,
        "connections": total.connections,
        "open": total.open,
        "bytes_in": total.bytes_in,
        "bytes_out": total.bytes_out,
    }


def progress_view(progress: WakeProgress) -> Json:
    """How far a woken rule is."""
    return {
        "id": progress.rule_id,
        "state": progress.state.value,
        "phase": progress.phase,
        "since": stamp(progress.since),
        "startable": progress.startable,
        "reason": progress.reason,
        "detail": progress.detail,
        "until": stamp(progress.until),
    }


def evidence_view(row: Evidence, now: datetime) -> Json:
    """One fact that a decision stands on, with its age."""
    age = None if row.observed_at is None else round((now - row.observed_at).total_seconds(), 1)
    return {
        "source": row.source,
        "value": row.value,
        "observed_at": stamp(row.observed_at),
        "age_seconds": age,
        "covers_until": stamp(row.covers_until),
    }
