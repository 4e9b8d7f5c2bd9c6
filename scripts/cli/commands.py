"""The table of calls as commands of click."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TextIO

import click

from scripts.cli.api import Api, RefusedError
from scripts.cli.output import as_explanation, as_json, as_table

if TYPE_CHECKING:
    from scripts.cli.calls import Call
    from scripts.cli.reach import Reach

_MOST = click.Option(["--limit"], type=click.IntRange(min=1), help="At most so many; without it, all.")
_AS_JSON = click.Option(["--json", "as_json_"], is_flag=True, help="JSON instead of a table or sentences.")
_ID_ONLY = click.Option(["--id-only"], is_flag=True, help="Print the id of what was made, and nothing else.")
_FILE = click.Option(["--file"], required=True, type=click.File("r"), help="A JSON file; - reads standard input.")


def command(call: Call) -> click.Command:
    """The command of one call."""
    params: list[click.Parameter] = [click.Argument([name]) for name in re.findall(r"{(\w+)}", call.path)]
    for option in call.options:
        flag = option.kind is bool
        params.append(
            click.Option(
                [f"--{option.name}", _variable(option.name)],
                help=option.help,
                required=option.required,
                is_flag=flag,
                type=None if flag else option.kind,
            )
        )
    params += [_FILE] if call.file else []
    params += [_ID_ONLY] if call.makes else []
    params += [_MOST] if call.columns else []
    params += [_AS_JSON] if call.columns or call.shown == "explanation" else []

    @click.pass_obj
    def run(reach: Reach, /, **given: Any) -> None:  # noqa: ANN401  (whatever the options are)
        _run(call, reach.api(), given)

    return click.Command(call.name, callback=run, params=params, help=call.help)


def _run(call: Call, api: Api, given: dict[str, Any]) -> None:
    # An id is put into the path as it is; what is no id would lead to another route.
    for name in re.findall(r"{(\w+)}", call.path):
        if not re.fullmatch(r"[a-z]{2}_[A-Za-z0-9]{1,60}", given[name]):
            raise click.BadParameter(f"{given[name]!r} is no id, as in ru_01abc", param_hint=name)
    path = call.path.format(**given)
    chosen = {option: given[_variable(option.name)] for option in call.options}
    query = {option.name: str(value) for option, value in chosen.items() if option.query and value is not None}
    if call.columns:
        rows = list(api.items(path, given["limit"], query))
        as_json(rows) if given["as_json_"] else as_table(rows, call.columns)
        return
    if call.method == "GET":
        _show(call, api.call("GET", path, query=query), as_is=given.get("as_json_", False))
        return
    body: object = {
        _variable(option.name).rstrip("_"): value
        for option, value in chosen.items()
        if not option.query and value not in {None, False}
    }
    if call.file:
        body = _read(given["file"])
    headers = {"If-Match": api.call("GET", path).headers["ETag"]} if call.read_first else {}
    sent = None if call.method == "DELETE" else body
    answer = api.call(call.method, path, body=sent, query=query, headers=headers)
    if given.get("id_only"):
        click.echo(answer.json()["id"])
        return
    _show(call, answer, as_is=False)


def _show(call: Call, answer: Any, *, as_is: bool) -> None:  # noqa: ANN401  (an httpx.Response)
    if call.shown == "text":
        click.echo(answer.text, nl=False)
    elif not answer.content:
        click.echo("Done.")
    elif call.shown == "explanation" and not as_is:
        as_explanation(answer.json())
    else:
        as_json(answer.json())


def _read(file: TextIO) -> object:
    try:
        found: object = json.load(file)
    except ValueError as error:
        raise RefusedError(f"{file.name} is not JSON: {error}") from error
    return found


def _variable(option: str) -> str:
    """`from` is a word of Python's own."""
    name = option.replace("-", "_")
    return f"{name}_" if name == "from" else name
