"""What is swept, and how often? Flags and a TOML plan in, lists out.

    [fixed]                           settings of every run, as in a file for --config
    scenario = "server"

    [sweep]                           every combination of these lists
    target_qps = "1,2,4..64"
    variant = ["fp32", "int8"]

    [zip]                             lists of one length, which go together
    max_concurrency = [8, 32]
    replicas = [1, 2]

    [study]
    repeats = 3
    order_seed = 7

A text is read as on the command line; an array may hold anything that the setting takes, so that
switches, seeds, paths and options of the SUT can be swept too. A flag takes the place of whatever
the plan says of the same setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput, unknown
from harness.kernel.foreign.toml_file import read_toml
from harness.options.kinds import is_number
from harness.options.option import flag_of
from harness.options.run_options import OPTIONS
from harness.options.settings import by_setting
from harness.study.cells import Values, combinations, lists_of
from harness.study.ranges import values_of

SECTIONS = ("fixed", "sweep", "zip", "study")
MOST_RUNS = 10_000
ORDER_SEED = 1
_WHOLE = {"repeats": 1, "order_seed": 0}  # the least of each
Lists = dict[str, list[Any]]


class Plan(NamedTuple):
    """The settings of every run, lists whose combinations are run, lists that go together, and how
    often all of it is repeated.
    """

    fixed: Values
    product: Lists
    together: Lists
    repeats: int = 1
    order_seed: int = ORDER_SEED

    @property
    def chosen(self) -> list[Values]:
        """The values of each combination; what goes together turns fastest."""
        rows = list(zip(*self.together.values(), strict=True)) if self.together else [()]
        moving = [dict(zip(self.together, row, strict=True)) for row in rows]
        return [one | other for one in combinations(self.product) for other in moving]

    @property
    def runs(self) -> int:
        """How many runs it makes."""
        count = len(next(iter(self.together.values()), [None])) * self.repeats
        for values in self.product.values():
            count *= len(values)
        return count


def plan_of(
    flags: Mapping[str, Any],
    file: Path | None = None,
    zipped: bool = False,
    repeats: int | None = None,
    order_seed: int | None = None,
) -> Plan:
    """Put flags over a plan; with `zipped` the lists among them go together. Raises BadInput."""
    plan = _read(file) if file else Plan({}, {}, {})
    given = {name: value for name, value in flags.items() if value is not None}
    lists = lists_of(given)
    fixed = {name: value for name, value in given.items() if name not in lists}
    plan = plan._replace(
        fixed=_without(plan.fixed, given) | fixed,
        product=_without(plan.product, given) | ({} if zipped else lists),
        together=_without(plan.together, given) | (lists if zipped else {}),
        repeats=plan.repeats if repeats is None else _whole("--repeats", "repeats", repeats),
        order_seed=(
            plan.order_seed
            if order_seed is None
            else _whole("--order-seed", "order_seed", order_seed)
        ),
    )
    _check(plan)
    return plan


def _without(values: dict[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _check(plan: Plan) -> None:
    if not plan.product and not plan.together and plan.repeats == 1:
        fine = "expected a setting with several values, a plan, or --repeats"
        raise BadInput("sweep", "nothing to sweep is named", fine, "Try --target-qps 1,2,4..64.")
    lengths = {name: len(values) for name, values in plan.together.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{flag_of(name)} has {count}" for name, count in lengths.items())
        fine = "lists that go together need as many values each"
        raise BadInput("sweep", found, fine, "Make them equally long, or leave --zip out.")
    if plan.runs > MOST_RUNS:
        found, fine = f"the lists make {plan.runs:,} runs", f"at most {MOST_RUNS:,} would be fine"
        raise BadInput("sweep", found, fine, "Shorten a list, or sweep in parts.")


# ---- the file


def _read(file: Path) -> Plan:
    doing = f"--plan {file}"
    written = read_toml(file, "--plan")
    for section, value in written.items():
        if section not in SECTIONS:
            raise unknown(f"{doing}: section", section, SECTIONS)
        if not isinstance(value, dict):
            raise BadInput(doing, f"{section} is no section", f"expected [{section}]", "Write it.")
    settings = {name: _settings(written, name, doing) for name in ("fixed", "sweep", "zip")}
    _refuse_twice(settings, doing)
    study = _of_study(written.get("study", {}), doing)
    product, together = (
        {name: _list(name, value, doing) for name, value in settings[section].items()}
        for section in ("sweep", "zip")
    )
    return Plan(settings["fixed"], product, together, **study)


def _settings(written: Mapping[str, Any], section: str, doing: str) -> dict[str, Any]:
    values = by_setting(written.get(section, {}), f"{doing}: [{section}]")
    for name in values:
        if name not in OPTIONS:
            raise unknown(f"{doing}: [{section}]: setting", name, OPTIONS)
    return values


def _refuse_twice(settings: Mapping[str, Mapping[str, Any]], doing: str) -> None:
    seen: dict[str, str] = {}
    for section, values in settings.items():
        for name in values:
            if name in seen:
                found = f"{name} stands in [{seen[name]}] and in [{section}]"
                raise BadInput(doing, found, "expected it once", "Delete one of the two.")
            seen[name] = section


def _of_study(written: Mapping[str, Any], doing: str) -> dict[str, int]:
    found = {}
    for key, value in written.items():
        name = key.replace("-", "_")
        if name not in _WHOLE:
            raise unknown(f"{doing}: [study]: key", key, _WHOLE)
        found[name] = _whole(f"{doing}: [study] {key}", name, value)
    return found


def _whole(doing: str, name: str, value: Any) -> int:
    least = _WHOLE[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(doing, f"it is {value!r}", f"expected a whole number of at least {least}")
    return value


def _list(name: str, value: Any, doing: str) -> list[Any]:
    """Return the values of a list: of a text as on the command line, of an array one by one."""
    parts: Sequence[Any] = value if isinstance(value, list) else [value]
    values: list[Any] = []
    for part in parts:
        is_text = isinstance(part, str) and OPTIONS[name].may_be_list
        values += values_of(name, part, is_number(OPTIONS[name].hint)) if is_text else [part]
    if not values:
        fine = "expected at least one value"
        raise BadInput(doing, f"the list of {name} is empty", fine, "Add one, or delete the line.")
    return values
