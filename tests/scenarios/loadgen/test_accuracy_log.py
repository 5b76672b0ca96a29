"""Does the accuracy log hold the answers LoadGen would log, in its order, and can they be read back
exactly?
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.mlperf import files as mlperf_logs
from reports.mlperf.files import ACCURACY
from scenarios.loadgen.accuracy_log import chosen, logged_samples, probability
from scenarios.loadgen.settings import effective
from tests.loadgen_logs import case, official_loadgen, our_log, our_texts, settings_of
from tests.scenario_helpers import Row, hand_log, run_settings

TEST06_SEED = 720381539243781796
ids = st.lists(st.integers(0, 2**31 - 1), max_size=12)


@pytest.fixture(scope="module")
def official():
    with official_loadgen() as run:
        yield run


# ---- against the wheel


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"accuracy_log_probability": 0.3},
        {"accuracy_log_probability": 0.3, "accuracy_log_rng_seed": TEST06_SEED},
        {"accuracy_log_probability": 1.0},
        {"accuracy_log_sampling_target": 20, "accuracy_log_rng_seed": 5},
        {
            "accuracy_log_sampling_target": 20,
            "accuracy_log_rng_seed": 5,
            "min_duration_ms": 300,
            "max_duration_ms": 20,
        },
        {"accuracy_log_sampling_target": 10**6},
    ],
    ids=[
        "none",
        "share",
        "share, TEST06's seed",
        "all",
        "target of the least count",
        "target of the duration",
        "more than all",
    ],
)
@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "no tokens"])
def test_a_performance_run_logs_the_samples_that_loadgen_drew(official, scenario, sampling, tokens):
    asked = case(scenario, use_token_latencies=tokens, said=[None, 7], **sampling)
    theirs, ours = official(asked), our_texts(asked, our_log(asked))
    assert ours[ACCURACY] == theirs[ACCURACY]


# ---- the draw


def test_by_default_a_performance_run_logs_nothing():
    log, s = hand_log([Row(due=i) for i in range(1000)]), run_settings(scenario="server")
    assert logged_samples(log, s).tolist() == []


def test_the_draw_continues_over_the_parts_of_a_submission_run():
    whole = chosen(1000, 0.2, TEST06_SEED)
    assert np.array_equal(whole[600:], chosen(400, 0.2, TEST06_SEED, generated_before=600))


@given(st.floats(0.05, 1.0), st.integers(0, 2**64 - 1))
def test_the_share_logged_is_the_probability(p, seed):
    assert abs(chosen(20_000, p, seed).mean() - p) < 0.02


def test_a_sampling_target_is_a_share_of_the_samples_to_expect():
    offline = case(
        "Offline", accuracy_log_sampling_target=50, min_duration_ms=2000, offline_expected_qps=100.0
    )
    assert probability(effective(settings_of(offline))) == 50 / 220  # 1.1 * 2 s * 100/s
    server = case(
        "Server", accuracy_log_sampling_target=50, min_duration_ms=2000, server_target_qps=100.0
    )
    assert probability(effective(settings_of(server))) == 50 / 200


# ---- the file


@given(
    st.lists(st.tuples(ids, st.integers(0, 2**31 - 1)), max_size=8),
    st.booleans(),
    st.booleans(),
    st.randoms(),
)
def test_token_ids_round_trip(answers, with_tokens, with_first, random):
    log = hand_log([Row(ids=tuple(answer), index=index) for answer, index in answers])
    order = list(range(len(answers)))
    random.shuffle(order)
    entries = json.loads(mlperf_logs.accuracy(log, order, with_tokens, with_first))
    for entry, i in zip(entries, order, strict=True):
        answer, index = answers[i]
        assert (entry["seq_id"], entry["qsl_idx"]) == (i, index)
        assert np.frombuffer(bytes.fromhex(entry["data"]), "<i4").tolist() == answer
        assert entry["data"] == entry["data"].upper()
        assert entry.get("token_count") == (len(answer) if with_tokens else None)
        first = entry.get("token_data")
        assert (first is not None) == (with_tokens and with_first)
        if first is not None:
            assert np.frombuffer(bytes.fromhex(first), "<i4").tolist() == answer[:1]


def test_an_empty_log_is_loadgens_empty_list():
    assert mlperf_logs.accuracy(hand_log([]), [], True, True) == "[\n]\n"


def test_the_count_is_what_the_sut_reported_and_ours_only_where_it_did_not():
    log = hand_log([Row(reported=2), Row(reported=-1), Row(reported=0)])
    entries = json.loads(mlperf_logs.accuracy(log, [0, 1, 2], True, True))
    assert [entry["token_count"] for entry in entries] == [2, 3, 0]


def test_samples_that_failed_or_never_came_are_not_logged():
    log = hand_log([Row(due=0), Row(due=1, latency=None, ttft=None), Row(due=2, finish="error")])
    assert logged_samples(log, run_settings(scenario="server", mode="accuracy")).tolist() == [0]
