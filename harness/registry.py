"""Names to things, resolved on use: naming a scenario imports no model library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from inspect import Parameter, getdoc, signature
from typing import Any

import accuracy
import scenarios
import sut
from harness.kernel import plugins
from harness.kernel.errors import BadInput, HarnessError, unknown
from harness.kernel.log import RunLog
from harness.kernel.plugins import resolve
from harness.kernel.protocols import MetricFn, Rule, Scenario
from harness.kernel.types import SutFacts, Verdict
from harness.options import profiles


def scenario(name: str, rows: Any = None) -> Scenario:
    """Make the scenario of that name; `rows` is what stands in the file of its load, where it has
    one. Raises BadInput, SetupFailed.
    """
    factory = plugins.made_by(scenarios.entry(name).factory, f"scenario {name}")
    made: Scenario = factory() if rows is None else factory(rows)
    return made


def sut_entry(name: str) -> sut.Entry:
    """Return the entry of a SUT. Raises BadInput, SetupFailed."""
    return sut.entry(name)


def may_say_when(name: str) -> bool:
    """May this SUT say when a sample was sent and heard? Ours alone, those with workers."""
    return name in sut.TABLE and sut.TABLE[name].asks_server


def recorded_entry(name: str, record: Any) -> sut.Entry:
    """Return the entry of the SUT of a run that is read, without its code. Raises BadInput,
    ValueError.
    """
    return sut.recorded(name, record)


def record_of(name: str) -> dict[str, Any] | None:
    """Return what a run writes of its SUT; None for one of ours."""
    return sut.record(name)


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check what `--sut-option` gives. A SUT's options are its factory's keyword parameters; each
    must be of its default's type. Raises BadInput.
    """
    factory = plugins.made_by(sut_entry(name).factory, f"--sut {name}")
    try:
        parameters = list(signature(factory).parameters.values())
    except (TypeError, ValueError):
        return  # written in C: its call will tell
    if not parameters:
        raise BadInput(f"--sut {name}", "its factory takes no argument", "the first is the clock")
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = {parameter.name: parameter.default for parameter in parameters[1:]}
    for key, value in options.items():
        if key not in known:
            raise unknown(f"option of --sut {name}", key, known)
        _check_option(f"option {key} of --sut {name}", value, known[key])
    needed = [key for key, default in known.items() if default is Parameter.empty]
    if missing := [key for key in needed if key not in options]:
        todo = f"Pass --sut-option {missing[0]}=VALUE."
        raise BadInput(f"--sut {name}", f"it needs the option {missing[0]}", "", todo)


def _check_option(doing: str, value: Any, default: Any) -> None:
    kind = type(default)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits and default is not None and default is not Parameter.empty:
        raise BadInput(doing, f"it is {value!r}", f"it must be a {kind.__name__}")
    if isinstance(value, int | float) and not 0 <= value < 1e12:
        raise BadInput(doing, f"it is {value!r}", "it must be at least 0 and finite")


def rule_names(is_served: bool = False) -> list[str]:
    """Return the names of the output rules, those of servers and of plug-ins last."""
    of_servers = accuracy.RULES_OF_SERVERS if is_served else {}
    return plugins.names("rule", accuracy.RULES | of_servers)


def rule(name: str) -> Rule:
    """Return the output rule of that name. Raises BadInput, SetupFailed."""
    known = accuracy.RULES | accuracy.RULES_OF_SERVERS
    found: Rule = resolve(plugins.find("rule", name, known))
    return found


def judged_by(name: str, log: RunLog, facts: SutFacts) -> list[Verdict]:
    """Judge a run by one output rule."""
    return [rule(name)(log, facts)]


def metrics() -> list[str]:
    """Return the names of the metrics, those of plug-ins last."""
    return plugins.names("metric", accuracy.METRICS)


def metric(name: str) -> MetricFn:
    """Return the metric of that name. Raises ImportError where its library is missing."""
    found: MetricFn = resolve(plugins.find("metric", name, accuracy.METRICS))
    return found


def check_plugins() -> None:
    """Import the rules and the metrics of plug-ins, which every run uses. Raises BadInput,
    SetupFailed.
    """
    for offer in plugins.offers("rule"):
        rule(offer.name)
    for offer in plugins.offers("metric"):
        metric(offer.name)


def _variants() -> Iterable[tuple[str, str]]:
    from sut.precision.table import TABLE

    return [(name, entry.summary) for name, entry in TABLE.items()]


def _models() -> Iterable[tuple[str, str]]:
    from sut.model.find import TABLE

    rows = [(name, entry.summary) for name, entry in TABLE.items()]
    return [
        *rows,
        ("owner/name", "any causal model of the hub"),
        ("PATH", "a model folder or a .gguf file"),
    ]


def _datasets() -> Iterable[tuple[str, str]]:
    from accuracy.datasets import TABLE, entry
    from accuracy.datasets.formats import NAMES

    rows = [(name, entry.summary) for name, entry in TABLE.items()]
    kinds = (
        "a .jsonl, .json, .csv, .parquet, .txt or .pkl file (--prompt-column, --reference-column)"
    )
    return [
        *rows,
        *_offered("dataset", lambda name: entry(name).summary),
        ("PATH", kinds),
        ("FORMAT:PATH", f"a file known to be of one of these: {', '.join(NAMES)}"),
    ]


def _scenarios() -> Iterable[tuple[str, str]]:
    rows = []
    for name, entry in scenarios.TABLE.items():
        rows.append((name, entry.summary or _of_module(str(entry.factory))))
    return [*rows, *_offered("scenario", lambda name: scenarios.entry(name).summary)]


def _of_module(target: str) -> str:
    """Return the first paragraph of the module that "module:name" is in."""
    return _paragraph(import_module(target.partition(":")[0]))


def _paragraph(thing: Any) -> str:
    """Return the first paragraph of a docstring."""
    return " ".join((getdoc(thing) or "").split("\n\n")[0].split())


def _suts() -> Iterable[tuple[str, str]]:
    rows = [(name, entry.summary) for name, entry in sut.TABLE.items()]
    any_other = ("MODULE:FACTORY", "a callable on the Python path that takes a clock")
    return [*rows, *_offered("sut", lambda name: sut.entry(name).summary), any_other]


def _rules() -> Iterable[tuple[str, str]]:
    names = (*accuracy.RULES, *accuracy.RULES_OF_SERVERS)
    own = [(name, f"{_paragraph(rule(name))} (built in)") for name in names]
    return [*own, *_offered("rule", lambda name: _paragraph(rule(name)))]


def _metrics() -> Iterable[tuple[str, str]]:
    """Describe a metric by its module, or by its function where the module has several."""
    modules = Counter(target.partition(":")[0] for target in accuracy.METRICS.values())
    own = []
    for name, target in accuracy.METRICS.items():
        is_alone = modules[target.partition(":")[0]] == 1
        words = _of_module(target) if is_alone else _paragraph(metric(name))
        own.append((name, f"{words} (built in)"))
    return [*own, *_offered("metric", lambda name: _paragraph(metric(name)))]


def _offered(kind: plugins.Kind, describe: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield what packages add, with their names; why it cannot be used, if it cannot."""
    for offer in plugins.offers(kind):
        try:
            words = describe(offer.name)
        except HarnessError as error:
            words = f"cannot be used: {error}"
        yield offer.name, f"{words} (from {offer.package})".lstrip()


def _tasks() -> Iterator[tuple[str, str]]:
    from accuracy.tasks import TABLE

    for name, task in TABLE.items():
        columns = ", ".join(task.columns[0]) if task.columns else ""
        needs = f"; {name}:FILE" + f" with {columns}" * bool(columns)
        yield name, task.summary + ("" if task.file else needs)


LISTS: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
    "models": _models,
    "variants": _variants,
    "scenarios": _scenarios,
    "datasets": _datasets,
    "tasks": _tasks,
    "suts": _suts,
    "metrics": _metrics,
    "rules": _rules,
    "profiles": lambda: [(name, profile.summary) for name, profile in profiles.TABLE.items()],
}
