"""Runs of one tokenizer over the same samples must have been asked the same."""

from __future__ import annotations

import pytest

from harness.study.prompts import other_prompts

SAMPLES = {"dataset": "qa 1234", "samples": "8", "new tokens": "8", "machine": "a"}


def row(label, digest, tokenizer="t", conditions=SAMPLES, **facts):
    prompts = {"prompts_sha256": digest, "template_date": None, "truncated_samples": []} | facts
    return {"label": label, "tokenizer": tokenizer, "prompts": prompts, "conditions": conditions}


def test_the_same_prompts_are_no_difference():
    assert other_prompts([row("fp32", "a"), row("bf16", "a")]) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, "rules of the tokenizer, such as its start token"),
        ({"template_date": "2024-07-26"}, "the date that it was told"),
        ({"truncated_samples": [3]}, "the prompts that were cut"),
        ({"chat_template_sha256": "x", "truncated_samples": [3]},
         "the chat template, the prompts that were cut"),
    ],
)  # fmt: skip
def test_other_prompts_are_told_with_what_is_known_of_the_cause(facts, why):
    (said,) = other_prompts([row("fp32", "a"), row("bf16", "b", **facts), row("int8", "a")])
    assert said.startswith("prompts: a (fp32, int8); b (bf16): ")
    assert said.endswith(f"what differs: {why}")


@pytest.mark.parametrize(
    "other",
    [
        row("b", "b", tokenizer="u"),  # another model, whose prompts are its own
        row("b", "b", conditions=SAMPLES | {"samples": "16"}),  # varied on purpose, or told already
        row("b", "b", conditions=SAMPLES | {"new tokens": "16"}),
        {"label": "b", "tokenizer": "t", "prompts": None, "conditions": SAMPLES},  # of text alone
        {"label": "b", "tokenizer": "t", "conditions": SAMPLES},  # of an earlier version
    ],
)
def test_what_is_not_of_one_tokenizer_and_the_same_samples_may_differ(other):
    assert other_prompts([row("a", "a"), other]) == []


def test_another_machine_is_no_reason_for_other_prompts():
    assert other_prompts([row("a", "a"), row("b", "b", conditions=SAMPLES | {"machine": "b"})])
