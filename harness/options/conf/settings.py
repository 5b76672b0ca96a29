"""LoadGen's settings, once its files are read, under our names and in our units.

Most are one key here and there (`Option.loadgen`). Where two of theirs are one of ours (unique,
same and equal issue; inferred tokens and their factor) or one of theirs is two of ours (a stream's
expected latency is a rate), this is the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import scenarios
from harness.kernel.types import Seeds
from harness.options.profiles import SEEDS
from harness.options.run_options import OPTIONS

_MS_PER_S = 1000
_ISSUE = (
    "performance_issue_unique",
    "performance_issue_same",
    "sample_concatenate_permutation",
)
_SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")


class Setting(NamedTuple):
    """A value of ours and what made it."""

    value: Any
    origin: str


class Found(NamedTuple):
    """A value of LoadGen's and the line that made it ("user.conf, line 3")."""

    value: int | float
    origin: str


@dataclass(frozen=True, slots=True)
class Base:
    """What holds before any file: the profile's part of mlperf.conf.

    `tokens` is None for profiles that no model of LoadGen's stands behind. There tokens are judged
    unless a file sets a limit of the whole latency and does not turn them on: LoadGen has them off.
    """

    origin: str
    equal_issue: bool
    tokens: bool | None
    inferred: int | None
    seeds: Seeds


def settings_of(found: Mapping[str, Found], scenario: str, base: Base) -> dict[str, Setting]:
    """Settings as in `RunConfig`; None where a file takes a limit away."""
    made: dict[str, Setting] = {}
    for option in OPTIONS.values():
        if option.loadgen and option.loadgen.key in found:
            value, origin = found[option.loadgen.key]
            made[option.name] = Setting(option.loadgen.convert(value), origin)
    return made | _rate(found, scenario) | _tokens(found, scenario, base) | _issue(found, base) | (
        _inferred(found, base) | _seeds(found, base)
    )  # fmt: skip


def _rate(found: Mapping[str, Found], scenario: str) -> dict[str, Setting]:
    """In a stream the inverse of the expected latency, in LoadGen's arithmetic."""
    if scenarios.entry(scenario).is_closed and "target_latency" in found:
        ms, origin = found["target_latency"]
        return {"target_qps": Setting(1e9 / (ms * 1e6), origin)}
    return {"target_qps": Setting(*found["target_qps"])} if "target_qps" in found else {}


def tokens_on(found: Mapping[str, Found], base: Base) -> bool | None:
    """LoadGen's use_token_latencies so far; None: nobody has said."""
    if "use_token_latencies" in found:
        return bool(found["use_token_latencies"].value)
    return base.tokens


def _tokens(found: Mapping[str, Found], scenario: str, base: Base) -> dict[str, Setting]:
    """Whether tokens are judged, and the limit of the whole latency (which they then ignore)."""
    on, made = tokens_on(found, base), {}
    limit = found.get("target_latency") if scenarios.entry(scenario).has_limits else None
    if limit is not None:
        made["target_latency"] = Setting(limit.value / _MS_PER_S or None, limit.origin)
    if "use_token_latencies" in found:
        made["use_token_latencies"] = Setting(on, found["use_token_latencies"].origin)
    elif limit is not None and on is not None:
        made["use_token_latencies"] = Setting(on, base.origin)
    elif limit is not None and limit.value:
        made["use_token_latencies"] = Setting(False, limit.origin)
    return made


def _issue(found: Mapping[str, Found], base: Base) -> dict[str, Setting]:
    """unique, same and equal as our one word."""
    origins = [found[key].origin for key in _ISSUE if key in found]
    if not origins:
        return {}
    unique, same = (bool(key in found and found[key].value) for key in _ISSUE[:2])
    equal = bool(found[_ISSUE[2]].value) if _ISSUE[2] in found else base.equal_issue
    words = [word for word, on in (("unique", unique), ("same", same), ("equal", equal)) if on]
    decisive = [found[key].origin for key in _ISSUE if key in found and found[key].value]
    return {"issue": Setting("+".join(words) or "random", (decisive or origins)[0])}


def _inferred(found: Mapping[str, Found], base: Base) -> dict[str, Setting]:
    """Tokens that each sample is taken to have; 0: none are inferred."""
    on, factor = found.get("infer_token_latencies"), found.get("token_latency_scaling_factor")
    if on is not None and not on.value:
        return {"infer_tokens": Setting(0, on.origin)}
    if factor is not None:
        return {"infer_tokens": Setting(*factor)}
    return {} if on is None else {"infer_tokens": Setting(base.inferred, on.origin)}


def _seeds(found: Mapping[str, Found], base: Base) -> dict[str, Setting]:
    """As --seeds takes them: a round's name where they are a round's."""
    given = [found[key].origin for key in _SEEDS if key in found]
    if not given:
        return {}
    before = (base.seeds.qsl, base.seeds.sample_index, base.seeds.schedule)
    pairs = zip(_SEEDS, before, strict=True)
    seeds = Seeds(*(int(found[key].value) if key in found else old for key, old in pairs))
    numbers = f"{seeds.qsl},{seeds.sample_index},{seeds.schedule}"
    names = [name for name, known in SEEDS.items() if known == seeds]
    return {"seeds": Setting(names[0] if names else numbers, given[0])}
