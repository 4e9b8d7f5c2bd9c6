"""What a deployment is made of: steps that look, act on the difference, and look again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scripts.deployment.errors import NotAsWantedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what is wanted and what is there: what would be done, and why."""

    verb: str
    words: str


class Step(Protocol):
    """One part of a stage."""

    @property
    def name(self) -> str:
        """As people read it."""
        ...

    def look(self) -> Difference | None:
        """What is not as wanted; None when all is. It changes nothing."""
        ...

    def act(self, say: Say) -> None:
        """Bring it there. Raises DeploymentError."""
        ...


@dataclass(frozen=True, slots=True)
class Planned:
    """A step, and what it would do now; None is nothing."""

    step: Step
    difference: Difference | None


def plan(steps: Sequence[Step]) -> list[Planned]:
    """What each of them would do, were it its turn now."""
    return [Planned(step, step.look()) for step in steps]


def carry_out(steps: Sequence[Step], say: Say) -> int:
    """All of them in their order; answers how many had something to do.

    Each looks for itself when its turn comes, since those before it have changed what there is. Raises
    NotAsWantedError where a step's act is not seen afterwards, and what the step raises.
    """
    acted = 0
    for step in steps:
        difference = step.look()
        if difference is None:
            say(f"{step.name}: as wanted")
            continue
        say(f"{step.name}: {difference.verb} ({difference.words})")
        step.act(say)
        acted += 1
        left = step.look()
        if left is not None:
            raise NotAsWantedError(
                f"{step.name}: done, but still to {left.verb} ({left.words}). Run the same command again; "
                "if it says so again, the account refuses something that its answer did not tell."
            )
    return acted
