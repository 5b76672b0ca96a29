"""LoadGen's `user.conf`, `mlperf.conf` and `audit.config`, read as settings of ours.

A line is `model.scenario.key = value`, `*` stands for any; the most specific line wins, in LoadGen's order: model and
scenario, any model, any scenario, any. Times are milliseconds, percentiles percent. Where LoadGen is silent about a key it
does not know or a value it ignores, this is an error that names the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import BadInput, unknown

SCENARIOS = {"SingleStream": "single-stream", "MultiStream": "multi-stream", "Server": "server", "Offline": "offline"}
_MODES = {"1": "accuracy", "2": "performance"}


class Line(NamedTuple):
    """One setting as it stands in the file."""

    number: int
    model: str
    scenario: str
    key: str
    value: str


def read_conf(path: Path, model: str, scenario: str) -> dict[str, Any]:
    """Settings of ours (as in `RunConfig`) that the file makes for one model and scenario. Raises BadInput."""
    effective = _effective(_parse(path), model, scenario)
    values: dict[str, Any] = {}
    for key, line in effective.items():
        if key in ("performance_issue_unique", "performance_issue_same", "sample_concatenate_permutation"):
            continue  # three flags of theirs are one setting of ours
        name, convert = _KEYS[key](scenario)
        try:
            if name:
                values[name] = convert(line.value)
        except (ValueError, KeyError, ZeroDivisionError):
            raise BadInput(f"{path.name}, line {line.number}", f"{key} = {line.value}", "a number that fits it") from None
    return values | _issue(effective)


def _parse(path: Path) -> list[Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"reading {path}", str(error), "a LoadGen configuration file", "Check the path.") from None
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        content = raw.split("#", 1)[0].strip()
        if not content:
            continue
        match = re.fullmatch(r"(\S+)\.(\*|\w+)\.(\w+)\s*=\s*(\S+)", content)
        where = f"{path.name}, line {number}"
        if match is None:
            raise BadInput(where, repr(content), "model.scenario.key = value", "For example: *.Server.target_qps = 10.")
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
    for pair in (("*", "*"), (model, "*"), ("*", theirs), (model, theirs)):  # later ones are more specific
        found |= {line.key: line for line in lines if (line.model, line.scenario) == pair}
    return found


def _issue(effective: Mapping[str, Line]) -> dict[str, str]:
    """unique, same and equal as our one word."""
    words = {
        "performance_issue_unique": "unique",
        "performance_issue_same": "same",
        "sample_concatenate_permutation": "equal",
    }
    given = {word: effective[key].value != "0" for key, word in words.items() if key in effective}
    if given.get("unique") and given.get("same"):
        line = effective["performance_issue_same"]
        raise BadInput(f"line {line.number}", "performance_issue_unique and _same are both on", "one of the two")
    chosen = [word for word in ("unique", "same", "equal") if given.get(word)]
    return {"issue": chosen[0]} if chosen else {"issue": "random"} if given else {}


Converter = tuple[str, Callable[[str], Any]]  # the setting it makes ("" = none here), and how


def _plain(name: str, convert: Callable[[str], Any]) -> Callable[[str], Converter]:
    return lambda scenario: (name, convert)


def _seconds(text: str) -> float:
    return float(text) / 1000


def _whole(text: str) -> int:
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _count_or_none(text: str) -> int | None:
    """0 means "no limit" in LoadGen."""
    return _whole(text) or None


def _expected_latency(scenario: str) -> Converter:
    """In the stream scenarios the expected latency is the inverse of the expected rate; elsewhere tokens have limits."""
    return ("target_qps", lambda ms: 1000 / float(ms)) if scenario.endswith("-stream") else ("", float)


_KEYS: dict[str, Callable[[str], Converter]] = {
    "target_qps": _plain("target_qps", float),
    "target_latency": _expected_latency,
    "target_latency_percentile": lambda scenario: ("" if scenario == "offline" else "percentile", float),
    "ttft_latency": _plain("ttft_limit", _seconds),
    "tpot_latency": _plain("tpot_limit", _seconds),
    "min_duration": _plain("min_duration", _seconds),
    "max_duration": _plain("max_duration", lambda text: _seconds(text) or None),
    "min_query_count": _plain("min_queries", _whole),
    "max_query_count": _plain("max_queries", _count_or_none),
    "samples_per_query": lambda scenario: ("samples_per_query" if scenario == "multi-stream" else "", _whole),
    "performance_sample_count_override": _plain("performance_samples", _count_or_none),
    "accuracy_sample_count_override": _plain("accuracy_samples", _count_or_none),
    "performance_issue_unique": _plain("", _whole),
    "performance_issue_same": _plain("", _whole),
    "performance_issue_same_index": _plain("same_index", _whole),
    "sample_concatenate_permutation": _plain("", _whole),
    "mode": _plain("mode", _MODES.__getitem__),
    "use_token_latencies": _plain("", _whole),  # tokens are always judged here
}
_FIXED = dict.fromkeys(
    ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"), "LoadGen ignores seeds in these files; use --seeds"
)
