"""What does --task stand for where nothing else is said?"""

from __future__ import annotations

import pytest

from harness.kernel.errors import BadInput
from harness.options.effective import effective
from harness.options.settings import load_config, run_settings

LOCAL = {"task": "word-problems"}


def test_a_task_is_solved_once_by_an_accuracy_run_of_the_offline_scenario():
    config = load_config(LOCAL)
    assert (config.scenario, config.mode) == ("offline", "accuracy")
    assert (config.origins["scenario"], config.origins["mode"]) == ("--task", "--task")


def test_what_the_user_says_holds():
    config = load_config(LOCAL | {"scenario": "server", "mode": "performance"})
    assert (config.scenario, config.mode) == ("server", "performance")


def test_an_answer_may_be_as_long_as_the_task_says():
    assert load_config(LOCAL).tokens_per_answer == 256
    assert load_config(LOCAL | {"max_new_tokens": 8}).tokens_per_answer == 8


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"dataset": "qa"}, "--dataset: the questions are those of --task"),
        ({"reference_column": "answer"}, "--reference-column: the questions are those of --task"),
        ({"input_tokens": "fixed:100"}, "--input-tokens: it makes prompts that ask no task"),
        ({"sut": "simulated"}, "--task: --sut simulated answers no questions"),
    ],
)
def test_what_would_leave_a_task_aside_is_refused(more, said):
    with pytest.raises(BadInput, match=said):
        load_config(LOCAL | more)


def test_what_says_nothing_of_a_task_needs_none():
    load_config({"scenario": "offline", "chat": False})


@pytest.mark.parametrize("more", [{"shots": 2}, {"chat": True}, {"shots_file": "a.jsonl"}])
def test_what_belongs_to_a_task_is_refused_without_one(more):
    with pytest.raises(BadInput, match="it is for --task"):
        load_config({"scenario": "offline"} | more)


def test_a_load_with_prompts_of_its_own_asks_no_task(tmp_path):
    file = tmp_path / "talks.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "Hello"}]}\n')
    with pytest.raises(BadInput, match="it brings prompts of its own"):
        load_config(LOCAL | {"scenario": "server", "load": f"conversations:{file}"})


def test_a_plan_says_what_the_task_decides():
    config = load_config({"task": "word-problems", "scenario": "offline", "mode": "accuracy"})
    rows = effective(config, run_settings(config, 60, 10.0))
    shown = {row.name: (row.value, row.origin) for row in rows}
    assert shown["max_new_tokens"] == (256, "the task")
    assert "dataset" not in shown
