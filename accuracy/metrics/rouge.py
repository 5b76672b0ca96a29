"""How much of the reference answer is in the output? ROUGE-1, -2, -L and -Lsum, F-measure x 100, as
MLPerf scores it.

The recipe: both texts without the space around them, one sentence per line (`rouge_sentences`);
words are runs of a-z and 0-9 in small letters, those of more than three through the Porter stemmer;
the F-measures of each sample; their means times a hundred, rounded to four places.

The definition is the package rouge-score, and the figures are its figures, bit by bit. Its
tokenizer still makes the stems, but each word's only once; its tables of all words against all
words are integers here (`rouge_lcs`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import spread
from accuracy.metrics import words
from accuracy.metrics.references import pairs, text_references
from accuracy.metrics.rouge_lcs import Positions
from accuracy.metrics.sentences import sentences
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_MOST_KEPT, _LONGEST_KEPT = (
    2**16,
    40,
)  # stems, and letters: what is longer is no word and seldom comes twice


def rouge(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return the mean over those of the samples `ids` that have a reference and an answer; nothing
    if there is none.

    An answer of no words scores 0 and counts (`references.pairs` says what an answer is).
    """
    found = pairs(log, text_references(samples), ids)
    if not found:
        return []
    texts, references = zip(*found, strict=True)
    lengths = [_length(reference) for reference in references]
    return figures(KINDS, spread.rows(scores, texts, references), lengths, _unread(references))


def _length(reference: str) -> int:
    """Return how many words ROUGE finds; none where it cannot read the text."""
    return 0 if words.is_unread(reference) else len(words.a_to_z(reference))


def figures(
    kinds: Sequence[str], rows: NDArray[np.float64], lengths: Sequence[int], unread: str
) -> list[Metric]:
    """Return the means of `rows` (n, 4) x 100, rounded to four places.

    `lengths` are the words of the references, 0 of those that cannot be read: where no other is
    there, there is no figure. `unread` says which cannot.
    """
    n, short = len(lengths), sum(length < 2 for length in lengths)
    too_short = f"{short} of {n} reference answers have fewer than two words"
    found = []
    for kind, column in zip(kinds, rows.T.copy(), strict=True):  # added up as a list is
        mean = round(float(np.mean(column)) * 100, 4) if any(lengths) else None
        needs_two = kind.endswith("2") and 2 * short > n
        why = unread or (too_short if needs_two else "")
        found.append(Metric(kind, mean, "F x 100", n, why))
    return found


def _unread(references: Sequence[str]) -> str:
    """Say which references ROUGE cannot read; nothing if it reads all."""
    unread = [text for text in references if words.is_unread(text)]
    if not unread:
        return ""
    seen = words.unread(len(unread), len(references))
    return f"{seen}; multilingual_rouge reads them" if any(map(words.any_script, unread)) else seen


def scores(
    texts: Sequence[str | Prepared],
    references: Sequence[str | Prepared],
    scored: Callable[[Any, Any], tuple[float, ...]] | None = None,
) -> NDArray[np.float64]:
    """Return (n, 4): a row per pair, a column per kind. `scored` gives the row of a pair; `score`
    unless there is another.
    """
    scored = scored or score
    found = np.zeros((len(texts), len(KINDS)))
    for i, (text, reference) in enumerate(zip(texts, references, strict=True)):
        found[i] = scored(text, reference)
    return found


def score(text: str | Prepared, reference: str | Prepared) -> tuple[float, ...]:
    """Return the F-measures of one pair, in the order of KINDS, each in [0, 1]."""
    return tuple(overlap.f for overlap in overlaps(text, reference))


class Overlap(NamedTuple):
    """How many words, or pairs of words, a text shares with a reference, and how many there are in
    each.
    """

    shared: int
    of_text: int
    of_reference: int

    @property
    def precision(self) -> float:
        return self.shared / self.of_text if self.shared else 0.0

    @property
    def recall(self) -> float:
        return self.shared / self.of_reference if self.shared else 0.0

    @property
    def f(self) -> float:
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall) if self.shared else 0.0


def overlaps(text: str | Prepared, reference: str | Prepared) -> tuple[Overlap, ...]:
    """Return what one pair has in common, in the order of KINDS."""
    ours = _prepared(text) if isinstance(text, str) else text
    theirs = _prepared(reference) if isinstance(reference, str) else reference
    n, m = len(ours.words), len(theirs.words)
    return (
        Overlap(_shared(ours.counts, theirs.counts), n, m),
        Overlap(_shared(ours.pairs, theirs.pairs), max(n - 1, 0), max(m - 1, 0)),
        Overlap(theirs.positions.longest(ours.words), n, m),
        Overlap(theirs.positions.matched(ours.lines, ours.counts), n, m),
    )


class Prepared:
    """A text taken apart. Worth keeping for a reference that several texts are scored against.

    `lines_of` gives the words of each of its sentences; none of a sentence without words.
    """

    __slots__ = ("_positions", "counts", "lines", "pairs", "words")

    def __init__(self, text: str, lines_of: Callable[[str], list[list[str]]] | None = None) -> None:
        self.lines = (lines_of or stemmed_lines)(text)
        self.words = list(chain.from_iterable(self.lines))
        self.counts = Counter(self.words)
        self.pairs = Counter(pairwise(self.words))
        self._positions: Positions | None = None

    @property
    def positions(self) -> Positions:
        """Only a reference needs them."""
        if self._positions is None:
            self._positions = Positions(self.lines)
        return self._positions


_prepared = lru_cache(maxsize=16)(
    Prepared
)  # one reference and its candidates; a long answer takes megabytes


def stemmed_lines(text: str) -> list[list[str]]:
    """Return the stems of each sentence that has words."""
    lines = []
    for sentence in by_sentence(text).split("\n"):
        if found := words.a_to_z(sentence):
            lines.append([_stems[word] for word in found])
    return lines


def by_sentence(text: str) -> str:
    """Put each sentence of a text on a line of its own."""
    return "\n".join(sentences(text))


class _Stems(dict[str, str]):
    """word -> stem, of every word that came up; when full, it starts anew."""

    def __missing__(self, word: str) -> str:
        (stem,) = _tokenizer().tokenize(word)
        if len(word) <= _LONGEST_KEPT:
            if len(self) == _MOST_KEPT:
                self.clear()
            self[word] = stem
        return stem


_stems = _Stems()


@cache
def _tokenizer() -> Any:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


def _shared(ours: Counter[Any], theirs: Counter[Any]) -> int:
    return sum(min(ours[each], theirs[each]) for each in ours.keys() & theirs.keys())
