"""What can go wrong, in the words that a user reads. One small class per thing a caller handles differently."""

from __future__ import annotations

from dataclasses import dataclass


class AutoStopError(Exception):
    """Base of every error of ours. `retryable` says whether the same call can succeed later unchanged."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of an input: `field` as in `resources.instance_ids[0]`, `message` as a person reads it."""

    field: str
    message: str


class InvalidInputError(AutoStopError):
    """The input is refused whole; `faults` names every fault found in it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults


class NotFoundError(AutoStopError):
    """There is no such thing. `kind` is a word of the contract: rule, load balancer, API key."""

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"There is no {kind} {id_}.")
        self.kind = kind
        self.id = id_


class AlreadyClaimedError(AutoStopError):
    """A host, a listen port or a resource belongs to another rule. `owners`: the claim in words → that rule's id."""

    def __init__(self, owners: dict[str, str]) -> None:
        super().__init__("; ".join(_taken(what, owner) for what, owner in sorted(owners.items())))
        self.owners = owners


def _taken(what: str, owner: str) -> str:
    shared = owner in {"http", "https"}
    return f"{what} is used for {owner} by other rules" if shared else f"{what} belongs to rule {owner}"


class UnreadableLogError(AutoStopError):
    """A file of logs that is damaged; what was read of it until there stands."""


class ConflictError(AutoStopError):
    """The request is right, but the world is not: in use, still referred to, no free port."""


class VersionMismatchError(AutoStopError):
    """Somebody else wrote first: the version read is not the version stored."""


class LostClaimError(AutoStopError):
    """Another reconcile, or a wake, wrote to the rule after it was read: do nothing and say nothing."""


class NeighbourChangedError(LostClaimError):
    """A rule that this step stands on was written to after it was read: look again at once."""


class NewerSchemaError(AutoStopError):
    """What is stored was written by a newer release."""

    def __init__(self, table: str, version: int, known: int) -> None:
        super().__init__(
            f"An item of the table {table} has schema {version}, and this release knows {known}: a newer release wrote "
            "it. Deploy that one again, or restore the tables to a time before it."
        )


class TooLargeError(AutoStopError):
    """More than one transaction, item or answer can carry; the message has the number."""


class UnauthorizedError(AutoStopError):
    """No key, a malformed key, or a key that we do not know or that has expired."""


class ForbiddenError(AutoStopError):
    """A known key whose role, or whose load balancer, does not allow this."""


class CloudError(AutoStopError):
    """AWS refused or failed. `code` is AWS's own error code; the cause is kept."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable


class ThrottledError(CloudError):
    """AWS asked to slow down."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, retryable=True)


class NoRoomError(CloudError):
    """AWS has no capacity, or no free address, for this here; elsewhere it may."""


class NotYetError(CloudError):
    """What was just made is not known everywhere yet: the same call succeeds in some seconds."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, retryable=True)
