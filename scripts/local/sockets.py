"""Questions about ports that connect to nothing."""

from __future__ import annotations

import socket
import sys
from pathlib import Path


def can_bind(address: str, port: int) -> bool:
    """Whether we may listen there."""
    with socket.socket() as trial:
        try:
            trial.bind((address, port))
        except OSError:
            return False
        return True


def listens(address: str, port: int) -> bool:
    """Whether somebody listens there, without connecting, which would be traffic: proc(5), /proc/net/tcp, state 0A."""
    local = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1] == local and row[3] == "0A" for row in rows)
