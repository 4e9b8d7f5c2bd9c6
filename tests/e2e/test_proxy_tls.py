"""TLS for real: Envoy chooses by SNI what the agent fetched, and rotations are nothing that a client feels."""

from __future__ import annotations

import json
import os
import ssl
import stat
from pathlib import Path

import httpx
import pytest

from tests.certificates import make_pair
from tests.e2e.guests import web_site
from tests.e2e.tools import BROWSER, free_port, receive, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


@pytest.fixture(scope="module")
def secure_port(world) -> int:
    return free_port(world.address)


@pytest.fixture(scope="module")
def sites(world, secure_port):
    """Two hosts with certificates of their own, in force, and their guests up; what each certificate is."""
    made = {}
    for name, host in (("one", "one.test"), ("two", "*.two.test")):
        made[name] = make_pair(host)
        world.plane.put_secret(name, made[name].chain, made[name].key)
        world.plane.certify(name, host)
        https_site(world, f"ru_{name}", host, secure_port).start()
        until(lambda name=name: world.plane.certificate_status(name) == "ok")
    until(lambda: serves(world, secure_port, "a.two.test", made["two"].chain))
    return made


def https_site(world, id_: str, host: str, port: int):
    guest = world.guest(web_site)
    http = [{"hosts": [host], "port": port, "target": guest.port, "tls": True}]
    world.in_force(world.plane.publish({"id": id_, "targets": [guest.address], "http": http}))
    return guest


def serves(world, port: int, host: str, chain: str) -> bool:
    try:
        world.secure(port, host, chain).close()
    except OSError:
        return False
    return True


def get(connection, host: str, path: str = "/", **headers: str) -> tuple[int, bytes]:
    """One request on a connection that stays open."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive(connection, 1)
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return int(head.split()[1]), receive(connection, length)


def test_each_host_has_the_certificate_of_its_own_name(world, secure_port, sites):
    for name, host in (("one", "one.test"), ("two", "a.two.test")):
        with world.secure(secure_port, host, sites[name].chain) as connection:
            status, body = get(connection, host, f"/{name}")
            assert status == 200
            assert json.loads(body)["first"] == f"GET /{name} HTTP/1.1"
            assert connection.version() in {"TLSv1.2", "TLSv1.3"}
            assert connection.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLCertVerificationError):
        world.secure(secure_port, "one.test", sites["two"].chain)


def test_http_2_is_offered_and_old_tls_is_not(world, secure_port, sites):
    context = ssl.create_default_context(cadata=sites["one"].chain)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(world.connect(secure_port), server_hostname="one.test") as connection:
        assert connection.selected_alpn_protocol() == "h2"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with world.connect(secure_port) as raw, pytest.raises(OSError, match=r"(?i)alert|reset|EOF|protocol"):
        old.wrap_socket(raw, server_hostname="one.test")


def test_http_2_is_carried_to_a_target_that_speaks_http_1(world, secure_port, sites):
    context = ssl.create_default_context(cadata=sites["one"].chain)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with httpx.Client(http2=True, verify=context, timeout=20) as client:
        answer = client.get(
            f"https://{world.address}:{secure_port}/over-h2",
            headers={"Host": "one.test"},
            extensions={"sni_hostname": "one.test"},
        )
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert answer.json()["first"] == "GET /over-h2 HTTP/1.1"


def test_a_browser_over_tls_gets_the_page_while_its_site_starts(world, secure_port, sites):
    chain = make_pair("page.one.test")
    world.plane.put_secret("page", chain.chain, chain.key)
    world.plane.certify("page", "page.one.test")
    https_site(world, "ru_tls_page", "page.one.test", secure_port)
    until(lambda: serves(world, secure_port, "page.one.test", chain.chain))
    with world.secure(secure_port, "page.one.test", chain.chain) as connection:
        status, body = get(connection, "page.one.test", **BROWSER)
        assert status == 503
        assert b"page.one.test is starting" in body
    assert until(lambda: world.plane.woken("ru_tls_page"))[0]["host"] == "page.one.test"


def test_a_rotation_is_served_to_who_comes_and_drops_nobody_who_is_there(world, secure_port, sites):
    old, new = sites["one"], make_pair("one.test")
    with world.secure(secure_port, "one.test", old.chain) as connection:
        assert get(connection, "one.test", "/before")[0] == 200
        world.plane.put_secret("one", new.chain, new.key)
        comers = 0
        while not serves(world, secure_port, "one.test", new.chain):
            # Whoever comes meanwhile meets the one or the other.
            assert serves(world, secure_port, "one.test", old.chain + new.chain)
            comers += 1
            assert comers < 2000
        assert not serves(world, secure_port, "one.test", old.chain)
        assert get(connection, "one.test", "/after")[0] == 200
    sites["one"] = new


def test_a_new_pair_that_does_not_fit_is_not_served_and_the_old_one_is(world, secure_port, sites):
    before = sites["one"]
    world.plane.put_secret("one", make_pair("one.test").chain, make_pair("one.test").key)
    until(lambda: world.plane.certificate_status("one") == "invalid")
    assert serves(world, secure_port, "one.test", before.chain)
    world.plane.put_secret("one", before.chain, before.key)
    until(lambda: world.plane.certificate_status("one") == "ok")


def test_a_secret_that_is_missing_keeps_no_other_host_from_being_served(world, secure_port, sites):
    late = make_pair("late.test")
    with world.secure(secure_port, "one.test", sites["one"].chain) as connection:
        world.plane.certify("late", "late.test")
        https_site(world, "ru_late", "late.test", secure_port).start()
        until(lambda: world.plane.certificate_status("late") == "missing")
        assert not serves(world, secure_port, "late.test", late.chain)
        assert serves(world, secure_port, "a.two.test", sites["two"].chain)
        world.plane.put_secret("late", late.chain, late.key)
        until(lambda: serves(world, secure_port, "late.test", late.chain))
        assert get(connection, "one.test")[0] == 200


def test_all_is_served_on_while_the_agent_starts_anew_without_secrets_manager(world, secure_port, sites):
    with world.secure(secure_port, "one.test", sites["one"].chain) as connection:
        world.plane.go_logs()
        try:
            world.kill_agent()
            reports = len(world.plane.reports)
            world.start_agent()
            until(lambda: any("applied" in report for report in world.plane.reports[reports:]), 15)
            assert get(connection, "one.test")[0] == 200
            assert serves(world, secure_port, "a.two.test", sites["two"].chain)
        finally:
            world.plane.come_logs()


def test_keys_are_where_no_disk_and_no_other_user_sees_them(world, sites):
    files = list(Path(world.tls_dir.name).iterdir())
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    guests_own = world.home / "guest.pem"  # a target's, which speaks TLS itself
    for folder, _, names in os.walk(world.home):
        for name in names:
            file = Path(folder) / name
            assert file == guests_own or not file.is_file() or b"PRIVATE KEY" not in file.read_bytes(), file
