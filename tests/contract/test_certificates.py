"""What the stores promise of certificates: ports of one protocol, a version that moves, the last word of a member."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.certificates import Certificate, MemberSecrets, SecretReport
from chalicelib.domain.errors import AlreadyClaimedError, NotFoundError, VersionMismatchError
from chalicelib.domain.members import MemberAgent
from chalicelib.domain.routes import HttpRoute
from tests.builders import make_balancer, make_rule, ssh_rule

PAIR = Certificate(("*.example.com",), "arn:c", "arn:k")


def on_port(id_: str, protocol: str, port: int = 443):
    route = HttpRoute((f"{id_[3:]}.example.com",), ("/*",), protocol, port, target_port=8080)
    return make_rule(id_, http=(route,), resource_ids=(f"i-{id_[3:]}",))


class TestPortsOfOneProtocol:
    @pytest.mark.parametrize("protocols", [("http", "https"), ("https", "http")])
    def test_a_port_is_shared_within_one_protocol_and_free_for_the_other_when_nobody_shares_it(self, stores, protocols):
        one, other = protocols
        first = stores.rules.create(on_port("ru_1", one), "{}")
        second = stores.rules.create(on_port("ru_2", one), "{}")
        with pytest.raises(AlreadyClaimedError) as refused:
            stores.rules.create(on_port("ru_3", other), "{}")
        assert refused.value.owners == {"listen port 443": one}
        with pytest.raises(AlreadyClaimedError):
            stores.rules.replace(first, replace(first, spec=on_port("ru_1", other).spec), "{}")
        stores.rules.delete(second)
        changed = stores.rules.replace(first, replace(first, spec=on_port("ru_1", other).spec), "{}")
        stores.rules.create(on_port("ru_3", other), "{}")
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(on_port("ru_4", one), "{}")
        stores.rules.delete(changed)
        stores.rules.delete(stores.rules.get("ru_3"))
        stores.rules.create(on_port("ru_4", one), "{}")

    def test_no_tcp_route_takes_a_port_with_tls_until_nobody_has_it(self, stores):
        secure = stores.rules.create(on_port("ru_1", "https"), "{}")
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(ssh_rule("ru_2", 443), "{}")
        stores.rules.delete(secure)
        shell = stores.rules.create(ssh_rule("ru_2", 443), "{}")
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(on_port("ru_1", "https"), "{}")
        stores.rules.delete(shell)
        stores.rules.create(on_port("ru_1", "https"), "{}")


class TestCertificates:
    def test_they_are_kept_and_only_a_change_of_them_moves_what_proxies_poll(self, stores):
        balancer = stores.balancers.get("lb_1")
        version = stores.proxies.poll("lb_1").rules_version
        named = stores.balancers.replace(balancer, replace(balancer, name="new"))
        assert stores.proxies.poll("lb_1").rules_version == version
        certified = stores.balancers.replace(named, replace(named, certificates=(PAIR,)))
        assert stores.balancers.get("lb_1") == certified
        assert certified.certificates == (PAIR,)
        assert stores.proxies.poll("lb_1").rules_version == version + 1
        with pytest.raises(VersionMismatchError):
            stores.balancers.replace(named, replace(named, certificates=(PAIR, PAIR)))
        assert stores.proxies.poll("lb_1").rules_version == version + 1
        bare = stores.balancers.replace(certified, replace(certified, certificates=()))
        assert (bare.certificates, bare.version) == ((), 4)
        nobody = make_balancer("lb_9")
        with pytest.raises(NotFoundError):
            stores.balancers.replace(nobody, replace(nobody, certificates=(PAIR,)))

    def test_the_addresses_of_a_balancer_are_kept_and_a_change_of_them_moves_what_proxies_poll(self, stores):
        balancer = stores.balancers.get("lb_1")
        version = stores.proxies.poll("lb_1").rules_version
        behind = stores.balancers.replace(balancer, replace(balancer, balancer_cidrs=("10.0.1.0/24",)))
        assert stores.balancers.get("lb_1") == behind
        assert stores.proxies.poll("lb_1").rules_version == version + 1
        stores.balancers.replace(behind, replace(behind, name="new"))
        assert stores.proxies.poll("lb_1").rules_version == version + 1

    def test_the_last_word_of_each_member_is_kept_for_as_long_as_the_load_balancer(self, stores):
        first = MemberSecrets("i-1", START, (SecretReport("arn:c", "missing", None, "not found"),))
        second = MemberSecrets("i-1", START, (SecretReport("arn:c", "ok", START),))
        other = MemberSecrets("i-2", START)
        for report in (first, second, other):
            stores.secret_reports.put("lb_1", report)
        assert sorted(stores.secret_reports.of("lb_1"), key=lambda report: report.member) == [second, other]
        assert [source.member for source in stores.proxies.sources("lb_1")] == []
        with pytest.raises(NotFoundError):
            stores.secret_reports.put("lb_9", first)
        stores.balancers.delete(stores.balancers.get("lb_1"))
        assert list(stores.secret_reports.of("lb_1")) == []

    def test_the_agent_of_each_member_is_kept_beside_its_certificates(self, stores):
        first, second = MemberAgent("i-1", START, "0.1.0"), MemberAgent("i-1", START, "0.2.0")
        other = MemberAgent("i-2", START, "0.1.0")
        stores.secret_reports.put("lb_1", MemberSecrets("i-1", START))
        for report in (first, second, other):
            stores.agent_reports.put("lb_1", report)
        assert sorted(stores.agent_reports.of("lb_1"), key=lambda report: report.member) == [second, other]
        assert list(stores.secret_reports.of("lb_1")) == [MemberSecrets("i-1", START)]
        with pytest.raises(NotFoundError):
            stores.agent_reports.put("lb_9", first)
        stores.balancers.delete(stores.balancers.get("lb_1"))
        assert list(stores.agent_reports.of("lb_1")) == []
