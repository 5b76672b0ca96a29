"""What did a run answer, and can it be judged?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics import references
from harness.kernel.types import Int64s, Sample

# What belongs to a model, and may differ where several answered the same questions.
_OF_A_MODEL = ("prompts", "tokenizer", "end-of-sequence ids", "chat template", "template date",
               "seeds")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outputs:
    """The answers of an accuracy run, one per sample in the order of the dataset.

    `problem` says why they cannot be judged; `terms` are what must be the same before two runs may
    be compared.
    """

    label: str
    model: str
    variant: str
    run: str
    problem: str
    terms: Mapping[str, str]
    index: Int64s
    ids: Sequence[NDArray[Any]]
    texts: Sequence[str]
    tokens: Int64s
    rows: int  # requests in a batch
    samples: Mapping[int, Sample] | None  # None: the dataset has moved or changed
    dataset: str
    tokens_per_s: float | None = None
    peak_bytes: int | None = None  # of its GPUs, else of its process; None: not known
    busy_share: float | None = None  # of its time that other programs took; None: not worth a word
    weights: str = ""  # digest of the tensors that answered; empty: the SUT does not tell
    precision: str = ""  # what the variant's name does not tell: "gptq-int4-g128", "tf32"
    is_tf32: bool = False  # float32, but products in TF32
    notes: Sequence[str] = field(default_factory=list)
    task: Mapping[str, Any] = field(default_factory=dict)  # what the run says of its --task
    marks: Sequence[dict[str, Any]] = ()  # rows of scores.parquet, made anew

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(n,) True where the dataset has an answer that texts are compared with."""
        known = references.text_references(list((self.samples or {}).values()))
        return np.array([bool(known.get(i, "").strip()) for i in self.index.tolist()], np.bool_)

    @property
    def asked(self) -> dict[str, str]:
        """What was asked, and how, whatever the model: the terms but for what is a model's own."""
        return {
            name: value
            for name, value in self.terms.items()
            if name not in _OF_A_MODEL and not name.startswith("weight files")
        }

    @property
    def empty(self) -> int:
        return sum(not text.strip() for text in self.texts)

    def as_row(self) -> dict[str, Any]:
        """Return what a row of the gate says of the run itself."""
        return {
            "label": self.label,
            "model": self.model,
            "variant": self.variant,
            "run": self.run,
            "n": len(self.index),
            "rows_in_batch": self.rows,
            "empty": self.empty,
            "tokens_per_s": self.tokens_per_s,
            "tokens_per_sample": float(self.tokens.mean()) if len(self.tokens) else None,
            "peak_bytes": self.peak_bytes,
            "busy_share": self.busy_share,
        }
