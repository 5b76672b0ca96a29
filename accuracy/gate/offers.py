"""What may a gate decide by? Every name that `--metric` takes, in one table: the help of the
command, docs/gate.md and the checks read it.

Right and wrong answers are held against each other pair by pair (McNemar's exact test, the score
interval of paired shares, `accuracy.gate.paired`); other scores, and figures of all answers
together, by a paired bootstrap over the answers (`accuracy.gate.ratios`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Of = Literal["texts", "any answers", "a dataset's answers"]
PAIRS, BOOTSTRAP = "pairs of right and wrong", "paired bootstrap"


class Offer(NamedTuple):
    """A name that `--metric` takes, which answers it scores and what its interval comes from."""

    name: str
    says: str
    of: Of
    interval: str


_OFFERS = (
    Offer("rouge", "MLPerf's ROUGE-1, -2 and -L, for English", "texts", BOOTSTRAP),
    Offer("multilingual_rouge", "the same over the words of every script", "texts", BOOTSTRAP),
    Offer("bleu", "corpus BLEU, as sacrebleu's", "any answers", BOOTSTRAP),
    Offer("chrf", "corpus chrF, as sacrebleu's", "any answers", BOOTSTRAP),
    Offer("exact_match", "the expected text, but for case and punctuation", "any answers", PAIRS),
    Offer("token_f1", "words shared with the expected text", "any answers", BOOTSTRAP),
    Offer("number_match", "the final number or formula", "a dataset's answers", PAIRS),
    Offer("multiple_choice", "the letter that was chosen", "a dataset's answers", PAIRS),
    Offer("mlperf_scores", "numbers, needles and short answers, as MLPerf's scripts score them",
          "a dataset's answers", f"{PAIRS}; of needles, the {BOOTSTRAP}"),
)  # fmt: skip
TABLE = {offer.name: offer for offer in _OFFERS}


def in_words() -> str:
    """Return the help of `--metric`."""
    names = ", ".join(TABLE)
    return (
        f"What answers are scored with: {names}, a scorer of --task such as number_strict, or the"
        " metric of an installed plug-in. Default: the first scorer of --task, else rouge."
    )
