"""LoadGen's `user.conf`, `mlperf.conf` and `audit.config`, read as settings of ours.

A line is `model.scenario.key = value`, `*` stands for any; the most specific line wins, in
LoadGen's order: model and scenario, any model, any scenario, any. Times are milliseconds,
percentiles percent. Where LoadGen is silent about a key it does not know or a value it ignores,
this is an error that names the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import BadInput, unknown
from harness.places import wrong_path

_FINE = "expected a LoadGen configuration file, such as user.conf"
SCENARIOS = {
    "SingleStream": "single-stream",
    "MultiStream": "multi-stream",
    "Server": "server",
    "Offline": "offline",
}
_MODES = {"0": "submission", "1": "accuracy", "2": "performance", "3": "find-peak"}


class Line(NamedTuple):
    """One setting as it stands in the file."""

    number: int
    model: str
    scenario: str
    key: str
    value: str


class Setting(NamedTuple):
    """A value of ours and the line that made it."""

    value: Any
    origin: str


def read_conf(path: Path, model: str, scenario: str) -> dict[str, Setting]:
    """Settings of ours (as in `RunConfig`) that the file makes for one model and scenario. Raises
    BadInput.
    """
    effective = _effective(_parse(path), model, scenario)
    values: dict[str, Setting] = {}
    for key, line in effective.items():
        if key in _ISSUE or key in ("infer_token_latencies", "token_latency_scaling_factor"):
            continue  # several of theirs are one setting of ours
        name, convert = _KEYS[key](scenario)
        try:
            value = convert(line.value)
        except (ValueError, KeyError, ZeroDivisionError):
            fits = _ONLY.get(key, "a number that fits it")
            raise BadInput(
                f"{path.name}, line {line.number}", f"{key} = {line.value}", fits
            ) from None
        if name:
            values[name] = Setting(value, f"{path.name}, line {line.number}")
    return values | _issue(path, effective) | _inferred(path, effective)


def _parse(path: Path) -> list[Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise wrong_path(f"--user-conf {path}", path, _FINE) from None
    except UnicodeDecodeError:
        found, todo = "it is not UTF-8 text", "Check the path."
        raise BadInput(f"--user-conf {path}", found, _FINE, todo) from None
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        content = raw.split("#", 1)[0].strip()
        if not content:
            continue
        match = re.fullmatch(r"(\S+)\.(\*|\w+)\.(\w+)\s*=\s*(\S+)", content)
        where = f"{path.name}, line {number}"
        if match is None:
            raise BadInput(
                where,
                repr(content),
                "model.scenario.key = value",
                "For example: *.Server.target_qps = 10.",
            )
        line = Line(number, *match.groups())
        if line.scenario not in SCENARIOS and line.scenario != "*":
            raise unknown(f"{where}: scenario", line.scenario, SCENARIOS)
        if line.key in _FIXED:
            raise BadInput(where, f"{line.key} cannot be set here", _FIXED[line.key])
        if line.key not in _KEYS:
            raise unknown(f"{where}: key", line.key, _KEYS)
        lines.append(line)
    return lines


def _effective(lines: list[Line], model: str, scenario: str) -> dict[str, Line]:
    """Per key the line that LoadGen's lookup finds; among equals the last."""
    theirs = next(name for name, ours in SCENARIOS.items() if ours == scenario)
    found: dict[str, Line] = {}
    for pair in (
        ("*", "*"),
        (model, "*"),
        ("*", theirs),
        (model, theirs),
    ):  # later ones are more specific
        found |= {line.key: line for line in lines if (line.model, line.scenario) == pair}
    return found


def _issue(path: Path, effective: Mapping[str, Line]) -> dict[str, Setting]:
    """unique, same and equal as our one word."""
    given = {_ISSUE[key]: line for key, line in effective.items() if key in _ISSUE}
    on = [
        word for word in ("unique", "same", "equal") if word in given and given[word].value != "0"
    ]
    if on[:2] == ["unique", "same"]:
        where = f"{path.name}, line {given['same'].number}"
        raise BadInput(where, "performance_issue_unique and _same are both on", "one of the two")
    if not given:
        return {}
    word = on[0] if on else "random"
    line = given[word] if on else next(iter(given.values()))
    return {"issue": Setting(word, f"{path.name}, line {line.number}")}


def _inferred(path: Path, effective: Mapping[str, Line]) -> dict[str, Setting]:
    """`infer_token_latencies` and its factor as our one number."""
    on, factor = (
        effective.get("infer_token_latencies"),
        effective.get("token_latency_scaling_factor"),
    )
    if on is None or on.value == "0":
        return {}
    line = factor or on
    return {
        "infer_tokens": Setting(
            _whole(factor.value) if factor else 1, f"{path.name}, line {line.number}"
        )
    }


Converter = tuple[str, Callable[[str], Any]]  # the setting it makes ("" = none here), and how


def _plain(name: str, convert: Callable[[str], Any]) -> Callable[[str], Converter]:
    return lambda scenario: (name, convert)


def _seconds(text: str) -> float:
    return float(text) / 1000


def _whole(text: str) -> int:
    if re.fullmatch(r"\d+", text):  # a seed has more digits than a float
        return int(text)
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _count_or_none(text: str) -> int | None:
    """0 means "no limit" in LoadGen."""
    return _whole(text) or None


def _latency(scenario: str) -> Converter:
    """In a stream the inverse of the expected rate; in server a limit, or 0: then tokens have
    theirs.
    """
    if scenario.endswith("-stream"):
        return "target_qps", lambda ms: 1000 / float(ms)
    return "target_latency" if scenario == "server" else "", lambda ms: _seconds(ms) or None


def _zero(text: str) -> None:
    """For what we do not offer: only its being off is accepted."""
    if text != "0":
        raise ValueError(text)


_ISSUE = {
    "performance_issue_unique": "unique",
    "performance_issue_same": "same",
    "sample_concatenate_permutation": "equal",
}


_KEYS: dict[str, Callable[[str], Converter]] = {
    "target_qps": _plain("target_qps", float),
    "target_latency": _latency,
    "target_latency_percentile": lambda scenario: (
        "" if scenario == "offline" else "percentile",
        float,
    ),
    "ttft_latency": _plain("ttft_limit", _seconds),
    "tpot_latency": _plain("tpot_limit", _seconds),
    "min_duration": _plain("min_duration", _seconds),
    "max_duration": _plain("max_duration", lambda text: _seconds(text) or None),
    "min_query_count": _plain("min_queries", _whole),
    "max_query_count": _plain("max_queries", _count_or_none),
    "samples_per_query": lambda scenario: (
        "samples_per_query" if scenario == "multi-stream" else "",
        _whole,
    ),
    "performance_sample_count_override": _plain("performance_samples", _count_or_none),
    "accuracy_sample_count_override": _plain("accuracy_samples", _count_or_none),
    "performance_issue_unique": _plain("", _whole),
    "performance_issue_same": _plain("", _whole),
    "performance_issue_same_index": _plain("same_index", _whole),
    "sample_concatenate_permutation": _plain("", _whole),
    "mode": _plain("mode", _MODES.__getitem__),
    "use_token_latencies": _plain(
        "", _whole
    ),  # here tokens are judged unless target_latency says otherwise
    "infer_token_latencies": _plain("", _whole),
    "token_latency_scaling_factor": _plain("", _whole),
    "accuracy_log_rng_seed": _plain("accuracy_log_seed", _whole),
    "accuracy_log_sampling_target": _plain("accuracy_log_target", _whole),
    "accuracy_log_probability": _plain(
        "accuracy_log_probability", lambda percent: float(percent) / 100
    ),
    "print_timestamps": _plain("", _whole),  # it only makes LoadGen's trace longer
    "coalesce_queries": _plain("", _zero),
    "max_async_queries": _plain("", _zero),
}
_ONLY = {
    "coalesce_queries": "0 alone is: here each query is issued when it is due",
    "max_async_queries": "0 alone is: here a run is not ended for many open queries",
}
_FIXED = dict.fromkeys(
    ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"),
    "LoadGen ignores seeds in these files; use --seeds",
)
