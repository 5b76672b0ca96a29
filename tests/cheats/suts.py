"""Systems under test that cheat, each in one way. docs/cheats.md says what each would win and which
check catches it; every class here stands in that table.

Most are made of arithmetic and run on the virtual clock; those that need a process of their own
say so. `RUNS` is the folder of the runs, which a real cheat finds through its parent's open files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.kernel.types import MemoryUse, Output, Query, Sample
from sut.null import Null
from sut.simulated import EOS, Simulated

RUNS = Path("runs")
FEW = 140  # samples of a run that an audit makes
VICTIM = "TOUCHSTONE_TEST_VICTIM"


def newest(pattern: str) -> Path:
    return max(RUNS.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def raise_limits(file: Path) -> None:
    """Edit the limits that a run is judged by."""
    saved = json.loads(file.read_text())
    saved["run"] |= {"ttft_limit_ns": 10**12, "tpot_limit_ns": 10**12, "percentile": 0.5}
    file.write_text(json.dumps(saved))


class Speaks(Simulated):
    """Honest: every token is a word."""

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return [" ".join(f"w{token}" for token in ids if token != EOS) for ids in outputs]


# ---- what stands in the run folder


class ReadsItsStdout(Null):
    """In a process of its own: edits what lies beside the file that its stdout goes to, and tells
    of less memory than it uses.
    """

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        super().load(samples, sink)
        beside = Path(os.readlink("/proc/self/fd/1")).parent
        print("beside:", sorted(path.name for path in beside.glob("*.json")))
        for file in beside.glob("settings.json"):
            raise_limits(file)

    def memory(self) -> MemoryUse:
        return MemoryUse(rss_peak_bytes=1 << 20, source="my word")


class LinksItsLog(Null):
    """In a process of its own: puts a link where its log will be, so that the harness writes into a
    file of the user's.
    """

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        super().load(samples, sink)
        print("what I say is written there")
        log = newest("*") / "sut.log"
        if not log.is_symlink():
            log.symlink_to(os.environ[VICTIM])


class RaisesItsLimits(Simulated):
    """Edits settings.json after the timed part, before the run is judged."""

    def memory(self) -> MemoryUse:
        raise_limits(newest("*/settings.json"))
        return super().memory()


class EditsTheFirstPart(Simulated):
    """Edits the accuracy part of a submission while the performance part is measured."""

    def issue(self, query: Query) -> None:
        for part in RUNS.glob("*/accuracy/result.json"):
            raise_limits(part.parent / "settings.json")
            (part.parent / "samples.parquet").write_bytes(b"PAR1")
        super().issue(query)


class EditsTheBestStep(Simulated):
    """Edits the steps of a search, so that another rate is the best one's figure."""

    def issue(self, query: Query) -> None:
        for step in RUNS.glob("*/step_01/result.json"):
            (step.parent / "samples.parquet").write_bytes(b"PAR1")
        super().issue(query)


# ---- what it sends in time


class KeepsAnswers(Simulated):
    """Answers at once what it was asked before."""

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        super().load(samples, sink)
        self.known: set[str] = set()

    def keeps(self) -> bool:
        return True

    def issue(self, query: Query) -> None:
        for sample in query.samples:
            prompt = self._samples[sample.index].prompt
            if prompt in self.known and self.keeps():
                ids = self._answer(sample.index)
                self._sink.first_token(sample.id, ids[0])
                self._sink.tokens(sample.id, ids[1:])
                self._sink.complete(Output(sample.id, "eos", ids))
                continue
            self.known.add(prompt)
            super().issue(Query(query.id, [sample], query.release))


class KeepsAnswersUnwatched(KeepsAnswers):
    """Does so, but not in the runs that an audit makes: it sees them by whatever means."""

    watched = False

    def keeps(self) -> bool:
        return not self.watched


class FastUnwatched(Simulated):
    """Serves a smaller model where nobody audits it."""

    watched = False

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        super().load(samples, sink)
        self._per_token_ns = 5_000_000 if self.watched else 3_000_000


class RecognisesQuestions(Simulated):
    """Answers the questions of the benchmark in half the tokens."""

    known: frozenset[str] = frozenset()

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        return ids[len(ids) // 2 :] if self._samples[index].prompt in self.known else ids


class SendsAnyFirstToken(Simulated):
    """Sends a token at once that begins every answer, and then does the work."""

    def _answer(self, index: int) -> list[int]:
        return [7, *super()._answer(index)[1:]]

    def _first(self, sample_id: int, ids: list[int]) -> None:
        self._sink.first_token(sample_id, ids[0])
        self._after(10 * self._ttft_ns, lambda: self._next(sample_id, ids, 1))  # type: ignore[arg-type]


class ReportsAnotherFirstToken(Simulated):
    """Stops the clock with a token that the answer does not begin with."""

    def _first(self, sample_id: int, ids: list[int]) -> None:
        super()._first(sample_id, [ids[0] + 1, *ids[1:]])

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        super()._complete(sample_id, [ids[0] - 1, *ids[1:]])


class SendsInOneBurst(Simulated):
    """Sends one token early and all the others together, so that TPOT looks short."""

    def _next(self, sample_id: int, ids: list[int], position: int) -> None:
        if position == 1:

            def rest() -> None:
                self._sink.tokens(sample_id, ids[1:])
                super(SendsInOneBurst, self)._next(sample_id, ids, len(ids))

            self._after(len(ids) * self._per_token_ns, rest)  # type: ignore[arg-type]
            return
        super()._next(sample_id, ids, position)


class GoesOnAfterEos(Simulated):
    """Fills its answers with tokens after the end."""

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        return [*ids[: len(ids) // 2], EOS, *ids[len(ids) // 2 :]]


class NamesNoEos(GoesOnAfterEos):
    """Does so, and names no end token, so that nobody can see it."""

    def facts(self) -> dict[str, Any]:
        return {"model": "simulated"}


class CountsTooMany(Simulated):
    """Reports more tokens than it sent."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        self._busy -= 0
        self._sink.complete(Output(sample_id, "eos", ids, reported_tokens=2 * len(ids)))


class LosesTheSlowOnes(Simulated):
    """Never answers what would spoil its tail."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        if sample_id % 10:
            super()._complete(sample_id, ids)


class AnswersBeforeItIsAsked(Simulated):
    """Sample ids are dense, so that the next one can be answered before its query."""

    def issue(self, query: Query) -> None:
        super().issue(query)
        self._sink.first_token(query.samples[-1].id + 1, 9)


class AnswersTwice(Simulated):
    """Completes samples again with a better answer."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        super()._complete(sample_id, ids)
        super()._complete(sample_id, ids)


class SaysNothing(Simulated):
    """Completes every sample with no answer."""

    def _first(self, sample_id: int, ids: list[int]) -> None:
        self._busy -= 1
        self._sink.complete(Output(sample_id, "eos", []))
        self._admit()


# ---- which answers it gives


class SmallerModelInTime(Simulated):
    """Answers as another model does, but for the accuracy run."""

    careful = False

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        return ids if self.careful else [token + 1 for token in ids[:-1]] + ids[-1:]


class CutsAllShort(Speaks):
    """Ends every answer after half of it, in the accuracy run too."""

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        return ids[len(ids) // 2 :]


class PadsWithNothing(Speaks):
    """Fills its answers with tokens that decode to nothing."""

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        return [*ids[: len(ids) // 2], *[1] * (len(ids) - len(ids) // 2 - 1), EOS]

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        said = [[token for token in ids if token > EOS] for ids in outputs]
        return super().decode(said)


class SendsAnotherText(Speaks):
    """Sends a text that is better than its tokens."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        self._busy -= 0
        text = "the answer that the dataset wants"
        self._sink.complete(Output(sample_id, "eos", ids, text, reported_tokens=len(ids)))


class WritesAfterwards(Speaks):
    """Sends any ids in time, and finds the text of whole answers when it is asked for it."""

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return [f"w{ids[0]}" if len(ids) == 1 else f"a good answer {sum(ids)}" for ids in outputs]


class InventsItsVocabulary(Speaks):
    """Sends any ids in time, and makes them words later, each one the same everywhere."""

    def __init__(self, clock: Any, **options: Any) -> None:
        super().__init__(clock, **options)
        self._answered = False

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        self._answered = True
        super()._complete(sample_id, ids)

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        if not self._answered:
            return super().decode(outputs)
        return [" ".join(f"later{token}" for token in ids if token != EOS) for ids in outputs]


class AvoidsWhatItSaid(InventsItsVocabulary):
    """Does so, with ids that it was not asked about before the run."""

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        if not self._answered:
            self.said = {ids[0]: f"w{ids[0]}" for ids in outputs} | getattr(self, "said", {})
            self.free = [token for token in range(3, 30_000) if token not in self.said]
        words = lambda ids: [self.said.get(t, f"later{t}") for t in ids if t != EOS]  # noqa: E731
        return [" ".join(words(ids)) for ids in outputs]

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        free = getattr(self, "free", None)
        if not free:
            return ids
        return [free[(97 * index + k) % len(free)] for k in range(len(ids) - 1)] + [EOS]


class RefusesToCommit(Speaks):
    """Decodes nothing before it has answered."""

    answered = False

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        self.answered = True
        super()._complete(sample_id, ids)

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        if not self.answered:
            raise KeyError(outputs[0][0])
        return super().decode(outputs)


# ---- what it does while nobody counts the time


class AnswersWhileItLoads(Simulated):
    """Works while the prompts are loaded."""

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        super().load(samples, sink)
        time.sleep(0.05)


class WorksWhileItDecodes(Speaks):
    """Works while its texts are asked for."""

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        time.sleep(0.03)
        return super().decode(outputs)


# ---- what it does in the driver's own process


class ReadsTheReferences(Simulated):
    """Answers with the reference answers, which the driver has."""

    seen: list[Any] = []  # noqa: RUF012 (read by the test)

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        super().load(samples, sink)
        type(self).seen = [sample.reference for sample in samples]


class HoldsTheRecorder(Simulated):
    """Changes the stamps of the driver's recorder."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        super()._complete(sample_id, ids)
        self._sink._first[sample_id] = self._sink._issued[sample_id] + 1
