"""Domain dataclasses to JSON and back, by their own type hints.

Unknown fields are passed over and missing ones take their defaults, so that two versions of AutoStop can read one
table while a deploy goes through it.
"""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from chalicelib.domain import (
    access,
    account,
    activity,
    albs,
    certificates,
    decisions,
    drains,
    events,
    guards,
    load_balancers,
    membership,
    provision,
    resources,
    routes,
    rules,
    schedules,
    sources,
    wall_time,
)

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")

_MODULES = (
    access,
    account,
    activity,
    albs,
    certificates,
    decisions,
    drains,
    events,
    guards,
    load_balancers,
    membership,
    provision,
    resources,
    routes,
    rules,
    schedules,
    sources,
    wall_time,
)
_NAMES = {name: value for module in _MODULES for name, value in vars(module).items()}
_NAMES |= {"date": date, "datetime": datetime, "timedelta": timedelta, "Decimal": Decimal}
"""What type hints under TYPE_CHECKING may name."""


def know(*modules: ModuleType) -> None:
    """Said by an adapter that stores dataclasses of these too: who does not store them need not import them."""
    _NAMES.update({name: value for module in modules for name, value in vars(module).items()})


def dump(value: object) -> str:
    """A dataclass as JSON text; datetimes in ISO 8601, timedeltas in seconds, decimals as text, enums by value."""
    return json.dumps(_plain(value), separators=(",", ":"))


def load(kind: type[T], text: str) -> T:
    """The dataclass back from its JSON text."""
    value: T = _build(kind, json.loads(text))
    return value


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        plain = {f: _plain(getattr(value, f.name)) for f in fields(value)}
        # None goes without saying, but not where a missing field means something else.
        return {f.name: content for f, content in plain.items() if content is not None or _means_something(f)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _means_something(field: Field[Any]) -> bool:
    """Whether a field that is left out would be read as another value than None."""
    return field.default_factory is not MISSING or field.default not in (None, MISSING)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, _NAMES)


def _build(kind: Any, data: Any) -> Any:  # noqa: ANN401  (it is driven by type hints, whatever they are)
    if data is None:
        return None
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _build(next(arg for arg in get_args(kind) if arg is not type(None)), data)
    if origin is tuple:
        args = get_args(kind)
        inner = [args[0]] * len(data) if args[-1] is Ellipsis else args
        return tuple(_build(each, item) for each, item in zip(inner, data, strict=True))
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is date:
        return date.fromisoformat(data)
    if kind is Decimal:
        return Decimal(data)
    if kind is timedelta:
        return timedelta(seconds=data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        known = {f.name: _build(hints[f.name], data[f.name]) for f in fields(kind) if f.name in data}
        for f in fields(kind):
            if f.name not in known and f.default is MISSING and f.default_factory is MISSING:
                known[f.name] = None
        return kind(**known)
    return data
