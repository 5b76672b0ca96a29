"""What are the settings of each command to a type checker? harness/api/settings.py, made from the
options, a TypedDict per command.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from harness.options.flags import COMPARE, GATE, PERPLEXITY, RUN, SERVE
from harness.options.kinds import is_choice, is_time
from harness.options.option import REQUIRED, Option
from harness.options.run_options import OPTIONS

PLACE = Path(__file__).parent.parent / "api" / "settings.py"
COMMANDS = {
    "run": RUN,
    "compare": COMPARE,
    "gate": GATE,
    "perplexity": PERPLEXITY,
    "evaluate": SERVE,
}
_OF_CONF = {"user_conf": "Sequence[Path | str]", "conf_model": "str"}  # LoadGen's files
_HEAD = '''"""Which settings does each function take? Made by `python -m harness.schema`.

Those that say so may be lists, where the command makes several runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Required, TypedDict

'''


def source() -> str:
    """Return the text of harness/api/settings.py."""
    choices = (_choice(option) for option in OPTIONS.values() if is_choice(option.hint))
    return _HEAD + "\n".join(choices) + "\n\n" + "\n".join(map(_of_command, COMMANDS))


def _choice(option: Option) -> str:
    """Return the line that gives a choice of words its name: Endpoint = Literal["auto", ...]."""
    (kind,) = _kinds(option.hint)
    return f"{_named(option)} = {_literal(kind)}"


def _named(option: Option) -> str:
    return "".join(part.capitalize() for part in option.name.split("_"))


def _of_command(command: str) -> str:
    lines = [f"\nclass {command.capitalize()}Settings(TypedDict, total=False):"]
    lines += [f'    """Of `harness.{command}`."""', ""]
    for name in COMMANDS[command]:
        if name in OPTIONS:
            lines += [f"    {name}: {_hint(OPTIONS[name], command)}"]
        elif name in _OF_CONF:
            lines += [f"    {name}: {_OF_CONF[name]}"]
    return "\n".join(lines) + "\n"


def _hint(option: Option, command: str) -> str:
    names = list(dict.fromkeys(_names(option)))
    is_several = command == "gate" and option.name == "task"
    if is_several or (command == "compare" and option.may_be_list):
        names.append(f"Sequence[{' | '.join(names)}]")
    hint = " | ".join(names)
    is_required = option.default is REQUIRED and command == "run"
    return f"Required[{hint}]" if is_required else hint


def _names(option: Option) -> Iterator[str]:
    """Yield the types of a value, as they are written. A time may have a unit, and be text."""
    for kind in _kinds(option.hint):
        if is_choice(option.hint):
            yield _named(option)
        elif get_origin(kind) is Literal:
            yield _literal(kind)
        elif kind is dict or get_origin(kind) is dict:
            yield "Mapping[str, str | int | float | bool]"
        elif kind is tuple or get_origin(kind) is tuple:
            yield "Sequence[str]"
        elif kind is Path:
            yield "Path | str"
        else:
            yield kind.__name__
    if is_time(option.hint):
        yield "str"


def _kinds(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from _kinds(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for alternative in get_args(hint):
            yield from _kinds(alternative)
    elif hint is not NoneType:
        yield hint


def _literal(kind: Any) -> str:
    words = ", ".join(f'"{word}"' for word in get_args(kind))
    return f"Literal[{words}]"
