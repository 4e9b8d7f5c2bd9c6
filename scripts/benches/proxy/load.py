"""Clients that cost little beside what they measure: one thread, sockets that are kept, HTTP in as few bytes."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

GREETING = b"GET / HTTP/1.1\r\nHost: load.test\r\n\r\n"
NOBODY_ANSWERS = 10.0


@dataclass(slots=True)
class Clients:
    """So many connections to one place, on each so many requests at a time. A context: they are closed at its end."""

    address: str
    port: int
    count: int
    body: int
    at_a_time: int = 1
    _stack: ExitStack = field(default_factory=ExitStack)
    _poll: select.epoll = field(default_factory=select.epoll)
    _sockets: dict[int, socket.socket] = field(default_factory=dict)
    _got: dict[int, bytes] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._poll)
        for _ in range(self.count):
            made = socket.create_connection((self.address, self.port), 5)
            self._stack.enter_context(made)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setblocking(False)  # noqa: FBT003  (its only argument)
            self._sockets[made.fileno()] = made
            self._got[made.fileno()] = b""
            self._poll.register(made.fileno(), select.EPOLLIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def per_second(self, seconds: float) -> float:
        """Requests a second while every connection asks again as soon as it is answered."""
        for fd in self._sockets:
            self._ask(fd)
        began = time.monotonic()
        answered, deadline = 0, began + seconds
        while (now := time.monotonic()) < deadline:
            for fd in self._answered(NOBODY_ANSWERS):
                answered += self.at_a_time
                self._ask(fd)
        return answered / (now - began)

    def latencies(self, rate: float, seconds: float) -> list[float]:
        """Seconds from when each request was due, at so many a second, to its answer: waiting for a client counts."""
        idle, asked = deque(self._sockets), dict[int, float]()
        began = time.monotonic()
        times: list[float] = []
        sent, total = 0, int(rate * seconds)
        while len(times) < total:
            now = time.monotonic()
            while idle and sent < total and began + sent / rate <= now:
                fd = idle.popleft()
                asked[fd] = began + sent / rate
                self._ask(fd)
                sent += 1
            due = began + sent / rate - time.monotonic()
            for fd in self._answered(max(0.0, due) if idle and sent < total else NOBODY_ANSWERS):
                times.append(time.monotonic() - asked.pop(fd))
                idle.append(fd)
        return times

    def _ask(self, fd: int) -> None:
        self._sockets[fd].send(GREETING * self.at_a_time)

    def _answered(self, timeout: float) -> list[int]:
        """The connections whose answers are whole now. Raises RuntimeError for an answer that is not the target's."""
        ready = self._poll.poll(timeout)
        if not ready and timeout == NOBODY_ANSWERS:
            raise RuntimeError(f"nobody answers at {self.address}:{self.port}")
        done = []
        for fd, _ in ready:
            data = self._sockets[fd].recv(65536)
            got = self._got[fd] + data
            if not data or not got.startswith(b"HTTP/1.1 200"[: len(got)]):
                raise RuntimeError(f"{self.address}:{self.port} answered {got[:80]!r}")
            last = got.rfind(b"\r\n\r\n")
            if got.count(b"\r\n\r\n") == self.at_a_time and len(got) >= last + 4 + self.body:
                done.append(fd)
                got = b""
            self._got[fd] = got
        return done
