"""Reads what the script is made of: from this package, as it lies in the Lambda function."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from chalicelib import __version__
from chalicelib.web.install.script import Parts

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent


def _agent() -> dict[str, bytes]:
    """What travels to the VM: the package's own file, `agent` and `envoy`, and nothing else."""
    files = [PACKAGE / "__init__.py", *(PACKAGE / "agent").rglob("*.py"), *(PACKAGE / "envoy").rglob("*.py")]
    return {file.relative_to(PACKAGE.parent).as_posix(): file.read_bytes() for file in files}


@cache
def parts() -> Parts:
    """Read once in the life of a process."""

    def text(name: str) -> str:
        return (HERE / name).read_text()

    return Parts(
        __version__,
        text("install.sh"),
        text("autostop-agent.service"),
        text("autostop-envoy.service"),
        text("run-envoy"),
        text("autostop-agent-upgrade"),
        text("requirements.txt"),
        _agent(),
    )
