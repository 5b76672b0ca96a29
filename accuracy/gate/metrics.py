"""With which kinds of ROUGE does a gate score, and of how many texts can they say anything?

A share of nothing is no agreement. Where a metric cannot read a text, what a candidate wrote
instead of the reference's words may be as good or all wrong. So a verdict must hold both ways
(`doubted`): a share is kept for certain if it is kept with these samples lost, and missed for
certain if it is missed with these samples kept. ROUGE-2 needs two words: where fewer than one in
ten samples that can be read have them (`LEAST_PAIRED`), it is not defined for the data; it is shown
and not judged, and the other kinds decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from accuracy.gate.ratios import Judged, Ratio, Verdict, judge
from accuracy.metrics import multilingual, rouge, words
from accuracy.resampling import Floats

LEAST_PAIRED = 0.1
_NO_SHARE = 0.5  # from this share of doubt on, a figure would be one of other texts
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


class Part(NamedTuple):
    """Some of the texts that a metric scores, and what they are scored against."""

    metric: str  # one of METRICS
    texts: Sequence[str]
    references: Sequence[str]


def scored(part: Part) -> NDArray[Any]:
    """Return (n, 4): the scores of a part. A text's score does not depend on the others."""
    return METRICS[part.metric].scores(part.texts, part.references)


class Coverage(NamedTuple):
    """Of how many of `n` samples a metric can say something.

    `unread` are those whose text it cannot read, `changed` those of them in which a candidate's
    output is not the reference's own, and `unread_by_all` those that no metric here reads.
    `paired` are those of the `readable` ones that have the two words that ROUGE-2 needs.
    `all_same`: every output is the reference's own, which any metric finds equal.
    """

    metric: GateMetric
    what: str = "reference answers"
    n: int = 0
    unread: int = 0
    unread_by_all: int = 0
    changed: int = 0
    readable: int = 0
    paired: int = 0
    all_same: bool = False

    @property
    def doubt(self) -> float:
        """The share of the samples of which nobody knows what became."""
        return self.changed / self.n if self.n else 0.0

    @property
    def problem(self) -> str:
        """Say what cannot be read, and what to do."""
        return f"{self.words}; {self._advice()}"

    @property
    def words(self) -> str:
        """Say what cannot be read; empty if everything can."""
        if not self.unread:
            return ""
        seen = f"{self.unread} of {self.n} {self.what}"
        return f"{self.metric.title} cannot read {seen}: {self.metric.knows}"

    def _advice(self) -> str:
        if self.metric.name == "rouge" and self.unread_by_all < self.unread:
            return "pass --metric multilingual_rouge"
        return "use a dataset whose answers have words"

    @property
    def undefined(self) -> Mapping[str, str]:
        """Kinds that are not defined for these texts, and why."""
        if not self.readable or self.paired >= LEAST_PAIRED * self.readable:
            return {}
        few = self.readable - self.paired
        words = f"{few} of {self.readable} samples have an answer of fewer than two words"
        return {self.metric.judged[_TWO_WORDS]: f"not defined: {words}"}


def coverage(
    metric: GateMetric, texts: Sequence[str], own: Sequence[str], what: str, n: int | None = None
) -> Coverage:
    """Return of how many samples the metric can say something, of which `texts` are scored against.

    `own` are the reference's outputs for the same samples: where they have one word, there is no
    pair to keep either. `n`: how many samples there are, where only some need to be scored.
    """
    unread = [text for text in texts if metric.is_unread(text)]
    pairs = [pair for pair in zip(texts, own, strict=True) if not metric.is_unread(pair[0])]
    return Coverage(
        metric=metric,
        what=what,
        n=len(texts) if n is None else n,
        unread=len(unread),
        unread_by_all=sum(map(_has_no_word, unread)),
        changed=len(unread),
        readable=len(pairs),
        paired=sum(min(len(metric.words_of(text)) for text in pair) > 1 for pair in pairs),
    )


def seen_by(ratio: Ratio, covered: Coverage) -> Ratio:
    """Return the ratio as far as the metric can tell: 1 where every output is the reference's own,
    nothing where it is one of other texts.
    """
    if covered.all_same:
        return replace(ratio, value=1.0, low=1.0, high=1.0)
    if covered.doubt >= _NO_SHARE:
        return replace(ratio, value=None, low=None, high=None)
    return ratio


def doubted(ratio: Ratio, share: float, covered: Coverage) -> Verdict:
    """Judge a ratio at a share, where what cannot be read may be lost or kept."""
    verdict, doubt = judge(ratio, share), covered.doubt
    if not doubt or ratio.low is None or ratio.high is None:
        return verdict
    if min(ratio.low, 1.0) * (1 - doubt) >= share or ratio.high + doubt < share:
        return verdict
    return verdict._replace(status="UNDECIDED", needed=None)


def is_open_for_doubt(one: Judged, share: float, covered: Coverage) -> bool:
    """Say whether no number of samples would decide a ratio, for what cannot be read."""
    if not covered.doubt or not one.verdicts or one.limits is not None:
        return False
    is_lost = one.ratio.value is None or covered.doubt > 1 - share
    return is_lost or judge(one.ratio, share) != doubted(one.ratio, share, covered)
