"""Names to things, resolved on use: naming a scenario imports no model library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import signature
from typing import Any

import accuracy
import scenarios
import sut
from harness.kernel.errors import BadInput, unknown
from harness.kernel.protocols import MetricFn, Rule, Scenario
from harness.options import profiles


def resolve(target: str) -> Any:
    """ "module:name" -> the object."""
    module, name = target.split(":")
    return getattr(import_module(module), name)


def scenario(name: str) -> Scenario:
    if name not in scenarios.TABLE:
        raise unknown("scenario", name, scenarios.TABLE)
    made: Scenario = resolve(scenarios.TABLE[name])()
    return made


def sut_entry(name: str) -> sut.Entry:
    if name not in sut.TABLE:
        raise unknown("sut", name, sut.TABLE)
    return sut.TABLE[name]


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """A SUT's options are its factory's keyword parameters; each must be of its default's type.
    Raises BadInput.
    """
    known = {
        p.name: p.default
        for p in signature(resolve(sut_entry(name).factory)).parameters.values()
        if p.default != p.empty
    }
    for key, value in options.items():
        if key not in known:
            raise unknown(f"option of --sut {name}", key, known)
        kind = type(known[key])
        if not isinstance(value, (int, float) if kind is float else kind):
            raise BadInput(
                f"option {key} of --sut {name}", f"it is {value!r}", f"it must be a {kind.__name__}"
            )
        if isinstance(value, int | float) and not 0 <= value < 1e12:
            raise BadInput(
                f"option {key} of --sut {name}",
                f"it is {value!r}",
                "it must be at least 0 and finite",
            )


def rule(name: str) -> Rule:
    """The output rule of that name in `accuracy.RULES`."""
    found: Rule = resolve(accuracy.RULES[name])
    return found


def metric(name: str) -> MetricFn:
    """The metric of that name in `accuracy.METRICS`. Raises ImportError where its library is
    missing.
    """
    found: MetricFn = resolve(accuracy.METRICS[name])
    return found


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
    from accuracy.datasets import TABLE
    from accuracy.datasets.formats import NAMES

    rows = [(name, entry.summary) for name, entry in TABLE.items()]
    kinds = (
        "a .jsonl, .json, .csv, .parquet, .txt or .pkl file (--prompt-column, --reference-column)"
    )
    return [
        *rows,
        ("PATH", kinds),
        ("FORMAT:PATH", f"a file known to be of one of these: {', '.join(NAMES)}"),
    ]


def _scenarios() -> Iterable[tuple[str, str]]:
    summaries = (
        (name, import_module(target.split(":")[0]).__doc__ or "")
        for name, target in scenarios.TABLE.items()
    )
    return [(name, " ".join(doc.split("\n\n")[0].split())) for name, doc in summaries]


LISTS: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
    "models": _models,
    "variants": _variants,
    "scenarios": _scenarios,
    "datasets": _datasets,
    "suts": lambda: [(name, entry.summary) for name, entry in sut.TABLE.items()],
    "profiles": lambda: [(name, profile.summary) for name, profile in profiles.TABLE.items()],
}
