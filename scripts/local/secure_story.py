"""The part of the story that is told over TLS: redirect, wake, and a certificate that is rotated meanwhile."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from scripts.local.names import SECURE_HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.local.world import World

PATIENCE = 120.0
ROTATED_WITHIN = 20.0
"""The demo's agent asks for new versions every 2 s, and 2 s later again if it met one half of a rotation."""


class StoryError(Exception):
    """A step did not hold."""


@dataclass(slots=True)
class Secure:
    """`note` takes (step, measured seconds, limit), `check` (holds, words)."""

    world: World
    note: Callable[[str, float, float | None], None]
    check: Callable[[bool, str], None]

    def play(self) -> None:
        """The site is down when it begins."""
        self._redirect()
        self._wake()
        self._rotate()

    def _redirect(self) -> None:
        began = time.time()
        url = f"http://{self.world.proxy_address}:{self.world.site_listen}/"
        answer = httpx.get(url, headers={"Host": SECURE_HOST}, timeout=5)
        where = answer.headers.get("location")
        self.check(answer.is_redirect and where == self.world.secure_url, f"{answer.status_code} to {where}")
        self.note(f"http redirects to https: {answer.status_code}, at once", time.time() - began, 1.0)
        self.check(self.world.rule("site")["state"] == "down", "a redirect has woken the site")

    def _wake(self) -> None:
        """With curl, told the address and whom to trust as a person would; where there is none, with httpx."""
        began = time.time()
        body = self._curl() if shutil.which("curl") else self._httpx()
        arrived = time.time()
        self.check("hello from" in body, f"over https came: {body[:200]}")
        self.note("curl --cacert https://…: one held request, the site's own answer", arrived - began, None)
        self.note("curl https: the answer, after the site accepts", arrived - self.world.accepted_at("site")[-1], 1.5)

    def _rotate(self) -> None:
        """Who is connected stays, who comes meets the new certificate."""
        before = self.world.certificate.current.der
        with self._connect() as connection:
            self.check(
                connection.getpeercert(binary_form=True) == before, "another certificate than the stored one is served"
            )
            first = self._ask(connection, "/before")
            self.world.certificate.rotate()
            began = time.time()
            wanted = self.world.certificate.current.der
            while (served := self._served()) != wanted:
                self.check(served == before, "neither the old nor the new certificate is served")
                self.check(time.time() - began < ROTATED_WITHIN, "the new certificate is not served")
                time.sleep(0.1)
            took = time.time() - began
            second = self._ask(connection, "/after")
        self.check("hello from" in first and "hello from" in second, f"the open connection got {first!r}, {second!r}")
        self.note("certificate rotated: the new one is served, the open connection stays", took, ROTATED_WITHIN)

    # Below

    def _curl(self) -> str:
        world = self.world
        command = ["curl", "--silent", "--show-error", "--max-time", f"{PATIENCE:g}", "--cacert", str(world.cacert)]
        resolve = f"{SECURE_HOST}:{world.secure_listen}:{world.proxy_address}"
        done = subprocess.run(
            [*command, "--noproxy", "*", "--resolve", resolve, world.secure_url],
            capture_output=True,
            text=True,
            timeout=PATIENCE + 5,
            check=False,
        )
        self.check(done.returncode == 0, f"curl ended with {done.returncode}: {done.stderr[-300:]}")
        return done.stdout

    def _httpx(self) -> str:
        with httpx.Client(verify=self._context(), timeout=PATIENCE, trust_env=False) as client:
            url = f"https://{self.world.proxy_address}:{self.world.secure_listen}/"
            return client.get(
                url,
                headers={"Host": SECURE_HOST, "Accept": "*/*"},
                extensions={"sni_hostname": SECURE_HOST},
            ).text

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.world.cacert))

    def _connect(self) -> ssl.SSLSocket:
        """Verified against the demo's authority, by name."""
        raw = socket.create_connection((self.world.proxy_address, self.world.secure_listen), 10)
        try:
            return self._context().wrap_socket(raw, server_hostname=SECURE_HOST)
        except OSError:
            raw.close()
            raise

    def _served(self) -> bytes | None:
        with self._connect() as connection:
            return connection.getpeercert(binary_form=True)

    def _ask(self, connection: ssl.SSLSocket, path: str) -> str:
        """One request on a connection that stays open; answers all that came, up to the end of its body."""
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {SECURE_HOST}\r\n\r\n".encode())
        data = b""
        while not data.endswith(f"{path}\n".encode()):
            more = connection.recv(65536)
            if not more:
                break
            data += more
        return data.decode(errors="replace")
