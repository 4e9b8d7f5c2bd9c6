"""What an operator would look at, one module a subject; each tells findings and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.diagnosis import clocks, deployed, messages, proxies, rights
from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.cli.api import Api
    from scripts.deployment.deployment import Deployment

__all__ = ["Finding", "Level", "diagnose"]


def diagnose(deployment: Deployment, api: Api | None) -> Iterator[Finding]:
    """Everything; what only the API knows is left out, and said so, where it cannot be asked."""
    yield from deployed.look(deployment)
    if not deployment.stage_is_there():
        return
    yield from rights.look(deployment)
    yield from messages.look(deployment)
    yield from clocks.look(deployment, api)
    if api is None:
        yield Finding(
            Level.WATCH,
            "Proxies, certificates and blind rules were not looked at: no API was given.",
            "Set AUTOSTOP_URL and AUTOSTOP_KEY and run it again.",
        )
        return
    yield from proxies.look(deployment, api)
