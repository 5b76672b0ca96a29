"""Variants that are slower than FP32 with smaller weights: who is told of, and what is said."""

from __future__ import annotations

import pytest

from reports.pages import compare as page
from tests.harness.study.comparison.test_compare import MIB, compared, screen
from tests.harness.study.comparison.test_compare import row as bare


def row(variant="fp32", share=0.5, slowed_by=(), **changes):
    checked = {
        "rows": 8, "step_ms": 10.0, "limit_ms": 10.0 * (share or 0), "share": share,
        "path": "the model's own classes", "slowed_by": list(slowed_by),
    }  # fmt: skip
    return bare(variant, **({"self_check": checked} | changes))


def bf16(**changes):
    return row("bf16", **({"tokens_per_s": 30.0, "weights_bytes": 256 * MIB} | changes))


def test_a_slower_bf16_is_told_with_its_share_and_the_likely_reason():
    found = compared(row(), bf16(share=0.04, slowed_by=["its steps are slow", "it is late"]))
    (said,) = found["slower"]
    assert said == (
        "bf16 is slower than fp32 (0.30x) although its weights are smaller (0.50x): its steps reach"
        " 4 % of what the device's memory allows, likely because its steps are slow and it is late"
    )


def test_screen_and_page_say_so():
    found = compared(row(), bf16(share=0.04))
    assert "bf16 is slower than fp32 (0.30x)" in " ".join(screen(found, width=200).split())
    assert "bf16 is slower than fp32 (0.30x)" in page.render(found)
    assert "of the memory&#39;s limit" in page.render(found)


@pytest.mark.parametrize(
    "other",
    [
        bf16(tokens_per_s=97.0),
        bf16(tokens_per_s=None),
        bf16(weights_bytes=600 * MIB),
        bf16(share=None),
        bf16(model="another"),
        bare("bf16", tokens_per_s=30.0, weights_bytes=256 * MIB),
    ],
    ids=["as fast", "no speed", "not smaller", "no limit", "another model", "an older run"],
)
def test_nobody_else_is_told_of(other):
    assert "slower" not in compared(row(), other)


def test_the_reference_need_not_be_fp32():
    found = compared(bf16(), row(), bf16(label="x"))
    assert len(found["slower"]) == 2
