"""Hosts and paths of a route, packed into listener rules.

A listener rule has at most five condition values, hosts and paths together; that quota cannot be raised.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_VALUES = 5

Packed: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Hosts, and paths; no paths for all of them."""


def pack(hosts: Sequence[str], paths: Sequence[str]) -> tuple[Packed, ...]:
    """Every host with every path in exactly one of them, in as few as equal ones can be."""
    if "/*" in paths:
        # Whoever has all paths needs no other, and no value for it.
        return tuple((group, ()) for group in batched(hosts, MOST_VALUES))
    widths = range(1, MOST_VALUES)
    most = min(widths, key=lambda n: (_chunks(len(hosts), n) * _chunks(len(paths), MOST_VALUES - n), n))
    return tuple((some, few) for some in batched(hosts, most) for few in batched(paths, MOST_VALUES - most))


def pack_apart(hosts: Sequence[str], paths: Sequence[str]) -> tuple[Packed, ...]:
    """The same, but only what is equally specific together, so that other rules can be put between."""
    return tuple(
        packed
        for some in _classes(hosts, host_weight)
        for few in _classes(paths, path_weight)
        for packed in pack(some, few)
    )


def host_weight(host: str) -> int:
    """The more specific, the more: a name before every pattern, a longer pattern before a shorter one."""
    return 1000 if "*" not in host else len(host)


def path_weight(path: str) -> int:
    """The same for paths."""
    return 1000 if not path.endswith("*") else len(path)


def _chunks(length: int, size: int) -> int:
    return -(-length // size)


def batched(values: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Runs of at most this many."""
    return [tuple(values[at : at + size]) for at in range(0, len(values), size)]


def _classes(values: Sequence[str], weight: Callable[[str], int]) -> list[tuple[str, ...]]:
    return [tuple(group) for _, group in groupby(sorted(values, key=weight, reverse=True), key=weight)]
