"""What cannot go together with several attempts is refused in a sentence, before a model loads."""

from __future__ import annotations

import pytest

from harness.kernel.errors import BadInput
from harness.options.settings import load_config

TASK = {"scenario": "offline", "mode": "accuracy", "task": "word-problems"}


def refused(**flags):
    with pytest.raises(BadInput) as error:
        load_config({**TASK, **flags})
    return str(error.value)


def test_several_attempts_need_a_temperature():
    assert "--attempts 8: at temperature 0 all attempts would be the same" in refused(attempts=8)
    assert load_config({**TASK, "attempts": 8, "temperature": 0.8}).attempts == 8


@pytest.mark.parametrize(
    "flags", [{"attempts": 2}, {"temperature": 0.5}, {"sampling_seed": 3}, {"top_p": 0.5}]
)
def test_only_a_task_is_asked_several_times(flags):
    (name,) = flags
    flag = f"--{name.replace('_', '-')}"
    assert f"{flag}: only answers to a task are drawn; pass --task" in refused(task=None, **flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"attempts": 0}, "--attempts is 0: it must be above 0"),
        ({"attempts": 1025, "temperature": 1.0}, "--attempts is 1025: it must be at most 1,024"),
        ({"temperature": -0.1}, "--temperature is -0.1: it must be at least 0"),
        ({"temperature": 2.1}, "--temperature is 2.1: it must be at most 2"),
        ({"temperature": float("nan")}, "--temperature is nan"),
        ({"temperature": 1.0, "top_p": 0.0}, "--top-p is 0.0: it must be above 0"),
        ({"temperature": 1.0, "top_p": 1.5}, "--top-p is 1.5: it must be at most 1"),
        ({"temperature": 1.0, "sampling_seed": -1}, "--sampling-seed is -1: it must be at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(flags, words):
    assert words in refused(**flags)


def test_what_would_do_nothing_is_refused():
    assert "--top-p: nothing is drawn at temperature 0" in refused(top_p=0.9)
    assert "--sampling-seed: nothing is drawn at temperature 0" in refused(sampling_seed=4)
    assert "--verifier: it chooses among several" in refused(verifier="builtins:len")


@pytest.mark.parametrize("mode", ["performance", "submission"])
def test_a_performance_run_has_greedy_answers(mode):
    words = refused(mode=mode, attempts=2, temperature=0.8)
    assert f"--attempts: --mode {mode} measures greedy answers" in words


def test_likelihoods_of_given_choices_are_the_same_in_every_attempt(tmp_path):
    file = tmp_path / "arc.jsonl"
    file.write_text("{}\n")
    words = refused(task=f"arc:{file}", attempts=2, temperature=0.8)
    assert "arc compares the likelihoods of given choices" in words


def test_a_verifier_that_is_none_is_refused():
    words = refused(attempts=2, temperature=0.8, verifier="builtins:lenn")
    assert "'lenn' is not known" in words
