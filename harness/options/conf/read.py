"""LoadGen's `mlperf.conf`, `user.conf` and `audit.config`, read as settings of ours.

They are read in this order, each over the one before, whatever their order on the command line;
the name says which a file is (`mlperf*`, `audit*`, any other is a user.conf). Within a file the
most specific line wins: model and scenario, any model, any scenario, any; among equals the last.
The audit.config is read as model `*`. Without an mlperf.conf the run's profile stands for it.

What LoadGen would read otherwise than it looks, and keys that it does not know, are errors with
their line. Lines that apply to nothing are kept, each with its reason (`ConfFile.idle`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

import scenarios
from harness.kernel.errors import BadInput
from harness.options import profiles
from harness.options.conf.keys import KEYS, SCENARIOS, never_read, read_value
from harness.options.conf.lines import Line, Problem, plain_number, read_lines, refuse
from harness.options.conf.settings import Base, Found, Setting, settings_of, tokens_on
from harness.options.profiles import LOADGEN_MODELS, SEEDS, Profile
from harness.options.table.load import ROUND

Kind = Literal["mlperf", "user", "audit"]
Reason = Literal[
    "other_model", "unknown_model", "other_scenario", "overridden", "later_file", "not_read"
]
_ORDER: tuple[Kind, ...] = ("mlperf", "user", "audit")
_ANY = "*"


@dataclass(frozen=True, slots=True)
class IdleLine:
    """A line that applies to nothing in this run, and why. `other` is what the reason names: the
    model that may be meant, the line that wins, the file that comes later.
    """

    number: int
    text: str
    reason: Reason
    detail: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class ConfFile:
    """A file that was read, whose lines were looked for, and what became of them."""

    name: str
    kind: Kind
    model: str
    scenario: str
    lines: int
    applied: int
    idle: tuple[IdleLine, ...] = ()


class Conf(NamedTuple):
    """Settings of ours (as in `RunConfig`) with the line that made each, and the files."""

    settings: dict[str, Setting]
    files: tuple[ConfFile, ...]


def kind_of(path: Path) -> Kind:
    """Tell by its name which of LoadGen's three files it is."""
    name = path.name.lower()
    if name.startswith("mlperf"):
        return "mlperf"
    return "audit" if name.startswith("audit") else "user"


def read_confs(paths: Sequence[Path], model: str, scenario: str, base: Base) -> Conf:
    """Read the files for one model (LoadGen's name of it) and scenario (ours), over `base`.

    Raises BadInput with every problem of the first file that has any.
    """
    found: dict[str, Found] = {}
    layers: list[_Layer] = []
    for path in sorted(paths, key=lambda path: _ORDER.index(kind_of(path))):
        layer = _Layer(path, model, scenario)
        for earlier in layers:
            earlier.yield_to(layer)
        layer.apply(found, base)
        refuse(path, sorted(layer.problems, key=lambda problem: problem.number))
        layers.append(layer)
    return Conf(settings_of(found, scenario, base), tuple(layer.told() for layer in layers))


def read_named(values: dict[str, Any], given: Mapping[str, Any]) -> Conf:
    """Read the files that the raw `values` of a run name, and take `user_conf` and `conf_model` out
    of them. What was `given` as a flag stands.
    """
    files, model = values.pop("user_conf", None) or [], values.pop("conf_model", None)
    paths = [Path(path) for path in ([files] if isinstance(files, str | Path) else files)]
    if not paths or values.get("scenario") not in scenarios.names():
        return Conf({}, ())
    if values["scenario"] not in SCENARIOS.values():
        found = f"LoadGen has no scenario {values['scenario']}"
        raise BadInput("--user-conf", found, "its files are for its own scenarios", "Leave it out.")
    profile = profiles.TABLE.get(str(values.get("profile", "quick")), profiles.TABLE["quick"])
    chosen = profiles.TABLE.get(str(model), profile)
    named = model not in (None, *profiles.TABLE)
    name = str(model) if named else chosen.loadgen_model or _ANY
    conf = read_confs(paths, name, values["scenario"], _base(values, profile))
    kept = {k: setting for k, setting in conf.settings.items() if k not in given}
    if "target_latency" in given:  # it asks for the whole latency to be judged
        kept.pop("use_token_latencies", None)
    return Conf(kept, conf.files)


def _base(values: Mapping[str, Any], profile: Profile) -> Base:
    """What the files are read over: the profile, and a TOML file's word where it has one."""
    issue, seeds = values.get("issue"), str(values.get("seeds", ROUND))
    tokens = profile.use_tokens if profile.loadgen_model else None
    return Base(
        origin=f"profile {values.get('profile', 'quick')}",
        equal_issue="equal" in str(issue) if issue else profile.equal_issue,
        tokens=values.get("use_token_latencies", tokens),
        inferred=values.get("infer_tokens", profile.inferred_tokens_per_sample),
        seeds=SEEDS.get(seeds, SEEDS[ROUND]),
    )


@dataclass(slots=True)
class _Layer:
    """One file while it is read."""

    path: Path
    model: str
    scenario: str
    kind: Kind = "user"
    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    idle: dict[int, IdleLine] = field(default_factory=dict)  # by line number
    winners: dict[str, Line] = field(default_factory=dict)  # by key

    def __post_init__(self) -> None:
        self.kind = kind_of(self.path)
        if self.kind == "audit":
            self.model = _ANY
        self.lines, self.problems = read_lines(self.path)
        for line in self.lines:
            self._sort_out(line)
        self._look_up()

    def _rest(self, line: Line, reason: Reason, detail: str = "", other: str = "") -> None:
        self.idle[line.number] = IdleLine(line.number, line.text, reason, detail, other)

    # ---- which lines may apply

    def _sort_out(self, line: Line) -> None:
        """Complain of what LoadGen does not know, and put aside what it does not read here."""
        if line.scenario not in SCENARIOS and line.scenario != _ANY:
            self._unknown(line, "scenario", line.scenario, [*SCENARIOS])
        elif line.key == "test05" and self.kind == "mlperf" and plain_number(line.value):
            found, loadgen = f"test05 = {line.value}", "LoadGen would take the seeds of TEST05"
            self.problems.append(Problem(line.number, found, loadgen, "Delete it; use --seeds."))
        elif why := never_read(line.key):
            self._rest(line, "not_read", why)
        elif line.key not in KEYS:
            self._unknown(line, "key", line.key, [*KEYS])
        elif line.model not in (self.model, _ANY):
            self._of_another_model(line)
        elif KEYS[line.key].own_conf and self.kind != "mlperf":
            self._rest(line, "not_read", KEYS[line.key].why_not)
        elif line.scenario not in (_ANY, self._under(line.key)):
            self._rest(line, "other_scenario", other=line.scenario)
        elif self.scenario not in KEYS[line.key].runs:
            self._rest(line, "not_read", KEYS[line.key].why_not)

    def _unknown(self, line: Line, what: str, name: str, known: list[str]) -> None:
        """An error; in an mlperf.conf, which may be of another round, a line that is not read."""
        if self.kind == "mlperf":
            self._rest(line, "not_read", f"LoadGen 6.0.17 knows no such {what}")
            return
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        guess = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        if name == "Interactive":
            guess = "Its lines are model-interactive.Server.key."
        skipped = "LoadGen skips the line without a word"
        self.problems.append(Problem(line.number, f"{what} {name!r} is not known", skipped, guess))

    def _of_another_model(self, line: Line) -> None:
        known, name = [*LOADGEN_MODELS, self.model], line.model
        if self.kind == "audit":
            self._rest(line, "other_model", "LoadGen reads audit.config as model *", name)
        elif name in LOADGEN_MODELS:
            self._rest(line, "other_model", other=name)
        elif self.kind == "user" and _letters(name) == _letters(self.model):
            found = f"model {name!r}; LoadGen's name of it is {self.model!r}"
            skipped = "LoadGen skips the line without a word"
            write = f"Write {self.model}.{line.scenario}.{line.key} = {line.value}."
            self.problems.append(Problem(line.number, found, skipped, write))
        else:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            self._rest(line, "unknown_model", other=near[0] if near else "")

    def _under(self, key: str) -> str:
        """The scenario that LoadGen looks a key up under."""
        return KEYS[key].under or loadgens(self.scenario)

    # ---- which of them wins

    def _look_up(self) -> None:
        broken = {problem.number for problem in self.problems}
        ready = [line for line in self.lines if line.number not in (*self.idle, *broken)]
        for line in sorted(ready, key=self._rank):
            if line.key in self.winners:
                loser = self.winners[line.key]
                self._rest(loser, "overridden", other=f"line {line.number}")
            self.winners[line.key] = line

    def _rank(self, line: Line) -> tuple[int, int]:
        """LoadGen tries model.scenario, *.scenario, model.* and *.* in this order."""
        specific = 2 * (line.scenario != _ANY) + (line.model != _ANY)
        return specific, line.number

    def yield_to(self, later: _Layer) -> None:
        """Put aside what a later file sets as well."""
        for key in self.winners.keys() & later.winners.keys():
            self._rest(self.winners.pop(key), "later_file", other=later.path.name)

    # ---- what they say

    def apply(self, found: dict[str, Found], base: Base) -> None:
        """Read the values, in LoadGen's order: the switches before what depends on them."""
        for key in KEYS:
            line = self.winners.get(key)
            if line is None:
                continue
            if why := self._waits_for(key, found, base):
                self._rest(self.winners.pop(key), "not_read", why)
                continue
            value = read_value(line, self.scenario)
            if isinstance(value, Problem):
                self.problems.append(value)
            else:
                found[key] = Found(value, f"{self.path.name}, line {line.number}")
        self._check_together(found, base)

    def _waits_for(self, key: str, found: dict[str, Found], base: Base) -> str:
        if key in ("ttft_latency", "tpot_latency") and tokens_on(found, base) is False:
            return "LoadGen reads it only after use_token_latencies = 1"
        if key == "token_latency_scaling_factor":
            on = found.get("infer_token_latencies")
            if not (base.inferred if on is None else on.value):
                return "LoadGen reads it only after infer_token_latencies = 1"
        return ""

    def _check_together(self, found: dict[str, Found], base: Base) -> None:
        """Complain of what is allowed by itself and means something else together."""
        on = {key for key, setting in found.items() if setting.value}
        both = ("performance_issue_unique", "performance_issue_same")
        if on >= set(both):
            self._together(
                both, f"{' and '.join(both)} are both on", "LoadGen logs an error", "Turn one off."
            )
        infer, factor = "infer_token_latencies", "token_latency_scaling_factor"
        if infer in on and not (base.inferred or factor in on):
            self._together(
                (infer,),
                f"{infer} is on without a {factor}",
                "LoadGen takes whatever number is in memory",
                "Write both.",
            )
        tokens = sorted(on & {"ttft_latency", "tpot_latency"})
        whole = scenarios.entry(self.scenario).has_limits and "target_latency" in on
        if whole and tokens and tokens_on(found, base) is None:
            self._together(
                ("target_latency", *tokens),
                f"target_latency and {tokens[0]} are both set",
                "LoadGen judges the whole latency unless tokens are on",
                "Write use_token_latencies = 1 too, or one limit alone.",
            )

    def _together(self, keys: Sequence[str], found: str, loadgen: str, write: str) -> None:
        """Add a problem of several lines, at the last of them that this file has."""
        numbers = [self.winners[key].number for key in keys if key in self.winners]
        if numbers:
            self.problems.append(Problem(max(numbers), found, loadgen, write))

    def told(self) -> ConfFile:
        idle = tuple(self.idle[number] for number in sorted(self.idle))
        return ConfFile(
            name=self.path.name,
            kind=self.kind,
            model=self.model,
            scenario=loadgens(self.scenario),
            lines=len(self.lines),
            applied=len(self.lines) - len(idle),
            idle=idle,
        )


def loadgens(scenario: str) -> str:
    """LoadGen's name of a scenario of ours."""
    return next(theirs for theirs, ours in SCENARIOS.items() if ours == scenario)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
