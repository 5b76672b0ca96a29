"""Tokens per sample: the mean over what completed."""

import numpy as np

from accuracy.metrics.length import gen_len, tokens_per_sample
from tests.scenario_helpers import Row, hand_log


def lengths(log):
    return tokens_per_sample(log, [], np.flatnonzero(log.completed))


def test_the_mean_is_over_completed_samples_only():
    log = hand_log([Row(ids=(5, 2)), Row(ids=(5, 6, 7, 2)), Row(ids=(5,) * 90, finish="error")])
    (found,) = lengths(log)
    assert (found.name, found.value, found.unit, found.n) == ("tokens_per_sample", 3.0, "tokens", 2)


def test_counts_of_a_sut_without_ids_are_taken_from_its_report():
    (found,) = lengths(hand_log([Row(ids=(), reported=8), Row(ids=(5, 2), reported=99)]))
    assert found.value == 5.0


def test_gen_len_counts_characters_as_mlperf_does():
    """Sentences stand on lines of their own first: two spaces between them count as one."""
    log = hand_log([Row(), Row(), Row(finish="error")])
    log.texts = {0: " One.  Two.\n", 1: "ü", 2: "not counted"}
    (found,) = gen_len(log, [], np.flatnonzero(log.completed))
    assert (found.name, found.value, found.unit, found.n) == ("gen_len", 10.0, "characters", 2)
    assert gen_len(hand_log([Row()]), [], np.array([0])) == []


def test_a_sut_without_tokens_has_no_length():
    assert lengths(hand_log([Row(ids=(), ttft=None)])) == []
