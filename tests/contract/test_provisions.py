"""What `ports.Provisions` promises, of the store in memory and of DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.certificates import Certificate
from chalicelib.domain.errors import AutoStopError, ConflictError, LostClaimError, NotFoundError, VersionMismatchError
from chalicelib.domain.provision import Phase, Provision, RetiredKey
from tests.builders import make_balancer, make_rule

PAIR = Certificate(("*.example.com",), "arn:c", "arn:k")
ORDER = Provision(Phase.CREATING, "https://api.example.com", START)
FULL = Provision(
    Phase.READY,
    "https://api.example.com",
    START + timedelta(microseconds=1),
    "words, 東京\n",
    machine=3,
    subnet=2,
    machine_failed=True,
    launched_at=START,
    instance_id="i-1",
    private_ip="10.0.0.1",
    public_ip="203.0.113.1",
    secret_arn="arn:s",
    key_id="ak_1",
    key_at=START,
    retired=(RetiredKey("ak_0", START), RetiredKey("ak_2", START)),
    renew_key=True,
    proven=(PAIR,),
    stuck_since=START,
    lease_until=START,
)


@pytest.fixture
def made(stores):
    """lb_2, which AutoStop makes."""
    return stores.balancers.create(make_balancer("lb_2", existing=False, provision=ORDER))


def removing(balancer):
    return replace(balancer.provision, phase=Phase.DELETING)


class TestPut:
    def test_what_is_put_is_read_at_the_revision_after_that_one(self, stores, made):
        assert stores.balancers.get("lb_2").provision == ORDER
        for revision in (1, 2, 3):
            made = stores.provisions.put(made, FULL)
            assert made.provision == replace(FULL, revision=revision)
            assert stores.balancers.get("lb_2") == made
            made = stores.balancers.get("lb_2")
        assert [one for one in stores.balancers.list(10).items if one.id == "lb_2"] == [made]

    def test_the_version_that_people_see_stays_and_no_proxy_polls_for_it(self, stores, made):
        poll = stores.proxies.poll("lb_2")
        put = stores.provisions.put(made, FULL)
        assert (put.version, stores.balancers.get("lb_2").version) == (1, 1)
        assert stores.proxies.poll("lb_2") == poll
        renamed = stores.balancers.replace(made, replace(made, name="new"))
        assert (renamed.version, stores.balancers.get("lb_2").provision) == (2, put.provision)

    def test_of_two_workers_that_read_the_same_one_gets_it(self, stores, made):
        first = stores.provisions.put(made, replace(ORDER, reason="first"))
        with pytest.raises(LostClaimError):
            stores.provisions.put(made, replace(ORDER, reason="second"))
        assert stores.balancers.get("lb_2").provision.reason == "first"
        stores.provisions.put(first, replace(ORDER, reason="third"))
        with pytest.raises(LostClaimError):
            stores.provisions.put(first, replace(ORDER, reason="fourth"))
        assert stores.balancers.get("lb_2").provision.reason == "third"

    def test_of_one_that_is_not_there_nothing_is_stored(self, stores):
        for nobody in (make_balancer("lb_9"), make_balancer("lb_9", provision=ORDER)):
            with pytest.raises(NotFoundError):
                stores.provisions.put(nobody, ORDER)
        with pytest.raises(NotFoundError):
            stores.balancers.get("lb_9")

    def test_one_of_the_users_own_has_none_until_it_is_put(self, stores):
        own = stores.balancers.get("lb_1")
        assert own.provision is None
        put = stores.provisions.put(own, ORDER)
        assert put.provision.revision == 1
        with pytest.raises(LostClaimError):
            stores.provisions.put(own, FULL)
        assert stores.balancers.get("lb_1") == put


class TestReplaceByAPerson:
    @pytest.mark.parametrize("change", [{"name": "new"}, {"certificates": (PAIR,)}], ids=["name", "certificates"])
    def test_it_leaves_the_provision_alone_whatever_the_person_had_read(self, stores, made, change):
        put = stores.provisions.put(made, FULL)
        stores.balancers.replace(made, replace(made, **change, provision=None))
        now = stores.balancers.get("lb_2")
        assert (now.provision, now.version) == (put.provision, 2)
        again = stores.provisions.put(now, ORDER)
        assert stores.balancers.get("lb_2") == again

    def test_a_worker_goes_on_at_its_revision_and_writes_nothing_of_what_the_person_changed(self, stores, made):
        renamed = stores.balancers.replace(made, replace(made, name="new"))
        put = stores.provisions.put(made, FULL)
        now = stores.balancers.get("lb_2")
        assert (now.name, now.version, now.provision) == ("new", renamed.version, put.provision)


class TestBeginRemoval:
    def test_nobody_polls_it_or_puts_a_rule_on_it_any_more(self, stores, made):
        stores.proxies.applied("lb_2", "i-1", 1, START)
        going = stores.provisions.begin_removal(made, removing(made))
        assert going.provision == replace(removing(made), revision=1)
        assert stores.balancers.get("lb_2") == going
        assert going.status == "deleting"
        with pytest.raises(NotFoundError):
            stores.proxies.poll("lb_2")
        assert list(stores.proxies.sources("lb_2")) == []
        with pytest.raises(AutoStopError):
            stores.rules.create(make_rule(load_balancer_id="lb_2"), "{}")
        with pytest.raises(NotFoundError):
            stores.proxies.applied("lb_2", "i-1", 2, START)
        assert list(stores.proxies.rules("lb_2")) == []
        stores.proxies.poll("lb_1")

    def test_not_while_a_rule_is_on_it(self, stores, made):
        rule = stores.rules.create(make_rule(load_balancer_id="lb_2"), "{}")
        with pytest.raises(ConflictError):
            stores.provisions.begin_removal(made, removing(made))
        assert stores.balancers.get("lb_2") == made
        assert len(stores.proxies.rules("lb_2")) == 1
        stores.rules.delete(rule)
        assert stores.provisions.begin_removal(made, removing(made)).status == "deleting"

    def test_not_where_somebody_changed_it_since(self, stores, made):
        stores.balancers.replace(made, replace(made, name="new"))
        with pytest.raises(VersionMismatchError):
            stores.provisions.begin_removal(made, removing(made))
        assert stores.balancers.get("lb_2").status == "creating"
        stores.proxies.poll("lb_2")

    def test_not_where_a_worker_wrote_since(self, stores, made):
        put = stores.provisions.put(made, FULL)
        with pytest.raises(LostClaimError):
            stores.provisions.begin_removal(made, removing(made))
        assert stores.balancers.get("lb_2") == put
        stores.proxies.poll("lb_2")
        assert stores.provisions.begin_removal(put, removing(put)).provision.revision == 2

    def test_whoever_writes_meanwhile_is_first(self, stores, made, meanwhile):
        def worker():
            stores.provisions.put(made, FULL)

        with meanwhile(worker), pytest.raises(LostClaimError):
            stores.provisions.begin_removal(made, removing(made))
        put = stores.balancers.get("lb_2")
        assert put.status == "ready"

        def person():
            stores.balancers.replace(put, replace(put, name="new"))

        with meanwhile(person), pytest.raises(VersionMismatchError):
            stores.provisions.begin_removal(put, removing(put))
        now = stores.balancers.get("lb_2")

        def rule():
            stores.rules.create(make_rule(load_balancer_id="lb_2"), "{}")

        with meanwhile(rule), pytest.raises(ConflictError):
            stores.provisions.begin_removal(now, removing(now))
        assert stores.balancers.get("lb_2") == now

    def test_of_one_that_is_not_there_or_was_deleted_there_is_none(self, stores, made):
        with pytest.raises(NotFoundError):
            stores.provisions.begin_removal(make_balancer("lb_9", provision=ORDER), ORDER)
        going = stores.provisions.begin_removal(made, removing(made))
        stores.provisions.end_removal(going)
        with pytest.raises(NotFoundError):
            stores.provisions.begin_removal(going, removing(made))

    def test_a_worker_goes_on_with_it_and_a_person_no_more(self, stores, made):
        going = stores.provisions.begin_removal(made, removing(made))
        put = stores.provisions.put(going, replace(going.provision, reason="waits"))
        assert stores.balancers.get("lb_2").provision.reason == "waits"
        with pytest.raises(ConflictError):
            stores.balancers.replace(going, replace(going, certificates=(PAIR,)))
        assert stores.balancers.get("lb_2") == put


class TestEndRemoval:
    def test_nothing_is_left_of_it(self, stores, made):
        going = stores.provisions.begin_removal(made, removing(made))
        stores.provisions.end_removal(going)
        with pytest.raises(NotFoundError):
            stores.balancers.get("lb_2")
        assert [one.id for one in stores.balancers.list(10).items] == ["lb_1"]
        for call in (stores.provisions.end_removal, lambda gone: stores.provisions.put(gone, ORDER)):
            with pytest.raises(NotFoundError):
                call(going)

    def test_not_where_another_worker_wrote_since(self, stores, made):
        going = stores.provisions.begin_removal(made, removing(made))
        put = stores.provisions.put(going, going.provision)
        with pytest.raises(LostClaimError):
            stores.provisions.end_removal(going)
        assert stores.balancers.get("lb_2") == put
        stores.provisions.end_removal(put)
