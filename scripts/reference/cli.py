"""The commands, from the commands."""

from __future__ import annotations

import click

from scripts.cli.__main__ import main
from scripts.deployment import bootstrap, deploy
from scripts.reference.tables import one_line


def page() -> str:
    """The help of every command."""
    parts = [
        _help("./scripts/bootstrap", bootstrap.main),
        _help("./scripts/deploy", deploy.main),
        _help("./scripts/autostop", main),
        *_below("./scripts/autostop", main),
    ]
    return f"""# The command line

`./scripts/autostop` asks the API at `AUTOSTOP_URL` with the key in `AUTOSTOP_KEY`, or in the file that `AUTOSTOP_KEY_FILE` names;
`--demo` takes both from a demo that runs in this folder. It ends with 0, with 1 when it was refused (the reason on standard
error), with 2 when the command line is wrong. `doctor`, `export` and `import` use credentials of AWS.

{chr(10).join(parts)}"""


def _below(name: str, group: click.Group) -> list[str]:
    found = []
    for child in sorted(group.commands):
        command = group.commands[child]
        found.append(_help(f"{name} {child}", command))
        if isinstance(command, click.Group):
            found += _below(f"{name} {child}", command)
    return found


def _help(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    words = one_line(command.help)
    return f"## {name}\n\n{words}\n\n```\n{command.get_help(context)}\n```\n"
