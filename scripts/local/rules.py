"""The rules of the demo, as a person would ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.local.cloud import REGION
from scripts.local.names import DATABASE, SECURE_HOST, SITE_HOST, SITE_PORT

if TYPE_CHECKING:
    from scripts.local.world import World


def rules_of(world: World) -> list[dict[str, Any]]:
    """Bodies of `POST /rules`."""
    behind = {"idle_minutes": world.idle_seconds / 60, "load_balancer_id": world.balancer["id"]}
    return [behind | _site(world), behind | _shell(world), behind | _database(world), _jump(world)]


def _site(world: World) -> dict[str, Any]:
    plain, secure = (
        {"protocol": "http", "port": world.site_listen},
        {"protocol": "https", "port": world.secure_listen},
    )
    target = {"port": SITE_PORT}
    return {
        "name": "site",
        "resources": _instance(world, "site"),
        "http": [
            {"hosts": [SITE_HOST], "listen": plain, "target": target},
            {"hosts": [SECURE_HOST], "listen": secure, "target": target},
            {"hosts": [SECURE_HOST], "listen": plain, "action": "redirect", "redirect_url": world.secure_url},
        ],
    }


def _shell(world: World) -> dict[str, Any]:
    ports = [{"protocol": "ssh", "target_port": world.ssh_port}]
    return {"name": "shell", "resources": _instance(world, "shell"), "tcp": ports}


def _database(world: World) -> dict[str, Any]:
    ports = [{"protocol": "postgresql", "target_port": world.database_port}]
    return {"name": DATABASE, "resources": {"kind": "rds", "region": REGION, "instance_ids": [DATABASE]}, "tcp": ports}


def _jump(world: World) -> dict[str, Any]:
    """People reach it by its own address: only its flow logs tell of its use."""
    sources = [{"kind": "flow_logs", "ports": [world.ssh_port]}]
    idle = world.idle_seconds / 60
    return {"name": "jump", "idle_minutes": idle, "resources": _instance(world, "jump"), "sources": sources}


def _instance(world: World, name: str) -> dict[str, Any]:
    return {"kind": "ec2", "region": REGION, "instance_ids": [world.instances[name]["id"]]}
