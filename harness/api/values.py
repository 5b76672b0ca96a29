"""How do Python's values become those of the command line? A list is the text with commas that a
flag takes; everything else stays what it is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.kernel.errors import BadInput, unknown
from harness.options.option import flag_of
from harness.options.run_options import OPTIONS

_OF_CONF = ("user_conf", "conf_model")  # LoadGen's configuration files
_AS = {"sweep": "compare", "decide": "compare", "evaluate": "serve"}  # takes the settings of
F = TypeVar("F", bound=Callable[..., Any])


def flags_of(settings: Mapping[str, Any], known: Iterable[str] = OPTIONS) -> dict[str, Any]:
    """Return settings as a command has them from its flags. Raises BadInput for an unknown one."""
    for name in settings:
        if name not in (*known, *_OF_CONF):
            raise unknown("setting", name, known)
    return {name: _value(name, value) for name, value in settings.items()}


def listed(name: str, values: str | Sequence[str] | None) -> str | None:
    """Return several names as one text with commas; a text as it is. Raises BadInput if a name has
    a comma.
    """
    return values if values is None or isinstance(values, str) else _joined(name, values)


def documented(command: str) -> Callable[[F], F]:
    """Add the settings that a command takes to the docstring of its function."""

    def decorate(function: F) -> F:
        rows = [
            textwrap.fill(f"{name}: {option.help}", 92, subsequent_indent="    ")
            for name, option in OPTIONS.items()
            if {command, _AS.get(command)} & set(option.commands.split())
        ]
        function.__doc__ = f"{function.__doc__}\n    Settings:\n\n" + textwrap.indent(
            "\n".join(rows), "    "
        )
        return function

    return decorate


def _value(name: str, value: Any) -> Any:
    if name == "user_conf":
        return [Path(path) for path in value]
    is_several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    if not is_several or not OPTIONS[name].may_be_list:
        return value
    return _joined(name, value)


def _joined(name: str, values: Iterable[Any]) -> str:
    texts = [str(value) if isinstance(value, Path) else f"{value}" for value in values]
    if with_comma := [text for text in texts if "," in text]:
        found, fine = f"{with_comma[0]!r} has a comma", "expected one value in each item"
        raise BadInput(flag_of(name), found, fine, "Make it items of their own.")
    return ",".join(texts)
