"""How is the value of a setting read: a time, a rate, a count? Types for the fields of RunOptions.

pydantic reads them by `Read`; nothing here imports it, because `--help` looks at the same types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from harness.kernel.places import expanded

MAX_QPS = 1e8  # ten nanoseconds between queries
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_MAX_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Read:
    """How pydantic reads a value: a function before, bounds of a finite number, one after."""

    before: Callable[[Any], Any] | None = None
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    after: Callable[[Any], Any] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        schema = handler(source)
        bounds = {key: getattr(self, key) for key in ("gt", "ge", "lt", "le")}
        schema |= {key: bound for key, bound in bounds.items() if bound is not None}
        if schema["type"] == "float":
            schema["allow_inf_nan"] = False
        if self.before:
            schema = core_schema.no_info_before_validator_function(self.before, schema)
        if self.after:
            schema = core_schema.no_info_after_validator_function(self.after, schema)
        return schema


def refuse_bool(value: object) -> object:
    """Make a word of a bool: an integer to Python, and never what a user meant by a number."""
    return f"{value}".lower() if isinstance(value, bool) else value


def parse_seconds(value: object) -> object:
    """Return the seconds of "200ms", as 0.2; numbers and what is no time pass as they are."""
    value = refuse_bool(value)
    if isinstance(value, str) and (
        match := re.fullmatch(r"([0-9.]+(?:e-?\d+)?)\s*(ms|s|m|min|h)?", value.strip())
    ):
        try:
            return float(match[1]) * _UNITS[match[2] or "s"]
        except ValueError:
            return value
    return value


def _absolute(path: Path) -> Path:
    return expanded(path).absolute()


def _absolute_dataset(name: str) -> str:
    from accuracy.datasets.files import absolute

    return absolute(name)


def _absolute_task(text: str) -> str:
    from accuracy.tasks.load import absolute

    return absolute(text)


def _absolute_load(text: str) -> str:
    """Return a load by the full path of its file, if that exists."""
    from scenarios.loads import file_of

    file = file_of(text)
    path = expanded(Path(file)).absolute()
    return text.replace(file, str(path), 1) if file and path.is_file() else text


Seconds = Annotated[float, Read(parse_seconds, ge=0, le=1e7)]
PositiveSeconds = Annotated[float, Read(parse_seconds, gt=0, le=1e7)]
Interval = Annotated[float, Read(parse_seconds, ge=0.01, le=1.0)]
Rate = Annotated[float, Read(refuse_bool, gt=0, le=MAX_QPS)]
Percent = Annotated[float, Read(refuse_bool, gt=0, lt=100)]
Share = Annotated[float, Read(refuse_bool, ge=0, le=100)]  # in percent
Probability = Annotated[float, Read(refuse_bool, ge=0, le=1)]
Gibibytes = Annotated[float, Read(refuse_bool, gt=0, le=1e6)]
Count = Annotated[int, Read(refuse_bool, gt=0, le=_MAX_COUNT)]
CountOrNone = Annotated[int, Read(refuse_bool, ge=0, le=_MAX_COUNT)]
FewOrNone = Annotated[int, Read(refuse_bool, ge=0, le=100_000)]
Position = Annotated[int, Read(refuse_bool, ge=0)]
Seed = Annotated[int, Read(refuse_bool, ge=0, lt=2**64)]
Attempts = Annotated[int, Read(refuse_bool, gt=0, le=1024)]
Temperature = Annotated[float, Read(refuse_bool, ge=0, le=2)]
Nucleus = Annotated[float, Read(refuse_bool, gt=0, le=1)]
SamplingSeed = Annotated[int, Read(refuse_bool, ge=0, lt=2**63)]
Folder = Annotated[Path, Read(after=_absolute)]
Load = Annotated[str, Read(after=_absolute_load)]
Task = Annotated[str, Read(after=_absolute_task)]
Dataset = Annotated[str, Read(after=_absolute_dataset)]


def is_time(hint: Any) -> bool:
    """Is it a number of seconds, which may be written with a unit?"""
    return any(isinstance(part, Read) and part.before is parse_seconds for part in _parts(hint))


def is_number(hint: Any) -> bool:
    """Is it a number, perhaps with a word for none, such as auto?"""
    return bool(_kinds(hint) & {int, float}) and _kinds(hint) <= {int, float, Literal}


def is_choice(hint: Any) -> bool:
    """Is it one of a few words?"""
    return _kinds(hint) == {Literal}


def on_command_line(hint: Any) -> Any:
    """Return the type that a flag of it takes: what is more than one number or path is text."""
    kinds = _kinds(hint)
    if is_time(hint) or len(kinds) > 1:
        return str
    (kind,) = kinds
    is_one_text = any(isinstance(part, Read) for part in _parts(hint))
    if kind is dict or (kind is tuple and not is_one_text):
        return list[str]  # given several times
    return kind if kind in (bool, int, float, Path) else str


def _kinds(hint: Any) -> set[Any]:
    return {part for part in _parts(hint) if not isinstance(part, Read)}


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the types that a hint allows, None left out, and how they are read."""
    if get_origin(hint) is Annotated:
        kind, *metadata = get_args(hint)
        yield from _parts(kind)
        yield from metadata
    elif get_origin(hint) in (Union, UnionType):
        for alternative in get_args(hint):
            yield from _parts(alternative)
    elif hint is not NoneType:
        yield get_origin(hint) or hint
