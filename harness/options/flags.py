"""Which flags does each command take? One per setting of a run (`run_options` has its type and its
help), and those that name files of settings.

Flags use the field's words and mean the same in every command. A flag that was not given is None:
the profile decides.
"""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import wraps
from pathlib import Path
from shutil import get_terminal_size
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from harness.kernel.texts import on_one_line
from harness.options.kinds import is_time, on_command_line
from harness.options.option import OUT, Option
from harness.options.run_options import OPTIONS

_BOXES_NEED = 80  # columns
_LONGEST = 500  # characters of a complaint about a flag
_METAVARS = {str: "TEXT", int: "INTEGER", float: "FLOAT"}


def a_path(text: str | Path) -> Path:
    """Refuse an empty path (a shell makes one of a variable that is not set), one with a zero byte
    and one that no file system takes.
    """
    if not text:
        raise typer.BadParameter("it is empty; expected a path. Is a shell variable unset?")
    text = str(text)  # a default is a path already
    if "\0" in text:
        raise typer.BadParameter("it has a zero byte; expected a path.")
    try:
        os.lstat(text)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise typer.BadParameter("it is too long for a path.") from None
    return Path(text)


def _flag(kind: Any, help: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    parser = a_path if kind in (Path, list[Path]) else None
    option = typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, parser=parser)
    return Annotated[kind | None, option]


def _sources() -> dict[str, Any]:
    """Return the flags that name files of settings."""
    return {
        "config": _flag(
            Path, "TOML file of settings; flags take precedence.", OUT, metavar="FILE.toml"
        ),
        "user_conf": _flag(
            list[Path],
            "LoadGen configuration file: user.conf, audit.config or mlperf.conf, told apart by "
            "their names; may be given several times.",
            OUT,
            "--user-conf",
            metavar="FILE",
        ),
        "conf_model": _flag(
            str, "LoadGen's name of the model whose lines apply. Default: the profile's.", OUT
        ),
    }


def _of_option(option: Option) -> Any:
    """Return the flag that sets an option; of a bool that may be None, one for each answer."""
    kind, names = on_command_line(option.hint), option.flags
    metavar = "TIME" if is_time(option.hint) else option.metavar
    if kind is bool and option.default is None:
        names = [f"{option.flag}/--no-{option.flag.removeprefix('--')}"]
    return _flag(kind, option.help, option.panel, *names, metavar=metavar)


def _taken_by(command: str, *sources: str) -> tuple[str, ...]:
    names = [name for name, option in OPTIONS.items() if command in option.commands.split()]
    return (*names, *sources)


FLAGS: dict[str, Any] = {
    **{name: _of_option(option) for name, option in OPTIONS.items()},
    **_sources(),
}
RUN = _taken_by("run", "config", "user_conf", "conf_model")
PLAN = _taken_by("plan", "config", "user_conf", "conf_model")
LISTS = tuple(name for name, option in OPTIONS.items() if option.may_be_list)  # in `compare`
COMPARE = _taken_by("compare", "config", "user_conf", "conf_model")
SWEEP = COMPARE
GATE = _taken_by("gate", "config")
PERPLEXITY = _taken_by("perplexity")
REPORT = _taken_by("report")
WHATIF = _taken_by("whatif")
SERVE = _taken_by("serve")


class Command(TyperCommand):
    """A command whose help is never cut off, whatever the width of the terminal.

    Each option is shown by its first name (its text gives the others), and without boxes where
    there is no room for them.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if get_terminal_size().columns < _BOXES_NEED:
            self.rich_markup_mode = None
        for param in self.params:
            others = [name for name in param.opts if name.startswith("--")][1:]
            param.opts = [name for name in param.opts if name not in others]
            told = str(getattr(param, "help", ""))
            param.secondary_opts = [name for name in param.secondary_opts if name not in told]
        super().format_help(ctx, formatter)


class Program(TyperGroup):
    """The whole program. What it says of wrong flags may hold anything that was typed or pasted."""

    def make_context(self, *args: Any, **how: Any) -> Any:
        with _complaints_shown():
            return super().make_context(*args, **how)

    def invoke(self, ctx: Any) -> Any:
        with _complaints_shown():
            return super().invoke(ctx)


@contextmanager
def _complaints_shown() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # typer has a click of its own, whose errors have no public name
        if isinstance(message := getattr(error, "message", None), str):
            error.message = on_one_line(message, _LONGEST)  # type: ignore[attr-defined]
        raise


def _as_list(name: str) -> Any:
    """Return the flag as one that takes several values, with commas, as text."""
    kind, option = get_args(FLAGS[name])
    one = next(part for part in get_args(kind) if part is not NoneType)
    several = copy(option)
    several.metavar = f"{option.metavar or _METAVARS[one]},..."
    return Annotated[str | None, several]


def takes(
    names: tuple[str, ...], lists: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the named flags to the command's own; they reach it as its argument `flags`. Those in
    `lists` may have several values.
    """
    annotations = {name: _as_list(name) if name in lists else FLAGS[name] for name in names}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            p.replace(annotation=hints[p.name])
            for p in inspect.signature(function).parameters.values()
        ]
        added = [
            inspect.Parameter(
                n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotations[n]
            )
            for n in names
        ]
        parameters = sorted((p for p in (*own, *added) if p.name != "flags"), key=lambda p: p.kind)

        @wraps(function)
        def command(*args: Any, **given: Any) -> None:
            function(*args, flags={name: given.pop(name) for name in names}, **given)

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate
