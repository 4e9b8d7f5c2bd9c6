"""ALBs ordered, rules put on them and taken off, and what stands of them then."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from datetime import timedelta

from tests.builders import make_alb
from tests.unit.provision_world import API

MINUTE = timedelta(minutes=1)
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/c-1"
EXISTING = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/theirs/50dc6c495c0c9188"
THEIR_LISTENER = "arn:theirs:listener/80"


def order(world, settings=None, **changes):
    draft = make_alb("", settings, **changes)
    stored = replace(draft, id=world.ids.new("lb"))
    # What the account checks is the API's business (tests/unit/api/test_albs.py).
    passing = Passing(world.albs.check)
    world.manage.check_albs = lambda: passing
    return world.manage.create(stored, "ak_admin", lambda: API).balancer.id


class Passing:
    def __init__(self, check):
        self._check = check

    def faults(self, draft):
        return ()

    def __getattr__(self, name):
        return getattr(self._check, name)


def ready(world, settings=None, **changes):
    id_ = order(world, settings, **changes)
    world.run_for(3 * MINUTE)
    assert world.get(id_).status == "ready", world.get(id_).provision
    return id_


def compact(id_="ru_a", hosts=("app.example.com",), paths=("/*",), target=8080, port=80, targets=("10.0.0.9",), **more):
    route = {"hosts": list(hosts), "paths": list(paths), "port": port, "target": target}
    route |= {"tls": True} if port == 443 else {}
    return json.dumps({"id": id_, "targets": list(targets), "http": [route]} | more)


def put(world, id_, text, run=True):
    world.stores.proxies.put_rule(id_, json.loads(text)["id"], text)
    world.queue.send(id_, at_once=True)
    if run:
        world.run_for(timedelta(seconds=30))


def drop(world, id_, rule_id, run=True):
    world.stores.proxies.drop_rule(id_, rule_id)
    world.queue.send(id_, at_once=True)
    if run:
        world.run_for(timedelta(seconds=30))


def ours(world, id_):
    return sorted((r for r in world.albs.elb.rules.values() if r.load_balancer_id == id_), key=lambda r: r.priority)


def group_of(world, rule_id):
    return next(g for g in world.albs.elb.groups.values() if g.rule_id == rule_id)


def words(world, id_, kind):
    start, end = world.clock.now() - timedelta(days=30), world.clock.now() + timedelta(days=1)
    found = world.stores.events.all(start, end, 500).items
    return [e.words for e in found if e.subject == id_ and e.kind.value == kind]


def once(error):
    """A refusal that comes once."""
    return deque([error])
