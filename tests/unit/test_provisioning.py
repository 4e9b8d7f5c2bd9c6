"""A proxy's VM is made, watched and taken away, whatever AWS says and wherever the worker dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain.certificates import Certificate
from chalicelib.domain.errors import CloudError, ConflictError, Fault, InvalidInputError, NoRoomError, NotYetError
from chalicelib.domain.network import Ingress
from chalicelib.domain.provision import Phase
from chalicelib.domain.resources import ResourceKind
from tests.builders import make_rule
from tests.unit.provision_world import API, REGION, KilledError, ProvisionWorld

MINUTE = timedelta(minutes=1)
ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret"
PAIR = Certificate(("app.example.com",), f"{ARN}:tls-AbCdEf", f"{ARN}:key-AbCdEf")


@pytest.fixture
def world():
    return ProvisionWorld()


def ready(world, **changes):
    id_ = world.create(**changes)
    world.run_for(2 * MINUTE)
    assert world.get(id_).status == "ready", world.get(id_).provision
    return id_


class TestMaking:
    def test_it_is_creating_until_its_agent_has_reported(self, world):
        world.reports = False
        id_ = world.create()
        assert (world.get(id_).status, world.get(id_).provision.reason) == ("creating", "Waiting for the worker.")
        world.run_for(MINUTE)
        made = world.get(id_).provision
        assert (made.phase, made.reason) == (Phase.CREATING, "i-00000001 runs; its agent has not reported yet.")
        world.reports = True
        world.run_for(MINUTE)
        made = world.get(id_).provision
        assert (made.phase, made.reason, made.instance_id) == (Phase.READY, None, "i-00000001")
        assert made.private_ip == "10.0.0.1"
        assert world.told(id_) == ["load_balancer_created", "load_balancer_ready"]

    def test_its_key_is_in_a_secret_and_belongs_to_it_alone(self, world):
        id_ = ready(world)
        secret, token = world.secrets.kept[id_]
        key = world.stores.keys.get(secret.key_id)
        assert token.startswith(f"{key.id}_")
        assert (key.load_balancer_id, key.role, key.expires_at) == (id_, "proxy", None)
        assert token.removeprefix(f"{key.id}_") not in repr(world.get(id_)) + repr(world.machines.vms)

    def test_a_key_can_be_given_an_end(self, world):
        id_ = ready(world, api_key_days=90)
        key = world.stores.keys.get(world.secrets.kept[id_][0].key_id)
        assert key.expires_at == key.created_at + timedelta(days=90)

    def test_an_elastic_ip_is_what_people_are_told_to_use(self, world):
        id_ = ready(world, static_ip=True)
        assert world.get(id_).provision.public_ip == "203.0.113.1"
        assert [address.instance_id for _, address in world.addresses.owned.values()] == ["i-00000001"]

    def test_nothing_is_launched_before_its_certificates_are_proved(self, world):
        world.roles.faults = (Fault("certificates[0]", "OpenSSL refuses the pair: the key is not the certificate's"),)
        id_ = world.create(certificates=(PAIR,))
        world.run_for(MINUTE)
        made = world.get(id_).provision
        assert made.phase is Phase.FAILED
        assert made.reason == "certificates[0]: OpenSSL refuses the pair: the key is not the certificate's"
        assert world.machines.vms == {}
        world.roles.faults = ()
        world.put(id_)
        world.run_for(2 * MINUTE)
        assert world.get(id_).status == "ready"

    def test_a_role_that_is_not_known_everywhere_yet_is_waited_for(self, world):
        world.roles.not_yet.extend(NotYetError("AccessDenied", "not yet") for _ in range(3))
        id_ = world.create(certificates=(PAIR,))
        world.run_for(15 * timedelta(seconds=1))
        assert world.get(id_).provision.reason == "AccessDenied: not yet"
        world.run_for(2 * MINUTE)
        assert world.get(id_).status == "ready"

    def test_but_not_for_ever(self, world):
        world.roles.not_yet.extend(NotYetError("AccessDenied", "not yet") for _ in range(1000))
        id_ = world.create(certificates=(PAIR,))
        world.run_for(12 * MINUTE)
        assert (world.get(id_).status, world.get(id_).provision.reason) == ("failed", "AccessDenied: not yet")

    def test_a_subnet_without_room_is_followed_by_the_next(self, world):
        world.machines.refusals.append(NoRoomError("InsufficientInstanceCapacity", "none in us-east-1a"))
        id_ = ready(world, subnet_ids=("subnet-1", "subnet-2"))
        assert [vm.subnet for vm in world.machines.vms.values()] == ["subnet-2"]
        assert world.get(id_).provision.instance_id == "i-00000001"

    def test_where_none_has_room_it_fails_with_the_words_of_aws_and_tries_again_within_the_hour(self, world):
        world.machines.refusals.extend(NoRoomError("InsufficientInstanceCapacity", f"none in {z}") for z in "ab")
        id_ = world.create(subnet_ids=("subnet-1", "subnet-2"))
        world.run_for(MINUTE)
        assert world.get(id_).provision.reason == "InsufficientInstanceCapacity: none in b"
        assert world.get(id_).status == "failed"
        world.clock.advance(timedelta(hours=1))
        assert world.worker.sweep() == 1
        world.run_for(2 * MINUTE)
        assert world.get(id_).status == "ready"

    def test_what_aws_refuses_for_good_is_said(self, world):
        world.addresses.fail_next.append(CloudError("AddressLimitExceeded", "The maximum is 5."))
        id_ = world.create(static_ip=True)
        world.run_for(MINUTE)
        assert (world.get(id_).status, world.get(id_).provision.reason) == (
            "failed",
            "AddressLimitExceeded: The maximum is 5.",
        )
        world.put(id_)
        world.run_for(2 * MINUTE)
        assert world.get(id_).status == "ready"
        assert len(world.machines.vms) == 1, "the machine was not at fault"

    def test_a_machine_that_ec2_ends_fails_with_its_reason_and_another_put_makes_another(self, world):
        id_ = world.create()
        world.run_for(timedelta(seconds=8))
        world.machines.end("i-00000001", "Client.InternalError: KMS key not usable")
        world.run_for(MINUTE)
        assert world.get(id_).provision.reason == "i-00000001 was terminated: Client.InternalError: KMS key not usable."
        world.put(id_)
        world.run_for(2 * MINUTE)
        assert (world.get(id_).status, world.get(id_).provision.instance_id) == ("ready", "i-00000002")

    def test_a_silent_agent_fails_after_20_minutes_and_another_put_makes_another_machine(self, world):
        world.reports = False
        id_ = world.create(static_ip=True)
        world.run_for(21 * MINUTE)
        made = world.get(id_).provision
        assert made.phase is Phase.FAILED
        assert "aws ec2 get-console-output --latest --instance-id i-00000001" in made.reason
        world.reports = True
        world.put(id_)
        world.run_for(2 * MINUTE)
        assert (world.get(id_).status, world.get(id_).provision.instance_id) == ("ready", "i-00000002")
        assert world.machines.vms["i-00000001"].ended is not None
        assert [address.instance_id for _, address in world.addresses.owned.values()] == ["i-00000002"]

    def test_a_late_agent_is_seen_without_another_put(self, world):
        world.reports = False
        id_ = world.create()
        world.run_for(21 * MINUTE)
        world.reports = True
        world.clock.advance(timedelta(hours=1))
        world.worker.sweep()
        world.run_for(MINUTE)
        assert (world.get(id_).status, len(world.machines.vms)) == ("ready", 1)

    def test_a_key_of_the_users_own_is_waited_for_and_none_is_made(self, world):
        world.network.secrets.add(f"{ARN}:mine-AbCdEf")
        world.reports = False
        id_ = world.create(api_key_secret_arn=f"{ARN}:mine-AbCdEf")
        world.run_for(30 * MINUTE)
        assert world.secrets.kept == {}
        assert world.get(id_).status == "creating"
        assert f"it needs a key of role proxy of this load balancer in {ARN}:mine-AbCdEf" in (
            world.get(id_).provision.reason
        )


class TestDyingWorkers:
    @pytest.mark.parametrize("after", [False, True])
    def test_wherever_it_dies_the_next_goes_on_and_makes_nothing_twice(self, after):
        calls = self.life(None, after)
        for at in range(1, calls + 1):
            self.life(at, after)

    @staticmethod
    def life(at: int | None, after: bool) -> int:
        world = ProvisionWorld()
        id_ = world.create(static_ip=True, certificates=(PAIR,), open_ports=True)
        world.stores.rules.create(rule_on(id_), compact(22000))
        world.killer.at, world.killer.after = at, after
        for _ in range(900):
            try:
                world.step()
            except KilledError:
                # SQS delivers the message again; here it is lost, and the sweep has to do.
                world.clock.advance(timedelta(minutes=15))
                world.worker.sweep()
        calls = world.killer.calls
        world.killer.at = None
        assert world.get(id_).status == "ready", (at, world.get(id_).provision)
        running = [vm.machine.id for vm in world.machines.vms.values() if vm.ended is None]
        assert running == [world.get(id_).provision.instance_id], at
        assert [a.instance_id for _, a in world.addresses.owned.values()] == running, at
        assert len(world.opened.added) == 1
        world.clock.advance(timedelta(hours=2))
        world.worker.sweep()
        world.run_for(MINUTE)
        assert [key.id for key in world.stores.keys.list(100).items] == [world.secrets.kept[id_][0].key_id], at
        world.stores.rules.delete(world.stores.rules.get("ru_1"))
        world.manage.delete(id_, "ak_admin")
        world.run_for(2 * MINUTE)
        assert world.left() == [], at
        return calls


class TestChanging:
    def test_what_the_machine_was_made_with_cannot_be_changed(self, world):
        id_ = ready(world)
        with pytest.raises(InvalidInputError) as caught:
            world.put(id_, machine_type="t3.large", port_range=(1024, 2048), existing=False)
        assert {fault.field for fault in caught.value.faults} >= {"machine_type", "port_range"}
        with pytest.raises(InvalidInputError) as caught:
            world.put(id_, existing=True)
        assert [fault.field for fault in caught.value.faults] == ["existing"]

    def test_groups_address_and_certificates_can(self, world):
        id_ = ready(world)
        world.put(id_, security_group_ids=("sg-2",), static_ip=True, certificates=(PAIR,))
        world.run_for(MINUTE)
        assert world.machines.vms["i-00000001"].machine.group_ids == {"sg-2"}
        assert world.get(id_).provision.public_ip == "203.0.113.1"
        assert world.roles.rights[id_] == (PAIR,)
        world.put(id_, static_ip=False)
        world.run_for(MINUTE)
        assert (world.addresses.owned, world.get(id_).provision.public_ip) == ({}, None)
        assert world.get(id_).status == "ready"

    def test_a_change_while_a_worker_is_at_it_is_not_lost(self, world):
        id_ = world.create()
        world.run_for(timedelta(seconds=8))
        read = world.get(id_)
        claimed = world.stores.provisions.put(
            read, replace(read.provision, lease_until=world.clock.now() + timedelta(minutes=3))
        )
        world.put(id_, name="renamed", static_ip=True)
        assert world.get(id_).provision.revision > claimed.provision.revision
        world.run_for(2 * MINUTE)
        assert (world.get(id_).status, len(world.addresses.owned)) == ("ready", 1)


class TestKeys:
    def test_a_renewed_key_is_a_new_version_and_the_old_one_works_for_half_an_hour(self, world):
        id_ = ready(world)
        old = world.secrets.kept[id_][0].key_id
        world.manage.renew_key(id_, "ak_admin")
        world.run_for(MINUTE)
        new = world.secrets.kept[id_][0].key_id
        assert new != old
        assert {key.id for key in world.stores.keys.list(100).items} == {old, new}
        assert world.get(id_).provision.key_id == new
        world.clock.advance(timedelta(hours=1))
        world.worker.sweep()
        world.run_for(MINUTE)
        assert [key.id for key in world.stores.keys.list(100).items] == [new]
        assert world.get(id_).status == "ready"

    def test_a_key_with_an_end_is_renewed_long_before_it(self, world):
        id_ = ready(world, api_key_days=30)
        old = world.stores.keys.get(world.secrets.kept[id_][0].key_id)
        world.clock.advance(timedelta(days=20))
        world.worker.sweep()
        world.run_for(MINUTE)
        new = world.stores.keys.get(world.secrets.kept[id_][0].key_id)
        assert new.id != old.id
        assert new.expires_at == new.created_at + timedelta(days=30)

    def test_a_key_of_the_users_own_is_not_ours_to_renew(self, world):
        world.stores.balancers.create(replace(world.get(world.create()), id="lb_own", provision=None))
        with pytest.raises(ConflictError, match="AutoStop made no key"):
            world.manage.renew_key("lb_own", "ak_admin")


def rule_on(id_: str):
    return make_rule("ru_1", load_balancer_id=id_, kind=ResourceKind.EC2)


def compact(port: int) -> str:
    return f'{{"id": "ru_1", "tcp": [{{"listen": {port}, "target": 22}}]}}'


class TestPorts:
    def test_missing_rules_are_added_as_the_warning_says_and_taken_away_when_nothing_needs_them(self, world):
        id_ = ready(world, open_ports=True)
        world.stores.rules.create(rule_on(id_), compact(22000))
        assert "ports 22000" not in world.manage.get(id_).warnings
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        (opened,) = [rule for _, rule in world.opened.added.values()]
        assert (opened.group_id, opened.first, opened.last, opened.source) == ("sg-1", 22000, 22000, "10.0.0.0/16")
        world.stores.rules.delete(world.stores.rules.get("ru_1"))
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert world.opened.added == {}

    def test_a_port_that_somebody_opened_is_left_to_them(self, world):
        id_ = ready(world, open_ports=True)
        world.network.open(REGION, "sg-1", Ingress("tcp", (22000, 22000), ("0.0.0.0/0",)))
        world.stores.rules.create(rule_on(id_), compact(22000))
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert world.opened.added == {}

    def test_ours_are_seen_as_ours_once_aws_shows_them_in_the_group(self, world):
        id_ = ready(world, open_ports=True)
        world.stores.rules.create(rule_on(id_), compact(22000))
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        world.network.open(REGION, "sg-1", Ingress("tcp", (22000, 22000), ("10.0.0.0/16",)))
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert len(world.opened.added) == 1

    def test_no_longer_wanted_they_go(self, world):
        id_ = ready(world, open_ports=True)
        world.stores.rules.create(rule_on(id_), compact(22000))
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        world.put(id_, open_ports=False)
        world.run_for(MINUTE)
        assert world.opened.added == {}


class TestWatching:
    def test_a_machine_that_is_gone_is_made_anew_and_its_address_follows(self, world):
        id_ = ready(world, static_ip=True)
        world.machines.end("i-00000001", "Server.SpotInstanceTermination")
        world.clock.advance(timedelta(hours=1))
        world.worker.sweep()
        world.run_for(2 * MINUTE)
        made = world.get(id_).provision
        assert (made.phase, made.instance_id, made.public_ip) == (Phase.READY, "i-00000002", "203.0.113.1")
        assert world.told(id_)[2:] == ["load_balancer_failed", "load_balancer_ready"]

    def test_one_that_somebody_stopped_is_said_and_left_alone(self, world):
        id_ = ready(world)
        world.machines.stop("i-00000001")
        world.clock.advance(timedelta(hours=1))
        world.worker.sweep()
        world.run_for(MINUTE)
        assert world.get(id_).provision.reason == "i-00000001 is stopped: User initiated. Start it in EC2."
        assert len(world.machines.vms) == 1

    def test_what_stands_is_left_in_peace(self, world):
        ready(world)
        assert world.queue.messages == []
        assert world.worker.sweep() == 0

    def test_a_lost_message_is_found_by_the_sweep(self, world):
        id_ = world.create()
        world.queue.messages.clear()
        world.run_for(MINUTE)
        assert world.get(id_).status == "creating"
        assert world.worker.sweep() == 1
        world.run_for(2 * MINUTE)
        assert world.get(id_).status == "ready"

    def test_without_a_queue_nothing_is_stored(self, world):
        world.queue.fail_next.append(CloudError("ServiceUnavailable", "no", retryable=True))
        with pytest.raises(CloudError):
            world.create()
        assert world.stores.balancers.list(100).items == ()

    def test_two_messages_are_one_chain(self, world):
        id_ = world.create()
        for _ in range(5):
            world.queue.send(id_)
        world.run_for(10 * timedelta(seconds=1))
        assert len(world.queue.messages) == 1


class TestTakingAway:
    def test_exactly_what_was_made_goes(self, world):
        other = ready(world)
        id_ = ready(world, static_ip=True)
        before = set(world.left())
        going = world.manage.delete(id_, "ak_admin")
        assert going.status == "deleting"
        world.run_for(2 * MINUTE)
        assert world.told(id_)[-1] == "load_balancer_deleted"
        with pytest.raises(Exception, match="There is no load balancer"):
            world.get(id_)
        assert set(world.left()) < before
        assert world.get(other).status == "ready"

    def test_not_while_rules_are_on_it(self, world):
        id_ = ready(world)
        world.stores.rules.create(rule_on(id_), compact(22000))
        with pytest.raises(ConflictError, match="rule"):
            world.manage.delete(id_, "ak_admin")
        assert world.get(id_).status == "ready"

    def test_once_begun_nobody_puts_a_rule_on_it_or_changes_it(self, world):
        id_ = ready(world)
        world.manage.delete(id_, "ak_admin")
        with pytest.raises(Exception, match="load balancer"):
            world.stores.rules.create(rule_on(id_), compact(22000))
        with pytest.raises(InvalidInputError, match="is being deleted"):
            world.put(id_, name="new")
        assert world.manage.delete(id_, "ak_admin").status == "deleting"

    def test_one_that_was_never_made_goes_too(self, world):
        id_ = world.create()
        world.manage.delete(id_, "ak_admin")
        world.run_for(MINUTE)
        assert (world.left(), world.stores.balancers.list(100).items) == ([], ())

    def test_it_is_told_where_the_machine_reaches_the_api(self, world):
        assert world.get(world.create()).provision.api_url == API
