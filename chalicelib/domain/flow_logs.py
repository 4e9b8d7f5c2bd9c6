"""Records of VPC flow logs: which of them are use, and which time they prove. Pure.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from chalicelib.domain.addresses import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chalicelib.domain.addresses import Network

VERSION_2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
"""What a flow log has that is made without a format of its own."""

NEEDED = (
    *("interface-id", "srcaddr", "dstaddr", "dstport", "protocol", "packets", "bytes"),
    *("start", "end", "action", "log-status"),
)
CARRIES = frozenset({"6", "17"})
"""TCP and UDP: https://www.iana.org/assignments/protocol-numbers."""

LONGEST_WINDOW = 3600
"""Seconds: a record that claims more is none. Windows are of ten minutes at most."""

_DIGITS = 10
"""Of seconds since 1970, from 2001 to 2286; so written, times are in order as texts too."""

_COUNT_DIGITS = 18


class FlowFormatError(ValueError):
    """A list of fields that cannot tell what is needed; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class FlowFormat:
    """Where each field stands in a record. `width` is how many there are."""

    width: int
    interface: int
    source: int
    target: int
    port: int
    protocol: int
    packets: int
    octets: int
    start: int
    end: int
    action: int
    status: int

    @staticmethod
    def of(fields: str) -> FlowFormat:
        """The format of a list such as `VERSION_2`, with or without ${} around the names. Raises FlowFormatError."""
        names = [name.removeprefix("${").removesuffix("}") for name in fields.split()]
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise FlowFormatError(f"lacks {', '.join(missing)}")
        if len(set(names)) != len(names):
            raise FlowFormatError("names a field twice")
        return FlowFormat(len(names), *(names.index(name) for name in NEEDED))


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of an instance, and its private addresses as flow logs write them."""

    id: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowWatch:
    """What of the flow logs is of one rule: its interfaces, the ports that are used, and whose traffic is nobody's."""

    rule_id: str
    interfaces: tuple[Interface, ...]
    ports: tuple[int, ...]
    ignored: tuple[str, ...] = ()
    """Networks as CIDRs."""


@dataclass(slots=True)
class Watched:
    """An interface of a rule, ready to be asked for each record; `verdicts` keeps what it said of a source."""

    rule_id: str
    id: str
    addresses: frozenset[str]
    ports: frozenset[str]
    ignored: tuple[Network, ...]
    verdicts: dict[str, bool] = field(default_factory=dict)

    def counts(self, source: str) -> bool:
        """Whether somebody is at that address. What is no address is nobody."""
        try:
            known = str(ip_address(source))
        except ValueError:
            known = ""
        verdict = self.verdicts[source] = bool(known) and not within(known, self.ignored)
        return verdict


@dataclass(slots=True)
class Flows:
    """What was gathered: uses by rule, interface and second; windows as they were written; and what was passed over.

    `used` has flows, packets and bytes. `proved` and `skipped` have the latest end by the start, for each interface.
    """

    used: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    proved: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: dict[str, dict[str, str]] = field(default_factory=dict)
    malformed: int = 0
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Least:
    """A flow with less than this is nobody: a scan, a probe, a reset."""

    packets: int = 3
    octets: int = 0


def gather(messages: Iterable[object], layout: FlowFormat, index: Mapping[str, Watched], least: Least) -> Flows:
    """Sort out records. Nothing of them is trusted, and nothing is raised for what is in them.

    A record counts that was accepted, came to an address of the interface and to a port of the rule, and is of TCP or
    UDP; of what answers there is one in the other direction.
    """
    found = Flows()
    used, proved, skipped = found.used, found.proved, found.skipped
    width, at_interface, at_status = layout.width, layout.interface, layout.status
    at_start, at_end, at_port, at_action = layout.start, layout.end, layout.port, layout.action
    at_target, at_protocol, at_source = layout.target, layout.protocol, layout.source
    at_packets, at_octets = layout.packets, layout.octets
    for message in messages:
        record = message.split() if type(message) is str else ()
        if len(record) != width:
            found.malformed += 1
            continue
        watched = index.get(record[at_interface])
        if watched is None:
            found.foreign += 1
            continue
        status, end = record[at_status], record[at_end]
        windows = skipped if status == "SKIPDATA" else proved
        known = windows.get(watched.id)
        if known is None:
            known = windows[watched.id] = {}
        begun = record[at_start]
        if known.get(begun, "") < end:
            known[begun] = end
        if status != "OK":
            found.malformed += status not in {"NODATA", "SKIPDATA"}
            continue
        if (
            record[at_port] in watched.ports
            and record[at_action] == "ACCEPT"
            and record[at_target] in watched.addresses
            and record[at_protocol] in CARRIES
        ):
            source = record[at_source]
            verdict = watched.verdicts.get(source)
            if verdict is None:
                verdict = watched.counts(source)
            packets, octets = record[at_packets], record[at_octets]
            if not (packets.isdecimal() and octets.isdecimal() and len(packets + octets) <= _COUNT_DIGITS):
                found.malformed += 1
            elif verdict and int(packets) >= least.packets and int(octets) >= least.octets:
                sums = used.get((watched.rule_id, watched.id, end))
                if sums is None:
                    sums = used[watched.rule_id, watched.id, end] = [0, 0, 0]
                sums[0] += 1
                sums[1] += int(packets)
                sums[2] += int(octets)
    return found


def moment(text: str, now: datetime) -> datetime | None:
    """Seconds since 1970 as a time, never later than now; None for what is none."""
    if not text.isdecimal() or len(text) != _DIGITS:
        return None
    return min(datetime.fromtimestamp(int(text), UTC), now)


def windows(written: Mapping[str, str], now: datetime) -> list[tuple[datetime, datetime]]:
    """The windows that can be, in order, joined where they meet; what cannot be, or is too long, proves nothing."""
    latest = int(now.timestamp())
    known = sorted(
        (int(start), int(end))
        for start, end in written.items()
        if start.isdecimal() and end.isdecimal() and len(start) == len(end) == _DIGITS
    )
    joined: list[tuple[int, int]] = []
    for start, end in known:
        if not start <= end <= start + LONGEST_WINDOW or start > latest:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return [(datetime.fromtimestamp(a, UTC), min(datetime.fromtimestamp(b, UTC), now)) for a, b in joined]


def index_of(watches: Sequence[FlowWatch], networks: Mapping[str, tuple[Network, ...]]) -> dict[str, Watched]:
    """By interface; `networks` has what `FlowWatch.ignored` says, by rule."""
    return {
        interface.id: Watched(
            watch.rule_id,
            interface.id,
            frozenset(interface.addresses),
            frozenset(map(str, watch.ports)),
            networks.get(watch.rule_id, ()),
        )
        for watch in watches
        for interface in watch.interfaces
    }
