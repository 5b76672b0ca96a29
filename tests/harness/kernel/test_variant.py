"""What a variant is called in tables."""

from __future__ import annotations

import pytest

from harness.kernel.words.variant import is_tf32, named, precision_of
from reports.pages.likelihood import words

FP32_IN_TF32 = {"dtype": "float32", "tf32": True}


@pytest.mark.parametrize(
    ("variant", "facts", "name"),
    [
        ("bf16", {}, "bf16"),
        ("bf16", {"dtype": "bfloat16", "tf32": True}, "bf16"),
        ("fp32", {"dtype": "float32", "tf32": False}, "fp32"),
        ("fp32", FP32_IN_TF32, "fp32 (tf32)"),
        ("asis", {"precision": "gptq-int4-g128"}, "asis (gptq-int4-g128)"),
        ("asis", {"precision": "float32 of mxfp4"} | FP32_IN_TF32, "asis (float32 of mxfp4, tf32)"),
        ("", {"precision": "bnb-nf4"}, ""),
    ],
)
def test_the_name_tells_what_the_variant_does_not(variant, facts, name):
    found = named(variant, precision_of(facts))
    assert found == name
    assert named(found, precision_of(facts)) == name
    assert is_tf32(facts) == ("tf32" in name)


def test_a_perplexity_is_told_by_the_same_name():
    figures = {"perplexity": {"value": 3.0, "low": 2.9, "high": 3.1}}
    plain = {"model": "m", "variant": "fp32", "figures": figures} | FP32_IN_TF32
    few = {"model": "m", "variant": "asis", "precision": "awq-int4-g64"}
    few |= {"divergence": {"reference": "fp32", "reference_model": "m"}}
    summary = {"subjects": [plain, few]}
    assert words.labels(summary) == ["fp32 (tf32)", "asis (awq-int4-g64)"]
    assert words.reference(few, summary) == "fp32 (tf32)"
