"""`python -m scripts.cli`: what `./scripts/autostop` runs."""

from __future__ import annotations

from pathlib import Path

import click

from chalicelib import __version__
from scripts.cli.calls import CALLS
from scripts.cli.commands import command
from scripts.cli.doctor import doctor
from scripts.cli.reach import Reach
from scripts.cli.tables import export_, import_

HELP = {
    "rules": "Rules: groups of resources with their idle time.",
    "schedules": "Schedules of rules.",
    "load-balancers": "ALBs and proxies.",
    "api-keys": "Keys of this API.",
    "account": "The switches of the whole account.",
}


@click.group()
@click.version_option(__version__, prog_name="autostop")
@click.option("--url", envvar="AUTOSTOP_URL", help="The API's address.  [env: AUTOSTOP_URL]")
@click.option(
    "--key-file",
    envvar="AUTOSTOP_KEY_FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the API key.  [env: AUTOSTOP_KEY_FILE, or AUTOSTOP_KEY with the key itself]",
)
@click.option("--demo", is_flag=True, help="The demo that runs in this folder (./scripts/demo).")
@click.pass_context
def main(context: click.Context, *, url: str | None, key_file: Path | None, demo: bool) -> None:
    """AutoStop from a terminal.

    A key is never an argument: what runs on a machine shows its arguments to everybody there.
    """
    context.obj = Reach(url, key_file, demo=demo)


def _add_all() -> None:
    groups: dict[str, click.Group] = {}
    for call in CALLS:
        if call.group is None:
            main.add_command(command(call))
            continue
        if call.group not in groups:
            groups[call.group] = click.Group(call.group, help=HELP[call.group])
            main.add_command(groups[call.group])
        groups[call.group].add_command(command(call))
    for other in (doctor, export_, import_):
        main.add_command(other)


_add_all()

if __name__ == "__main__":
    main(prog_name="autostop")
