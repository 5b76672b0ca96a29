"""What is said of decode steps: the figures, the note below a tenth, the likely reasons."""

from __future__ import annotations

import pytest

from harness.result.device import self_check

CHECK = {
    "copy_bytes_per_s": 3e12, "weights_read_bytes": 16_000_000_000, "cache_counted": True,
    "rows": 32, "steps": 100, "step_ms": 100.0, "limit_ms": 5.0, "share": 0.05, "by_rows": [],
}  # fmt: skip
GPU = {
    "device": "cuda:0", "variant": "bf16", "dtype": "bfloat16", "weights_on": {"cuda:0": 1},
    "decode_step": "graph lean", "batching": "in flight", "packed_layers": 0, "adapter": {},
}  # fmt: skip
CPU = GPU | {"device": "cpu", "weights_on": {"cpu": 1}, "decode_step": "lean", "packed_layers": 9}


def reasons(facts, **check):
    return self_check.figures(CHECK | check, facts)["slowed_by"]


def test_a_run_without_one_has_nothing():
    assert self_check.figures({}, GPU) == {}
    assert self_check.notes({}) == []


def test_a_run_of_few_steps_has_no_share_and_no_note():
    found = self_check.figures({"copy_bytes_per_s": None, "by_rows": []}, GPU)
    assert found["slowed_by"] == []
    assert self_check.notes(found) == []


def test_a_step_below_a_tenth_of_the_limit_is_told():
    (said,) = self_check.notes(self_check.figures(CHECK, GPU | {"decode_step": "eager classes"}))
    assert said == (
        "a decode step of 32 rows took 100 ms, and the device's memory allows 5 ms (5 % of the"
        " speed that it allows): likely because its decode steps are those of the model's own"
        " classes and each operation of a step is launched by itself"
    )


def test_one_above_is_not():
    assert self_check.notes(self_check.figures(CHECK | {"share": 0.1}, GPU)) == []


def test_a_slow_step_that_nothing_explains_says_so():
    (said,) = self_check.notes(self_check.figures(CHECK | {"rows": 1}, GPU))
    assert said.startswith("a decode step of 1 row took")
    assert said.endswith("its facts do not say why")


@pytest.mark.parametrize(
    ("facts", "check", "word"),
    [
        (GPU | {"weights_on": {"cuda:0": 1, "cpu": 1}}, {}, "brought to the GPU in every step"),
        (GPU | {"variant": "int8"}, {}, "outliers computed apart"),
        (GPU | {"variant": "lora-nf4", "adapter": {"merged": True}}, {}, "expanded to bfloat16"),
        (CPU | {"variant": "int4-quanto"}, {}, "expanded to bfloat16"),
        (GPU | {"adapter": {"merged": False}}, {}, "adapter is not merged"),
        (GPU | {"emulated": True}, {}, "emulated"),
        (GPU | {"decode_step": "eager lean"}, {"rows": 1}, "launched by itself, which few rows"),
        (GPU | {"batching": "static"}, {}, "served in static batches"),
        (CPU | {"variant": "fp8-tensor"}, {}, "emulated"),
        (CPU | {"dtype": "float16"}, {}, "no fast arithmetic in float16"),
        (CPU | {"packed_layers": 0}, {}, "not packed"),
        (CPU | {"decode_step": "the model's own classes"}, {}, "the model's own classes"),
        (CPU, {"rows": 32}, "arithmetic of 32 rows"),
    ],
)
def test_facts_that_slow_a_step_are_named(facts, check, word):
    assert any(word in reason for reason in reasons(facts, **check))


def test_what_is_as_it_should_be_is_no_reason():
    assert reasons(GPU) == []
    assert reasons(CPU, rows=8) == []


def test_captures_while_the_clock_ran_are_told():
    said = "captured as a graph while the clock ran, and took longer for it"
    assert self_check.notes({"captured_in_run": 0}) == []
    assert self_check.notes({"captured_in_run": 1}) == [f"one step was {said}"]
    assert self_check.notes({"captured_in_run": 3}) == [f"3 steps were {said}"]
