"""Are pairs that several processes score those of one, to the last bit and in their order?"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import numpy as np
import pytest

from accuracy import spread
from accuracy.gate.metrics import METRICS
from accuracy.gate.readings import score_here
from accuracy.metrics import bleu, multilingual, rouge
from harness.kernel.process import spread as processes
from tests.bench.rouge import drawn
from tests.scenario_helpers import Row, hand_log

PARENT = os.environ.setdefault("TEST_SPREAD_PARENT", str(os.getpid()))  # its children inherit it


def and_by_whom(texts, references):
    """Return the scores and the process, which lets the other one be first."""
    if os.getpid() == int(PARENT):
        time.sleep(0.5)
    found = rouge.scores(texts, references)
    return np.hstack([found, np.full((len(found), 1), os.getpid())])


@pytest.fixture
def two_processes(monkeypatch):
    monkeypatch.setattr(spread, "LEAST", 0)
    monkeypatch.setattr(spread, "OF_A_PART", 2_000)
    monkeypatch.setattr(processes, "processors", lambda: 2)


@pytest.mark.parametrize("score", [rouge.scores, multilingual.scores, bleu.all_counts])
def test_rows_are_those_of_one_process(two_processes, score):
    texts, references = zip(*drawn(60, 60), strict=True)
    texts = ("", *texts[1:])
    alone, heard = score(texts, references), []
    found = spread.rows(score, texts, references, heard.append)
    assert found.tobytes() == alone.tobytes()
    assert found.dtype == alone.dtype
    assert heard == sorted(heard)
    assert (len(heard) > 2, heard[-1]) == (True, 60)


def test_rows_of_another_process_are_the_same(two_processes):
    texts, references = zip(*drawn(60, 60), strict=True)
    found = spread.rows(and_by_whom, texts, references)
    assert found[:, :4].tobytes() == rouge.scores(texts, references).tobytes()
    assert len(set(found[:, 4].tolist())) == 2


def test_no_pairs_have_no_rows():
    assert spread.rows(rouge.scores, [], []).shape == (0, 4)
    assert spread.rows(bleu.all_counts, [], []).shape == (0, 10)


def test_a_gate_scores_with_all_processors(two_processes, monkeypatch):
    given = list[int | None]()
    each = processes.each
    monkeypatch.setattr(
        spread, "each", lambda work, parts, n=None: given.append(n) or each(work, parts, n)
    )
    texts, references = zip(*drawn(20, 40), strict=True)
    score_here(METRICS["rouge"], texts, references, lambda done: None)
    monkeypatch.setattr(spread, "LEAST", 10**9)
    score_here(METRICS["rouge"], texts, references, lambda done: None)
    assert given == [None, 1]


def test_the_metrics_of_a_run_are_the_same_and_show_how_far_they_are(two_processes, monkeypatch):
    pairs = drawn(30, 40)
    log = hand_log([Row(text=text) for text, _ in pairs])
    log.index[:] = np.arange(30)
    samples = [rouge.Sample(i, "", reference=reference) for i, (_, reference) in enumerate(pairs)]
    heard = list[int]()

    @contextmanager
    def bar(total):
        heard.append(total)
        yield heard.append

    with spread.shown(bar):
        apart = (
            rouge.rouge(log, samples, np.arange(30)),
            bleu.bleu(log, samples, np.arange(30)),
        )
    assert heard[0] == heard[-1] == 30
    monkeypatch.setattr(spread, "LEAST", 10**9)
    assert (
        rouge.rouge(log, samples, np.arange(30)),
        bleu.bleu(log, samples, np.arange(30)),
    ) == apart
