"""One running proxy for all tests of it."""

from __future__ import annotations

import pytest

from tests.e2e.proxy_world import World
from tests.e2e.tools import free_port


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("proxy"))
    try:
        world.set_up()
        yield world
    finally:
        world.end()


@pytest.fixture(scope="session")
def port(world) -> int:
    """Where all the sites listen."""
    return free_port(world.address)


@pytest.fixture
def still_running(world):
    yield
    world.processes.check()
