"""Answers to questions made up for a test, marked as a run marks them."""

from __future__ import annotations

from accuracy.outputs.stops import cut
from accuracy.tasks.scorers import TABLE, Given
from accuracy.tasks.solved import Solved
from harness.kernel.types import Sample

STOP = ("Question:",)
SHOTS = "Question: How many legs have 2 dogs?\nAnswer: 2 * 4 = 8\n#### 8\n\n"


def number_sample(index, reference="It is 12 * 3 = <<12*3=36>>36.\n#### 36", kind="time"):
    prompt = f"{SHOTS}Question: What is problem {index}?\nAnswer:"
    return Sample(
        index=index, prompt=prompt, reference=reference, labels=(("kind", kind),), stop=STOP
    )


def choice_sample(index, right, count=4, subject="law"):
    return Sample(
        index=index,
        prompt=f"Case {index}\nAnswer:",
        reference=str(right),
        choices=tuple(f" {letter}" for letter in "ABCDEFGH"[:count]),
        labels=(("subject", subject),),
    )


def solved(samples, texts, label="fp32", scorers=("number", "number_strict"), nll=None, cuts=()):
    """Return what a run with these answers, by index, leaves."""
    nll = nll or {}
    rows = []
    for name in scorers:
        for sample in samples:
            text = cut(texts.get(sample.index, ""), sample.stop)
            mark = TABLE[name](Given(text, tuple(nll.get(sample.index, ()))), sample)
            rows.append(
                {
                    "index": sample.index,
                    "attempt": 0,
                    "scorer": name,
                    "score": mark.score,
                    "outcome": mark.outcome,
                    "answer": mark.answer,
                    "expected": sample.reference,
                    "tokens": len(text.split()),
                    "is_cut": sample.index in cuts,
                    "nll_nats": nll.get(sample.index),
                    **dict(sample.labels),
                }
            )
    by_index = {sample.index: sample for sample in samples}
    return Solved(label, "gsm8k", scorers[0], by_index, texts, rows)
