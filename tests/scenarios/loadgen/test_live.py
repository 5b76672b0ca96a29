"""Is a run of ours, to the nanosecond and to the character, what the official LoadGen makes of it?

LOADGEN_EXAMPLES=2000 draws that many settings; the ordinary suite draws a few.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.loadgen_logs import SCENARIOS, STREAMS, case, differences, official_loadgen
from tests.loadgen_modes import (
    our_search,
    search_differences,
    submission_differences,
    wheel_ends,
)

_EXAMPLES = int(os.environ.get("LOADGEN_EXAMPLES", "40"))
pytestmark = pytest.mark.timeout(0 if "LOADGEN_EXAMPLES" in os.environ else 300)  # seconds


def drawn(examples):
    """The ordinary suite draws the same settings each time."""
    return hypothesis_settings(
        max_examples=examples,
        deadline=None,
        derandomize="LOADGEN_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


TOKENS = {"use_token_latencies": True}
INFER = {"infer_token_latencies": True, "token_latency_scaling_factor": 69}
ACCURACY = "AccuracyOnly"
CASES = {
    "single": case("SingleStream"),
    "single, tokens": case("SingleStream", **TOKENS),
    "single, enough for the p99 estimate": case("SingleStream", min_query_count=700, **TOKENS),
    "single, p95, too few": case(
        "SingleStream", single_stream_target_latency_percentile=0.95, **TOKENS
    ),
    "single, one query": case("SingleStream", min_query_count=1, min_duration_ms=0, **TOKENS),
    "single, equal issue runs out": case(
        "SingleStream",
        sample_concatenate_permutation=True,
        min_duration_ms=30,
        single_stream_expected_latency_ns=1_000_000,
        **TOKENS,
    ),
    "single, unique": case("SingleStream", performance_issue_unique=True, min_query_count=15),
    "single, ten minutes": case(
        "SingleStream",
        min_duration_ms=600_000,
        rest_ns=[10**9],
        single_stream_expected_latency_ns=10**9,
    ),
    "multi": case("MultiStream", multi_stream_samples_per_query=3, min_query_count=80),
    "multi, p90": case("MultiStream", multi_stream_target_latency_percentile=0.9, **TOKENS),
    "multi, p99": case("MultiStream", multi_stream_samples_per_query=2, min_query_count=670),
    "multi, max queries": case("MultiStream", max_query_count=50, **TOKENS),
    "multi, more per query than loaded": case("MultiStream", qsl_perf=3),
    "server": case("Server"),
    "server, p90, valid": case("Server", server_target_latency_percentile=0.9),
    "server, over its latency": case("Server", server_target_latency_ns=60_000),
    "server, tokens, p90": case("Server", server_target_latency_percentile=0.9, **TOKENS),
    "server, ttft too slow": case("Server", ttft_latency=500, **TOKENS),
    "server, tpot too slow": case("Server", tpot_latency=20_000, **TOKENS),
    "server, both too slow": case("Server", ttft_latency=500, tpot_latency=20_000, **TOKENS),
    "server, a SUT that blocks": case("Server", stall_ns=[0, 900_000], **TOKENS),
    "server, tokens and inferred": case("Server", **TOKENS, **INFER),
    "server, inferred, max duration": case("Server", max_duration_ms=10, **INFER),
    "server, equal issue": case("Server", sample_concatenate_permutation=True, **TOKENS),
    "server, same": case("Server", performance_issue_same=True, performance_issue_same_index=3),
    "server, one token": case("Server", tokens=[1], **TOKENS),
    "server, one token among others": case("Server", tokens=[1, 4, 5, 9], **TOKENS),
    "server, wrong counts": case("Server", said=[7, None, 2, 40], **TOKENS),
    "server, counts of zero and below": case("Server", said=[0, None, -5], **TOKENS),
    "offline": case("Offline"),
    "offline, tokens": case("Offline", **TOKENS),
    "offline, wrong counts": case("Offline", said=[7, 1, 0], **TOKENS),
    "offline, too short": case("Offline", min_duration_ms=100, qsl_total=9, qsl_perf=9, **TOKENS),
    "offline, tokens and inferred": case("Offline", **TOKENS, **INFER),
    "offline, equal issue": case("Offline", sample_concatenate_permutation=True, **INFER),
    "offline, same with equal issue": case(
        "Offline", performance_issue_same=True, sample_concatenate_permutation=True
    ),
    "single, accuracy": case("SingleStream", ACCURACY, **TOKENS),
    "single, accuracy, equal issue": case(
        "SingleStream", ACCURACY, sample_concatenate_permutation=True
    ),
    "multi, accuracy": case("MultiStream", ACCURACY, multi_stream_samples_per_query=4, **TOKENS),
    "multi, accuracy, sets of one query": case("MultiStream", ACCURACY, qsl_total=16, qsl_perf=8),
    "server, accuracy": case("Server", ACCURACY, **TOKENS),
    "server, accuracy, sets that overlap": case("Server", ACCURACY, rest_ns=[10**9], qsl_perf=3),
    "server, accuracy, sets of one query": case("Server", ACCURACY, qsl_total=2, qsl_perf=1),
    "offline, accuracy": case("Offline", ACCURACY, qsl_total=31, **TOKENS),
    "offline, accuracy, sets of one sample": case("Offline", ACCURACY, qsl_total=2, qsl_perf=1),
    "offline, accuracy, a last set of one": case("Offline", ACCURACY, qsl_total=5, qsl_perf=4),
    "offline, accuracy, wrong counts": case("Offline", ACCURACY, said=[1, 0, 3], **TOKENS),
}


@pytest.fixture(scope="module")
def official():
    with official_loadgen() as run:
        yield run


@pytest.mark.parametrize("asked", CASES.values(), ids=CASES)
def test_a_run_is_loadgens(official, asked):
    assert not differences(official, asked)


# ---- drawn settings

_seeds = st.integers(0, 2**64 - 1)
_short_ns = st.sampled_from([0, 1, 1000, 10**6, 3 * 10**7])  # often the same: ties
_tails = st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.97, 0.99, 0.999]) | st.floats(0.1, 0.999)


def _cycle(values, most=7):
    return st.lists(values, min_size=1, max_size=most)


@st.composite
def systems(draw):
    """A SUT: ties, completions out of order, few tokens, wrong counts, a caller that is held up."""
    total = draw(st.integers(1, 30) | st.integers(10, 300))
    return {
        "tokens": draw(_cycle(st.integers(1, 12))),
        "said": draw(_cycle(st.sampled_from([None, None, None, -5, 0, 1, 2, 7, 40]))),
        "first_ns": draw(_cycle(_short_ns | st.integers(0, 10**8))),
        "rest_ns": draw(_cycle(_short_ns | st.integers(0, 10**9))),
        "stall_ns": draw(st.just([0]) | _cycle(st.integers(0, 10**7), 4)),
        "qsl_total": total,
        "qsl_perf": draw(st.integers(1, total)),
    }


@st.composite
def issues(draw, mode, loaded):
    """unique or same, and equal."""
    found = {"sample_concatenate_permutation": draw(st.booleans())}
    kind = draw(st.sampled_from(["", "", "unique", "same"]))
    if kind:
        found[f"performance_issue_{kind}"] = True
    if kind == "same":  # the last set of an accuracy run may have one sample
        last = loaded - 1 if mode == "PerformanceOnly" else 0
        found["performance_issue_same_index"] = draw(st.integers(0, last))
    return found


@st.composite
def samplings(draw):
    """Which answers of a performance run are logged."""
    return draw(
        st.just({})
        | st.fixed_dictionaries(
            {"accuracy_log_probability": st.floats(0, 1), "accuracy_log_rng_seed": _seeds}
        )
        | st.fixed_dictionaries(
            {"accuracy_log_sampling_target": st.integers(0, 200), "accuracy_log_rng_seed": _seeds}
        )
    )


@st.composite
def lengths(draw):
    """How long a run is and what may end it early."""
    return {
        "min_query_count": draw(st.integers(1, 70) | st.integers(60, 800)),
        "min_duration_ms": draw(st.sampled_from([0, 0, 5, 400, 20_000])),
        "max_query_count": draw(st.just(0) | st.integers(1, 200)),
        "max_duration_ms": draw(st.just(0) | st.just(0) | st.integers(1, 3000)),
    }


@st.composite
def limits(draw, scenario):
    stream, ns = STREAMS.get(scenario), st.sampled_from([1000, 10**5, 5 * 10**6, 10**9])
    tail = {f"{stream}_target_latency_percentile": draw(_tails)} if stream else {}
    return tail | {
        "use_token_latencies": draw(st.booleans()),
        "ttft_latency": draw(ns),
        "tpot_latency": draw(ns),
        "server_target_latency_ns": draw(ns),
    }


@st.composite
def rates(draw, scenario):
    if scenario == "Server":
        return {"server_target_qps": draw(st.sampled_from([1.0, 50.0]) | st.floats(5, 400))}
    if scenario == "Offline":
        return {"offline_expected_qps": draw(st.floats(1, 300))}
    expected_ns = st.sampled_from([10**7, 10**8]) | st.floats(10**7, 10**9)
    return {f"{STREAMS[scenario]}_expected_latency_ns": draw(expected_ns)}


@st.composite
def runs(draw, modes=("PerformanceOnly", "PerformanceOnly", ACCURACY), scenarios=tuple(SCENARIOS)):
    scenario, mode = draw(st.sampled_from(scenarios)), draw(st.sampled_from(modes))
    shape = draw(systems())
    changes = draw(issues(mode, shape["qsl_perf"])) | draw(samplings()) | draw(lengths())
    changes |= draw(limits(scenario)) | draw(rates(scenario))
    changes |= {name: draw(_seeds) for name in ("qsl_rng_seed", "sample_index_rng_seed")}
    changes["schedule_rng_seed"] = draw(_seeds)
    changes |= draw(st.just({}) | st.just(INFER))
    if draw(st.booleans()):
        changes["accuracy_sample_count_override"] = draw(st.integers(1, shape["qsl_total"] + 3))
    if scenario == "MultiStream":
        changes["multi_stream_samples_per_query"] = draw(st.integers(1, 9))
        unique = changes.get("performance_issue_unique")
        assume(not (unique and changes["sample_concatenate_permutation"]))  # the wheel crashes
    return case(scenario, mode, **shape, **changes)


@drawn(_EXAMPLES)
@given(runs())
def test_drawn_runs_are_loadgens(official, asked):
    assert not differences(official, asked)


@drawn(max(_EXAMPLES // 10, 4))
@given(runs(modes=(ACCURACY,)))  # what suits this part suits the other
def test_drawn_submissions_are_loadgens(official, asked):
    assert not submission_differences(official, asked)


@st.composite
def searches(draw):
    """A SUT that holds its caller up, so that high rates break the limits."""
    asked = draw(runs(modes=("PerformanceOnly",), scenarios=("Server",)))
    asked["stall_ns"] = draw(_cycle(st.integers(10**7, 10**8), 3))
    asked["settings"] |= {
        "server_target_qps": draw(st.floats(0.5, 20)),
        "min_query_count": draw(st.integers(20, 60)),
        "min_duration_ms": 0,
        "ttft_latency": draw(st.sampled_from([10**8, 10**9])),
        "tpot_latency": 10**9,
        "server_target_latency_ns": 2 * 10**9,
    }
    return asked


@drawn(max(_EXAMPLES // 10, 4))
@given(searches())
def test_drawn_searches_are_loadgens(official, asked):
    search = our_search(asked)
    assume(wheel_ends(search))
    assert not search_differences(official, asked, search)
