"""What does each key of a LoadGen configuration file mean, where is it looked up, and when is it
not read at all?

One row per key that LoadGen 6.0.17 knows (test_settings_internal.cc), switches before what depends
on them. Some are looked up under a scenario of their own, whatever the run's: the limits of tokens
under Server. Some count only from LoadGen's own mlperf.conf. Times are milliseconds, percentiles
and probabilities percent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import scenarios
from harness.options.conf.lines import Line, Problem, loadgens_integer, plain_number

SCENARIOS = {entry.loadgen.name: name for name, entry in scenarios.TABLE.items() if entry.loadgen}
_ALL = tuple(SCENARIOS.values())
_NOT_OFFLINE = tuple(name for name in _ALL if not scenarios.TABLE[name].is_at_once)
_LIMITED = tuple(name for name in _ALL if scenarios.TABLE[name].has_limits)
_BY_RATE = tuple(name for name in _ALL if not scenarios.TABLE[name].is_closed)
_SIZED = tuple(name for name in _ALL if scenarios.TABLE[name].sized_by_user)
_MS_TO_NS = 10**6
_IS_TEST = re.compile(r"test\d\d(_\w+)?")

Form = Literal["integer", "milliseconds", "number", "switch", "loose_switch"]


@dataclass(frozen=True, slots=True)
class Key:
    """How a value is read, and by which runs. `under`: the scenario it is looked up under, if not
    the run's own. `own_conf`: only mlperf.conf can set it. A switch is on at 1 alone, a loose one
    at anything but 0.
    """

    form: Form
    runs: tuple[str, ...] = _ALL
    under: str = ""
    own_conf: bool = False
    why_not: str = ""  # in the other runs


_ONE_QUERY = "offline is one query, which nothing ends early"
_OWN = "LoadGen takes it from its own mlperf.conf alone; here {} sets it"
_SEED = Key("integer", own_conf=True, why_not=_OWN.format("--seeds"))
KEYS: dict[str, Key] = {
    "mode": Key("integer"),
    "use_token_latencies": Key("switch"),
    "infer_token_latencies": Key("switch"),
    "target_qps": Key("number", _BY_RATE, why_not="the rate of a stream is 1000 / target_latency"),
    "target_latency": Key("number", _NOT_OFFLINE, why_not="offline has no latency limit"),
    "target_latency_percentile": Key("number", _NOT_OFFLINE, why_not="offline has no tail"),
    "samples_per_query": Key("integer", _SIZED, why_not="only multi-stream has it"),
    "ttft_latency": Key("milliseconds", under="Server"),
    "tpot_latency": Key("milliseconds", under="Server"),
    "min_duration": Key("integer"),
    "max_duration": Key("integer", _NOT_OFFLINE, why_not=_ONE_QUERY),
    "min_query_count": Key("integer"),
    "max_query_count": Key("integer", _NOT_OFFLINE, why_not=_ONE_QUERY),
    "performance_sample_count_override": Key("integer"),
    "accuracy_sample_count_override": Key("integer"),
    "performance_issue_unique": Key("loose_switch"),
    "performance_issue_same": Key("loose_switch"),
    "performance_issue_same_index": Key("integer"),
    "sample_concatenate_permutation": Key("switch"),
    "token_latency_scaling_factor": Key("integer"),
    "accuracy_log_rng_seed": Key("integer"),
    "accuracy_log_sampling_target": Key("integer"),
    "accuracy_log_probability": Key(
        "number", own_conf=True, why_not=_OWN.format("--accuracy-log-probability")
    ),
    "qsl_rng_seed": _SEED,
    "sample_index_rng_seed": _SEED,
    "schedule_rng_seed": _SEED,
    "coalesce_queries": Key("loose_switch", _LIMITED, why_not="only server has it"),
    "max_async_queries": Key("integer", _LIMITED, why_not="only server has it"),
}
NEVER_READ = {
    "target_duration": "LoadGen does not read it",
    "print_timestamps": "it only makes LoadGen print the time",
    "test05": "TEST05 was dropped in v5.0",
    "test05_qsl_rng_seed": "TEST05 was dropped in v5.0",
    "test05_sample_index_rng_seed": "TEST05 was dropped in v5.0",
    "test05_schedule_rng_seed": "TEST05 was dropped in v5.0",
}


def never_read(key: str) -> str:
    """Why a key, known otherwise, is read by no run; empty if it is read, or unknown."""
    if key in NEVER_READ:
        return NEVER_READ[key]
    return "the compliance script reads it, not LoadGen" if _IS_TEST.fullmatch(key) else ""


def read_value(line: Line, scenario: str) -> int | float | Problem:
    """The value as LoadGen takes it; a Problem if that is not what it looks like, or if it is
    nothing that a run could do with.
    """
    form = KEYS[line.key].form
    if line.key == "target_latency" and scenario in _LIMITED:
        form = "milliseconds"
    if form == "number":
        return _number(line)
    if form in ("switch", "loose_switch"):
        return _switch(line, form)
    return _integer(line, _MS_TO_NS if form == "milliseconds" else 1)


def _integer(line: Line, times: int) -> int | Problem:
    meant, taken = plain_number(line.value), loadgens_integer(line.value)
    if meant != taken:
        return _otherwise(line, taken, _whole_near(meant))
    if taken * times >= 2**64:
        return _otherwise(line, taken * times % 2**64 // times, "a smaller number")
    if line.key == "mode" and taken > 3:
        return _impossible(line, "LoadGen logs an error and keeps its mode", "Write 0, 1, 2 or 3.")
    if line.key == "min_query_count" and not taken:
        return _impossible(line, "LoadGen lets the duration alone decide", "Write 1.")
    if line.key in _ONLY_OFF and taken:
        found = f"{line.key} = {line.value}"
        return Problem(line.number, found, _ONLY_OFF[line.key], "Write 0, or delete it.")
    return taken


def _switch(line: Line, form: Form) -> int | Problem:
    """0 or 1. Of other numbers LoadGen takes some switches for on and some for off."""
    taken = loadgens_integer(line.value)
    if plain_number(line.value) not in (0, 1) or taken not in (0, 1):
        on = taken != 0 if form == "loose_switch" else taken == 1
        found = f"{line.key} = {line.value}"
        loadgen = f"LoadGen takes it for {'on' if on else 'off'}"
        return Problem(line.number, found, loadgen, "Write 0 or 1.")
    return _integer(line, 1)


def _number(line: Line) -> float | Problem:
    meant = plain_number(line.value)
    if line.key == "target_latency_percentile" and not 0 < meant < 100:
        return _impossible(line, "LoadGen would read beyond its latencies", "Write 99, or 99.9.")
    if line.key == "accuracy_log_probability" and not 0 <= meant <= 100:
        return _impossible(line, "it is a share in percent", "Write 0 to 100.")
    if line.key.startswith("target_") and not (0 < meant < math.inf):
        loadgen = "LoadGen would take 1.0, with an error" if meant < 0 else "LoadGen divides by it"
        return _impossible(line, loadgen, "Write a number above 0.")
    return float(meant)


_ONLY_OFF = {
    "coalesce_queries": "here each query is issued when it is due",
    "max_async_queries": "here no run ends because many queries are open",
}


def _otherwise(line: Line, taken: int, write: str) -> Problem:
    found = f"{line.key} = {line.value}"
    return Problem(line.number, found, f"LoadGen reads it as {taken}", f"Write {write}.")


def _impossible(line: Line, loadgen: str, write: str) -> Problem:
    return Problem(line.number, f"{line.key} = {line.value}", loadgen, write)


def _whole_near(meant: float) -> str:
    """What to write for a number that is not read as it looks."""
    if not 0 <= meant < 2**64:
        return "a whole number from 0 on"
    if meant == int(meant):
        return str(int(meant))
    return f"{math.floor(meant)} or {math.ceil(meant)}"
