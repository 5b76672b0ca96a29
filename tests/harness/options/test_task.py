"""What does --task stand for where nothing else is said?"""

from __future__ import annotations

from harness.options.settings import load_config

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
