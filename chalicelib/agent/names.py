"""Targets that have a name and no address of their own, as databases: looked up here, because Envoy never resolves.

An answer is kept over every failure: that a name does not resolve says nothing of the database, which Envoy tries.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from chalicelib.agent.xds import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock

EVERY = 5.0
"""Seconds between two look-ups of a name: the TTL that RDS gives its endpoints."""

PATIENCE = 3.0
AT_ONCE = 20
MOST_ADDRESSES = 8

METADATA_6 = ip_address("fd00:ec2::254")
"""Where EC2 has the metadata of an instance too.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

log = logging.getLogger(__name__)


class Resolver(Protocol):
    """Looks up a DNS name."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Its IP addresses, none where there is no answer. Never raises."""
        ...


class SystemResolver:
    """Resolver of the host, which in a VPC is Amazon's: private names, and the private addresses of RDS endpoints."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            log.info("%s does not resolve: %s", name, error)
            return ()
        return tuple(str(address[0]) for *_, address in found)


class Names:
    """Keeps the beliefs' addresses of every name in the configuration."""

    def __init__(
        self,
        beliefs: Beliefs,
        resolver: Resolver,
        clock: Clock,
        changed: Callable[[], None],
        kept: Path,
        *,
        loopback: bool,
    ) -> None:
        """`loopback`: our targets are on this machine, as in the demo. `changed` is told when Envoy is to be.

        `kept` is the file in which the answers outlive us.
        """
        self._kept = kept
        self._beliefs = beliefs
        self._resolver = resolver
        self._clock = clock
        self._changed = changed
        self._loopback = loopback
        self._asked_at: dict[str, float] = {}

    def load(self) -> None:
        """The answers of before we were started: nobody who is served waits for the first look-up."""
        try:
            kept = json.loads(self._kept.read_text())
            self._beliefs.addresses = {str(name): self._usable(map(str, found)) for name, found in kept.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("the addresses that were kept are unreadable: %s", error)

    async def turn(self) -> None:
        """Look up what is due, some at a time."""
        now, names = self._clock.monotonic(), self._beliefs.names()
        self._asked_at = {name: at for name, at in self._asked_at.items() if name in names}
        due = sorted(name for name in names if now - self._asked_at.get(name, -EVERY) >= EVERY)
        for start in range(0, len(due), AT_ONCE):
            some = due[start : start + AT_ONCE]
            self._asked_at |= dict.fromkeys(some, now)
            answers = await asyncio.gather(*(self._resolver.addresses(name) for name in some))
            found = {name: self._usable(answer) for name, answer in zip(some, answers, strict=True)}
            if self._beliefs.found({name: addresses for name, addresses in found.items() if addresses}):
                self._changed()
                await asyncio.to_thread(self._keep, dict(self._beliefs.addresses))

    def _keep(self, addresses: dict[str, tuple[str, ...]]) -> None:
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self._kept, json.dumps(addresses))
        except OSError:
            log.exception("the addresses could not be kept for the next start")

    def _usable(self, answer: Iterable[str]) -> tuple[str, ...]:
        """In order, so that the same answer shuffled is the same. An answer is nobody's word we have to trust."""
        good = {text for text in answer if self._may_be_a_target(text)}
        return tuple(sorted(good)[:MOST_ADDRESSES])

    def _may_be_a_target(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_link_local or address.is_multicast or address.is_unspecified or address == METADATA_6:
            return False  # the metadata of the VM above all
        return self._loopback or not address.is_loopback
