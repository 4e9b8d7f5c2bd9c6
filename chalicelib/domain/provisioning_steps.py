"""Making the VM of a proxy, and taking it away: the next step, from what stands in the account. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.provision import Phase, RetiredKey
from chalicelib.domain.provisioning import (
    Allocate,
    Associate,
    ClosePorts,
    DropRole,
    DropSecret,
    EndKey,
    Fail,
    Forget,
    Gone,
    Launch,
    MachineState,
    MakeKey,
    OpenPorts,
    ProveCertificates,
    PutRole,
    Release,
    RoleState,
    SetGroups,
    Stand,
    Terminate,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision
    from chalicelib.domain.provisioning import Machine, Standing, Step

PATIENCE = timedelta(minutes=20)
"""From launch to the agent's first word: boot, dnf and PyPI take two to five minutes."""

PATIENCE_WITH_PEOPLE = timedelta(hours=1)
"""The same where the key is in a secret of the user's own, which somebody has to fill."""

SHOWS_LATE = timedelta(minutes=2)
"""EC2's describes are eventually consistent.
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""

RETIRES = timedelta(minutes=30)
"""How long a key that was renewed still works: agents look for a new version every five minutes."""

LIVED = 2 / 3
"""The part of a key's life after which it is renewed: there is time left to see what keeps it from being renewed."""


def next_step(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Step:
    """What to do next, one step at a time; once it is done, what stands is looked at anew."""
    if provision.phase is Phase.DELETING:
        return _removal(standing)
    for steps in (_key, _rights, _machine, _address, _groups, _ports):
        for step in steps(balancer, provision, standing, now):
            return step
    return _health(balancer, provision, standing, now)


def noticed(provision: Provision, standing: Standing, now: datetime) -> Provision:
    """What is kept of what stands: people see it, and the worker before may have died before it could tell."""
    secret = standing.secret
    if secret is not None and secret.key_id in standing.keys:
        before = provision.key_id
        if before != secret.key_id:
            ended = () if before is None else (RetiredKey(before, now + RETIRES),)
            made = now if provision.key_at is None or ended else provision.key_at
            provision = replace(provision, key_id=secret.key_id, key_at=made, retired=(*provision.retired, *ended))
        provision = replace(provision, secret_arn=secret.arn)
    machine = _current(provision, standing)
    if machine is not None:
        public = next((a.public_ip for a in standing.addresses if a.instance_id == machine.id), machine.public_ip)
        provision = replace(provision, private_ip=machine.private_ip, public_ip=public)
    return provision


def token(load_balancer_id: str, provision: Provision) -> str:
    """The client token of a launch, at most 64 characters.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    return f"{load_balancer_id}.{provision.machine}.{provision.subnet}"


def _key(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Iterator[Step]:
    if balancer.api_key_secret_arn is None:
        secret, made, days = standing.secret, provision.key_at, balancer.api_key_days
        old = made is not None and days is not None and now - made >= timedelta(days=days) * LIVED
        if secret is None or secret.key_id not in standing.keys or provision.renew_key or old:
            yield MakeKey()
    for key in provision.retired:
        if key.at <= now:
            yield EndKey(key.id)


def _rights(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Iterator[Step]:
    del now
    if standing.role is not RoleState.RIGHT:
        yield PutRole()
    if balancer.certificates != provision.proven:
        yield ProveCertificates()


def _machine(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Iterator[Step]:
    if provision.instance_id is None:
        # Also where the worker died before it could tell which one it launched: the token answers with the same.
        yield Launch(balancer.subnet_ids[provision.subnet % len(balancer.subnet_ids)], token(balancer.id, provision))
    for machine in standing.machines:
        if machine.id != provision.instance_id and not machine.state.is_over:
            yield Terminate(machine.id)
    current = _current(provision, standing)
    if current is None:
        if provision.launched_at is not None and now - provision.launched_at < SHOWS_LATE:
            yield Wait(f"{provision.instance_id} was launched; EC2 does not show it yet.")
        elif provision.instance_id is not None:
            yield Forget(provision.instance_id)
    elif current.state.is_over:
        if provision.phase is Phase.READY:
            yield Forget(current.id)
        yield Fail(f"{current.id} was terminated: {current.why or 'EC2 does not say why'}.", machine=True)


def _current(provision: Provision, standing: Standing) -> Machine | None:
    return next((machine for machine in standing.machines if machine.id == provision.instance_id), None)


def _address(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Iterator[Step]:
    del now
    kept = standing.addresses[:1] if balancer.static_ip else ()
    for address in standing.addresses[len(kept) :]:
        yield Release(address.allocation_id)
    if balancer.static_ip and not kept:
        yield Allocate()
    machine = _current(provision, standing)
    for address in kept:
        # EC2 takes no address for a machine that is still pending.
        if machine and machine.state is MachineState.RUNNING and address.instance_id != machine.id:
            yield Associate(address.allocation_id, machine.id)


def _groups(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Iterator[Step]:
    del now
    machine = _current(provision, standing)
    if machine is not None and machine.group_ids != frozenset(balancer.security_group_ids):
        yield SetGroups(machine.id)


def _ports(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Iterator[Step]:
    del provision, now
    wanted = standing.missing if balancer.open_ports else ()
    needed = {(rule.group_id, rule.first, rule.last, rule.source) for rule in wanted}
    there = {(rule.group_id, rule.first, rule.last, rule.source) for rule in standing.opened}
    for rule in wanted:
        # Where the range of the VPC could not be read, nobody knows for whom to open them: the warning says that.
        if rule.source is not None and (rule.group_id, rule.first, rule.last, rule.source) not in there:
            yield OpenPorts(rule)
    for opened in standing.opened:
        if (opened.group_id, opened.first, opened.last, opened.source) not in needed:
            yield ClosePorts(opened)


def _health(balancer: LoadBalancer, provision: Provision, standing: Standing, now: datetime) -> Step:
    machine = _current(provision, standing)
    if machine is None or machine.state is MachineState.PENDING:
        return Wait(f"{provision.instance_id} is starting.")
    if machine.state is not MachineState.RUNNING:
        return Fail(f"{machine.id} is {machine.state}: {machine.why or 'EC2 does not say why'}. Start it in EC2.")
    if standing.applied:
        return Stand()
    patience = PATIENCE if balancer.api_key_secret_arn is None else PATIENCE_WITH_PEOPLE
    if provision.launched_at is not None and now - provision.launched_at < patience:
        secret = balancer.api_key_secret_arn
        needs = f"; it needs a key of role proxy of this load balancer in {secret}" if secret else ""
        return Wait(f"{machine.id} runs; its agent has not reported yet{needs}.")
    return Fail(
        f"{machine.id} runs, but its agent has not reported for {patience.total_seconds() / 60:g} minutes. Can it "
        f"reach the internet? See `aws ec2 get-console-output --latest --instance-id {machine.id}`. "
        "PUT the load balancer again to have another machine.",
        machine=True,
    )


def _removal(standing: Standing) -> Step:
    for machine in standing.machines:
        if not machine.state.is_over:
            return Terminate(machine.id)
    for address in standing.addresses:
        return Release(address.allocation_id)
    for rule in standing.opened:
        return ClosePorts(rule)
    for key_id in sorted(standing.keys):
        return EndKey(key_id)
    if standing.secret is not None:
        return DropSecret(standing.secret.arn)
    waiting = [machine.id for machine in standing.machines if machine.state is MachineState.SHUTTING_DOWN]
    if waiting:
        return Wait(f"{', '.join(waiting)} is shutting down.")
    return Gone() if standing.role is RoleState.ABSENT else DropRole()
