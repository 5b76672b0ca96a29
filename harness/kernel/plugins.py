"""What do installed packages add? Entry points in the groups below, found by name and imported on
use.

    touchstone.suts        a SutEntry, or a factory whose attributes say what an entry would
    touchstone.scenarios   a ScenarioEntry
    touchstone.metrics     a function, see `protocols.MetricFn`
    touchstone.rules       a function, see `protocols.Rule`
    touchstone.datasets    an accuracy.datasets.Embedded, whose file is an absolute path

A name that Touchstone has itself, or that two packages give, is refused when it is asked for: which
of them is meant is not for us to guess.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.kernel.entries import Factory
from harness.kernel.errors import BadInput, HarnessError, SetupFailed, first_line, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind = Literal["sut", "scenario", "metric", "rule", "dataset"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Offer(NamedTuple):
    """A name that an installed package adds, and where its object is."""

    name: str
    package: str
    target: str


def offers(kind: Kind) -> tuple[Offer, ...]:
    """Return what installed packages add, without importing any of it."""
    return _offers(f"touchstone.{kind}s", tuple(sys.path))


@lru_cache(maxsize=32)
def _offers(group: str, path: tuple[str, ...]) -> tuple[Offer, ...]:
    """Look for what packages offer. `path` is where they are looked for: another path, another
    answer.
    """
    from importlib.metadata import entry_points  # 25 ms that --help does not need

    points = entry_points(group=group)
    made = {Offer(point.name, _package(point), f"{point.module}:{point.attr}") for point in points}
    return tuple(sorted(made))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


def find(kind: Kind, name: str, table: Mapping[str, Any], todo: str = "") -> Any:
    """Return what `name` stands for: a row of `table`, or the object of a plug-in.

    Raises BadInput for an unknown name and for one that is given twice, SetupFailed for a plug-in
    that cannot be imported.
    """
    given = [offer for offer in offers(kind) if offer.name == name]
    if name in table and not given:
        return table[name]
    if name not in table and not given:
        raise unknown(kind, name, [*table, *(offer.name for offer in offers(kind))], todo)
    _refuse_twice(kind, name, given, name in table)
    return load(kind, given[0])


def load(kind: Kind, offer: Offer) -> Any:
    """Import the object of a plug-in. Raises SetupFailed, BadInput for a name that cannot be."""
    doing = f"{kind} {offer.name!r} of the package {offer.package}"
    if not _NAME.fullmatch(offer.name):
        raise BadInput(doing, "its name is not one word", "letters, digits and . _ - are fine")
    return imported(offer.target, doing)


def names(kind: Kind, table: Mapping[str, Any]) -> list[str]:
    """Return all names, ours first."""
    return list(dict.fromkeys([*table, *(offer.name for offer in offers(kind))]))


def resolve(factory: Factory) -> Any:
    """Turn "module:name" into the object; an object is itself."""
    if not isinstance(factory, str):
        return factory
    module, name = factory.split(":")
    return attrgetter(name)(_module(module))


def made_by(factory: Factory, doing: str) -> Any:
    """Return the factory itself, whoever wrote it. Raises as `imported`."""
    return imported(factory, doing) if isinstance(factory, str) else factory


def imported(target: str, doing: str) -> Any:
    """Import "module:name" of somebody else, whose code may do anything. Raises SetupFailed if it
    cannot be imported, BadInput if there is no such name in it.
    """
    path, _, name = target.partition(":")
    try:
        module = _module(path)
    except (Exception, SystemExit) as fault:
        why = f"importing {path} failed: {type(fault).__name__}: {first_line(fault)}"
        raise SetupFailed(doing, why, "", "Install what it needs, or correct it.") from None
    try:
        return attrgetter(name)(module)
    except AttributeError:
        raise unknown(f"{doing}, name in {path}", name, _public(module)) from None


def _module(path: str) -> Any:
    """Import a module. The folder that the program was started in is looked at last: it may be
    somebody else's, and no name in it may stand for a library (see `harness.__main__`).
    """
    try:
        return import_module(path)
    except ModuleNotFoundError as missing:
        here = os.getcwd()
        if missing.name != path.partition(".")[0] or here in sys.path:
            raise
        sys.path.append(here)
        return import_module(path)


def _public(module: Any) -> list[str]:
    """List the names that a module defines itself."""
    own = (name for name, value in vars(module).items() if _is_from(value, module))
    return [name for name in own if not name.startswith("_")]


def _is_from(value: Any, module: Any) -> bool:
    return bool(getattr(value, "__module__", None) == module.__name__)


def _refuse_twice(kind: Kind, name: str, given: list[Offer], is_ours: bool) -> None:
    owners = ["Touchstone itself"] * is_ours + [offer.package for offer in given]
    if len(owners) > 1:
        raise BadInput(
            f"{kind} {name!r}",
            f"it is offered by {' and by '.join(owners)}",
            "each name may be offered once",
            f"Uninstall {owners[-1]}, or let it take another name.",
        )


_METHODS = ("load", "issue", "flush", "close", "memory", "facts", "decode")  # of protocols.SUT


def make_sut(factory: Any, clock: Any, options: Mapping[str, Any]) -> Any:
    """Call the factory of a SUT. Raises SetupFailed where code that is not ours breaks, or makes
    something else than a SUT.
    """
    doing = f"making the SUT {factory}"
    fine = "its factory takes the clock and its options, and returns a harness.kernel.protocols.SUT"
    todo = "See docs/extend.md for a whole example."
    try:
        made = resolve(factory)(clock, **options)
    except HarnessError:
        raise
    except Exception as fault:
        why = f"{type(fault).__name__}: {first_line(fault)}"
        raise SetupFailed(doing, why, fine, todo) from fault
    missing = [name for name in _METHODS if not callable(getattr(made, name, None))]
    if missing:
        found = f"the {type(made).__name__} it makes has no method {', '.join(missing)}"
        raise SetupFailed(doing, found, fine, todo)
    return made
