"""With which kinds of ROUGE does a gate score, and of how many texts can they say anything?

A share of nothing is no agreement. Where a metric cannot read more than one in ten of the texts
that its figures rest on (`MOST_UNREAD`), what a candidate lost may lie in those, so every kind of
it is UNDECIDED. ROUGE-2 needs two words: where fewer than one in ten samples have them
(`LEAST_PAIRED`), it is not defined for the data; it is shown and not judged, and the other kinds
decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics import multilingual, rouge, words
from accuracy.resampling import Floats

MOST_UNREAD = LEAST_PAIRED = 0.1
_JUDGED = 3  # of the kinds: ROUGE-1, -2 and -L
_TWO_WORDS = 1  # the place among them of the kind that needs pairs of words


class GateMetric(NamedTuple):
    """`kinds` are the names of its columns, in the order of `rouge.KINDS`; `knows` says which
    words it finds.
    """

    name: str
    kinds: tuple[str, ...]
    scores: Callable[..., NDArray[Any]]
    words_of: Callable[[str], list[str]]
    is_unread: Callable[[str], bool]
    knows: str

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").replace("rouge", "ROUGE")

    @property
    def judged(self) -> tuple[str, ...]:
        """The kinds that must keep the target."""
        return self.kinds[:_JUDGED]

    def columns(self, scores: NDArray[Any]) -> dict[str, Floats]:
        """Return the scores of the kinds that are judged, by name."""
        return {kind: scores[:, k] for k, kind in enumerate(self.judged)}


def _has_no_word(text: str) -> bool:
    return not words.any_script(text)


METRICS = {
    "rouge": GateMetric(
        "rouge",
        rouge.KINDS,
        rouge.scores,
        words.a_to_z,
        words.is_unread,
        "it knows only the letters a-z and the digits 0-9",
    ),
    "multilingual_rouge": GateMetric(
        "multilingual_rouge",
        multilingual.KINDS,
        multilingual.scores,
        words.any_script,
        _has_no_word,
        "they have no words",
    ),
}


class Coverage(NamedTuple):
    """Of how many texts a metric can say something: of `n`, it cannot read `unread`, and `paired`
    have the two words that ROUGE-2 needs; `elsewhere` would still be unread to multilingual ROUGE.
    """

    metric: GateMetric
    n: int
    unread: int
    paired: int
    elsewhere: int
    what: str

    @property
    def problem(self) -> str:
        """Why none of its kinds can be trusted, and what to do; empty if they can."""
        if self.unread <= MOST_UNREAD * self.n:
            return ""
        return f"{self.unread_words}; {self._advice()}"

    @property
    def unread_words(self) -> str:
        """Say what cannot be read; empty if everything can."""
        if not self.unread:
            return ""
        seen = f"{self.unread} of {self.n} {self.what}"
        return f"{self.metric.title} cannot read {seen}: {self.metric.knows}"

    def _advice(self) -> str:
        reads_more = self.elsewhere <= MOST_UNREAD * self.n
        if self.metric.name == "rouge" and reads_more:
            return "pass --metric multilingual_rouge"
        return "use a dataset whose answers are texts, or judge by another score of the runs"

    @property
    def undefined(self) -> Mapping[str, str]:
        """Kinds that are not defined for these texts, and why."""
        if not self.n or self.paired >= LEAST_PAIRED * self.n:
            return {}
        few = f"{self.n - self.paired} of {self.n} {self.what} have fewer than two words"
        return {self.metric.kinds[_TWO_WORDS]: f"it is not defined: {few}"}


def coverage(
    metric: GateMetric, texts: Sequence[str], beside: Sequence[str], what: str
) -> Coverage:
    """Return of how many `texts` the metric can say something. `beside` are the reference run's own
    texts for the same samples: what has one word there has no pair to keep either.
    """
    unread = [text for text in texts if metric.is_unread(text)]
    both = zip(texts, beside, strict=True)
    paired = [min(len(metric.words_of(text)) for text in pair) > 1 for pair in both]
    elsewhere = sum(map(_has_no_word, unread))
    return Coverage(metric, len(texts), len(unread), int(np.sum(paired)), elsewhere, what)
