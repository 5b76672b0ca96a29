"""Which of several answers is the best one? What the model says (how likely each was) and what the
user's function says (`--verifier`), asked once, after the run, and kept with its raw files.

A folder is judged again without the model and without that function: it may be somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.outputs.stops import cut
from accuracy.tasks.attempts.verifier import Verifier, opinion, verifier_of
from harness.engine.driver import Stop
from harness.engine.pieces import reason
from harness.kernel.log import RunLog
from harness.kernel.protocols import Drawer, Say
from harness.kernel.types import Sample

Row = dict[str, Any]


def after_run(
    sut: Any, log: RunLog, samples: Sequence[Sample], verifier: str | None, stop: Stop, say: Say
) -> Row:
    """Return `drawn` and `verified`, each with `rows` by the index of the sample or a `problem`;
    nothing where nothing was drawn.
    """
    if not any(sample.draw for sample in samples):
        return {}
    found: Row = {"drawn": _likelihoods(sut)}
    if verifier is not None:
        found["verified"] = _opinions(verifier_of(verifier), log, samples, stop, say)
    return found


def _likelihoods(sut: Any) -> Row:
    """Return (index, negative log likelihood in nats, tokens) of each answer."""
    try:
        rows = sut.drawn() if isinstance(sut, Drawer) else None
    except Exception as fault:  # the run has been measured all the same
        return {"problem": reason(fault)}
    if rows is None:
        return {"problem": "this SUT does not tell how likely its answers were"}
    return {"rows": rows}


def _opinions(
    verifier: Verifier, log: RunLog, samples: Sequence[Sample], stop: Stop, say: Say
) -> Row:
    """Return (index, value) of each answer, None where the function gave no number, with how many
    of these there are and what went wrong first.
    """
    of = {sample.index: sample for sample in samples}
    rows: list[tuple[int, float | None]] = []
    whys: list[str] = []
    for i in log.completed.nonzero()[0].tolist():
        if stop.requests:
            return {"problem": f"interrupted after {len(rows)} answers"}
        sample = of[int(log.index[i])]
        told = opinion(verifier, cut(log.texts.get(i, ""), sample.stop))
        rows.append((sample.index, told.value))
        whys += [told.why] if told.why else []
        say(f"verifying the answers: {len(rows)}")
    say("")
    return {"rows": rows, "failed": len(whys), "why": whys[0] if whys else ""}


def weighed(table: Sequence[Row], attempts: int, evaluation: Mapping[str, Any]) -> list[Row]:
    """Return rows of scores.parquet with what was said of each answer: its mean log-likelihood per
    token (nats), and the number of the verifier where there is one.
    """
    likely = evaluation.get("drawn", {}).get("rows", ())
    columns = {
        "log_likelihood": {
            index: -nll_nats / tokens for index, nll_nats, tokens in likely if tokens
        }
    }
    if "verified" in evaluation:
        columns["verifier"] = dict(evaluation["verified"].get("rows", ()))
    found = []
    for row in table:
        index = row["index"] * attempts + row["attempt"]
        found.append({**row, **{name: said.get(index) for name, said in columns.items()}})
    return found


def notes(evaluation: Mapping[str, Any]) -> list[str]:
    """Say what could not be told of the answers."""
    drawn, verified = evaluation.get("drawn", {}), evaluation.get("verified", {})
    found = []
    if "problem" in drawn:
        found.append(f"no best answer by log-likelihood: {drawn['problem']}")
    if "problem" in verified:
        found.append(f"no best answer by the verifier: {verified['problem']}")
    if verified.get("failed"):
        count, of = verified["failed"], len(verified["rows"])
        found.append(
            f"the verifier gave {count:,} of {of:,} answers no number ({verified['why']}):"
            " these were not chosen"
        )
    return found
