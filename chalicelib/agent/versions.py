"""Versions of the agent, as the control plane names them. Nothing is upgraded by itself: a person does, on the VM."""

from __future__ import annotations

import re

HEADER = "AutoStop-Agent-Version"
"""In each answer to a poll, also in a 304: which version the control plane's install script has."""

COMMAND = "sudo autostop-agent-upgrade"

_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,3}", re.ASCII)


def version_of(text: str | None) -> str | None:
    """The version in a header; None for anything that is none, which goes into no log."""
    return text if text is not None and _VERSION.fullmatch(text) else None


def is_newer(version: str, than: str) -> bool:
    """Whether one version comes after another; both are numbers with dots, or it is not."""
    if version_of(version) is None or version_of(than) is None:
        return False
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    """`1.2` is `1.2.0`."""
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))
