"""Is the text that is scored the decoding of the ids that were timed? Asked of the SUT after the
run, never in it.

A text that a SUT sends along is not scored where its ids can be decoded: the decoding is, and a
text that says something else is an Anomaly, which the output rule `text` judges. White space is not
compared: tokenizers differ in it. The decoding is the SUT's own (a local model's tokenizer, in its
process); nobody else has its vocabulary. A server leaves the text out that stopped an answer, and
its ids hold it: then what stands before it is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from accuracy.outputs.rules import TEXT_DIFFERS
from accuracy.outputs.stops import cut
from accuracy.outputs.vocabulary import Decode
from harness.kernel.log import Anomaly, RunLog

_SHOWN = 24  # characters
_AT_ONCE = 512  # answers per call: how long a SUT may take over one does not grow with the run


class ReadBack(NamedTuple):
    texts: dict[int, str]  # by sample id
    anomalies: list[Anomaly]
    texts_from: Literal["ids", "sut", ""]  # "" = there are none


Stops = Mapping[int, Sequence[str]]  # by the index of the question


def read_back(log: RunLog, decode: Decode, stops: Stops = MappingProxyType({})) -> ReadBack:
    """Return the texts of a run from its ids; the SUT's own where there are no ids, or where it
    cannot decode them. `stops` are the texts that end the answers.
    """
    sent = dict(log.texts)
    with_ids = [i for i in range(len(log)) if log.token_start[i + 1] > log.token_start[i]]
    texts: dict[int, str] = {}
    for first in range(0, len(with_ids), _AT_ONCE):
        some = with_ids[first : first + _AT_ONCE]
        decoded = decode([log.record(i).token_ids.tolist() for i in some])
        if decoded is None:
            return ReadBack(sent, [], "sut" if sent else "")
        texts |= zip(some, decoded, strict=True)
    if not texts:
        return ReadBack(sent, [], "sut" if sent else "")
    differing = [
        Anomaly(i, TEXT_DIFFERS, _difference(sent[i], texts[i]))
        for i in with_ids
        if _differ(sent.get(i), texts[i], stops.get(int(log.index[i]), ()))
    ]
    return ReadBack(sent | texts, differing, "ids")


def _differ(sent: str | None, decoded: str, stop: Sequence[str]) -> bool:
    """Tell whether the words differ. A character that is cut off at the end says nothing."""
    if sent is None or _words(sent) == _words(decoded):
        return False
    return _words(sent) != _words(cut(decoded, stop))


def _words(text: str) -> list[str]:
    return text.rstrip("\ufffd \n").split()


def _difference(sent: str, decoded: str) -> str:
    """Say where the words part."""
    ours, theirs = decoded.split(), sent.split()
    at = next(
        (k for k, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    return (
        f"word {at}: sent {_word(theirs, at)}, the ids say {_word(ours, at)} ({len(theirs)} words"
        f" sent, {len(ours)} decoded)"
    )


def _word(words: list[str], at: int) -> str:
    return repr(words[at][:_SHOWN]) if at < len(words) else "nothing"
