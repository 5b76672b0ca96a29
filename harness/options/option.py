"""What is there to know of one setting of a run? Its Option says it all, once.

The command line, TOML files, LoadGen's configuration files, the table of what holds and who said
so, the closed division and the checks read it. `harness.options.run_options` has one per setting.
Nothing here imports pydantic: `--help` reads the same table, and must not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec

from harness.options.kinds import is_choice, is_number

if TYPE_CHECKING:
    from harness.kernel.entries import SutEntry
    from harness.kernel.types import RunSettings
    from harness.options.profiles import Profile

Args = ParamSpec("Args")
LOAD, JUDGE, MODEL, OUT = "Load", "Limits and rules", "Model and data", "Output"  # panels of --help
SERVER = "Server"
REQUIRED = ...  # the default of a setting that has none
_PER_UNIT = {"s": 1e9, "ms": 1e6}  # nanoseconds
_SCALES = {"ms": 1e3, "%": 100}  # of a profile's seconds and shares


def _as_it_is(value: float) -> Any:
    return value


class Loadgen(NamedTuple):
    """The key of LoadGen's configuration files that sets the same, and what its value is here."""

    key: str
    convert: Callable[[float], Any] = _as_it_is


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a run. `name` and `hint` are those of the field that it is declared as.

    `unit` is that of the value as it is shown; users write times in seconds, or with a unit.
    """

    panel: str
    default: Any
    help: str
    name: str = ""
    hint: Any = None
    first_flag: str = ""  # where the flag is not called like the field
    also: str = ""  # a second name of the flag, and of the key in TOML files
    metavar: str | None = None
    commands: str = "run plan compare"  # those that take it
    needs: Literal["", "model", "dataset", "server"] = ""  # of no account where the SUT has none
    check: Callable[..., object] | None = None  # raises BadInput, before anything is loaded
    by_sut: bool = False  # what is known depends on the SUT, whose name `check` is given first
    is_name: bool = False  # text without commas, such as a variant
    unit: str = ""
    is_asked: bool = False  # what holds is what was asked, whatever RunSettings has of that name
    held: Callable[[RunSettings], Any] | None = None  # what holds, where RunSettings calls it else
    by_profile: str = ""  # what a Profile calls its default: a field, or a method of the scenario
    of_library: bool = False  # the default, where no profile says, is the library's size
    closed: Literal["", "at least", "at most", "same"] = ""  # as `by_profile`, or not closed
    judged: Literal["", "tokens", "latency"] = ""  # a limit of what, which a run may not judge
    loadgen: Loadgen | None = None
    is_place: bool = False  # says where results go, not what is run
    is_audits: bool = False  # an audit's own runs have their own
    is_system: bool = False  # says which system is measured, not how it is used
    is_load: bool = False  # says how heavy the load is: the x of a sweep's curves

    @property
    def flag(self) -> str:
        """Its first name on the command line."""
        return self.first_flag or flag_of(self.name)

    @property
    def flags(self) -> list[str]:
        """All its names on the command line."""
        return [self.flag, self.also] if self.also else [self.flag]

    @property
    def may_be_list(self) -> bool:
        """Does `compare` take several values of it? Of a number, a choice or a name."""
        is_plain = self.is_name or is_number(self.hint) or is_choice(self.hint)
        return is_plain and "compare" in self.commands.split()

    def value(self, config: Any, settings: RunSettings) -> Any:
        """Return what holds in a run, in `unit`; None where there is nothing to tell."""
        if self.held is not None:
            return self.held(settings)
        if self.is_asked or not self.is_settled:
            asked = getattr(config, self.name)
            in_ms = self.unit == "ms" and asked is not None
            return 1e3 * asked if in_ms else asked
        nanoseconds = getattr(settings, f"{self.name}_ns", None)
        if self.unit in _PER_UNIT:
            return None if nanoseconds is None else nanoseconds / _PER_UNIT[self.unit]
        return getattr(settings, self.name)

    def check_name(self, text: str, sut: str) -> None:
        """Raise BadInput for a name that is not known, or not for this SUT."""
        if self.check is None:
            return
        before = (sut,) if self.by_sut else ()
        self.check(*before, text)

    def counts_for(self, entry: SutEntry | None) -> bool:
        """Does a SUT make use of it? Of an unknown one nobody can say."""
        if not self.needs:
            return True
        if entry is None:
            return False
        if self.needs == "server":
            return entry.asks_server
        return entry.runs_model or (self.needs == "dataset" and entry.uses_dataset)

    @property
    def is_settled(self) -> bool:
        """Does RunSettings hold it, so that a default is shown too?"""
        from harness.kernel.types import RunSettings

        fields = RunSettings.__dataclass_fields__
        return self.held is not None or self.name in fields or f"{self.name}_ns" in fields

    def of_profile(self, profile: Profile, scenario: str) -> Any:
        """Return the profile's default, in `unit`."""
        found = getattr(profile, self.by_profile)
        value = found(scenario) if callable(found) else found
        scale = _SCALES.get(self.unit)
        return scale * value if scale else value


def flag_of(name: str) -> str:
    """Return the flag of a name: --min-queries of min_queries."""
    return f"--{name.replace('_', '-')}"


def name_of(flag: str) -> str:
    """Return the name of a flag: min_queries of --min-queries."""
    return flag.removeprefix("--").replace("-", "_")


def _as_value(made: Callable[Args, Option]) -> Callable[Args, Any]:
    return made


option = _as_value(Option)  # an Option as the value of a field, whose type is the setting's


def declare(table: type) -> dict[str, Option]:
    """Return the options of a class and its bases by name, the last base's first, and leave their
    fields with their plain defaults.
    """
    found = {}
    for owner in reversed(table.__mro__):
        for name, hint in vars(owner).get("__annotations__", {}).items():
            made: Option = vars(owner)[name]
            found[name] = replace(made, name=name, hint=hint)
            if made.default is REQUIRED:
                delattr(owner, name)
            else:
                setattr(owner, name, made.default)
    return found
