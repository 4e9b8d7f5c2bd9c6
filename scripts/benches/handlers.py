"""Every function that Chalice packages, from the app itself: its handler, and what it builds at its first call."""

from __future__ import annotations

import ast
import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.local.stack import ROOT

if TYPE_CHECKING:
    from pathlib import Path

API = "api_handler"
ENTRYPOINTS = "chalicelib.entrypoints"
BOOTSTRAP = "chalicelib.bootstrap"


@dataclass(frozen=True, slots=True)
class Handler:
    """`module` is what Lambda loads; `builds` are functions of `chalicelib.bootstrap`, as in `scheduler.tick`."""

    name: str
    module: str
    function: str
    builds: tuple[str, ...]
    memory_mb: int
    traced: bool

    @property
    def code(self) -> str:
        """Loads it as Lambda does, and builds what it needs."""
        modules = sorted({build.partition(".")[0] for build in self.builds})
        imports = "".join(f"; from {BOOTSTRAP} import {module}" for module in modules)
        return f"import {self.module}{imports}; " + "; ".join(f"{build}()" for build in self.builds)


def handlers() -> dict[str, Handler]:
    """All of them by name, with what `.chalice/config.json` gives them.

    Raises ValueError where that and the app do not agree on which there are.
    """
    config: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text())
    usual, traced = config["lambda_memory_size"], config["xray"]
    found = {API: Handler(API, "app", "app", (f"{API}.services",), usual, traced)}
    app: Any = importlib.import_module("app").app
    for function in (*app.pure_lambda_functions, *app.event_sources):
        name, (module, _, attribute) = function.name, function.handler_string.rpartition(".")
        own = config["lambda_functions"].get(name, {})
        memory = own.get("lambda_memory_size", usual)
        found[name] = Handler(name, module, attribute, _builds(module, attribute), memory, own.get("xray", traced))
    unknown = set(config["lambda_functions"]) ^ (set(found) - {API})
    if unknown:
        raise ValueError(f".chalice/config.json and the app do not agree on {', '.join(sorted(unknown))}")
    return found


def _builds(module: str, function: str) -> tuple[str, ...]:
    """What is called without arguments of the bootstrap: by this function, or where the module hands on to another."""
    tree = ast.parse(_file(module).read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = dict.fromkeys(_built(functions[function]))
    for node in ast.walk(functions[function]):
        if isinstance(node, ast.ImportFrom) and node.module == ENTRYPOINTS:
            for name in node.names:
                found |= dict.fromkeys(_built(ast.parse(_file(f"{ENTRYPOINTS}.{name.name}").read_text())))
    return tuple(found)


def _built(tree: ast.AST) -> list[str]:
    known = {file.stem for file in (ROOT / BOOTSTRAP.replace(".", "/")).glob("*.py")}
    return [
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and not node.args
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in known
    ]


def _file(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")
