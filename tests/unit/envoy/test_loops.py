"""A loop goes on after what the world does to it, and dies loudly of a defect."""

from __future__ import annotations

import asyncio

import pytest

from chalicelib.agent import loops
from chalicelib.agent.loops import forever


class Job:
    """Raises what it is told to, once each, and then ends the test."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.turns = 0

    async def __call__(self) -> None:
        self.turns += 1
        if self.failures:
            raise self.failures.pop(0)
        raise asyncio.CancelledError


def test_a_failure_of_the_world_does_not_end_a_loop(monkeypatch):
    monkeypatch.setattr(loops, "AFTER_FAILURE", 0.0)
    job = Job(OSError("disk"), TimeoutError(), ConnectionResetError())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(forever(job, lambda: 0))
    assert job.turns == 4


@pytest.mark.parametrize("defect", [KeyError("x"), AttributeError("x"), ZeroDivisionError()])
def test_a_defect_ends_it(defect):
    with pytest.raises(type(defect)):
        asyncio.run(forever(Job(defect), lambda: 0))


def test_an_event_ends_a_pause_early():
    async def story():
        early, job = asyncio.Event(), Job()
        job.failures = []
        turns = 0

        async def count():
            nonlocal turns
            turns += 1
            if turns == 3:
                raise asyncio.CancelledError
            early.set()

        await forever(count, lambda: 3600, early)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asyncio.wait_for(story(), 5))


def test_a_cancellation_that_comes_together_with_the_event_ends_it():
    async def story():
        early = asyncio.Event()

        async def nothing():
            pass

        loop = asyncio.ensure_future(forever(nothing, lambda: 3600, early))
        for _ in range(3):
            await asyncio.sleep(0)
        early.set()
        loop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loop

    asyncio.run(asyncio.wait_for(story(), 5))
