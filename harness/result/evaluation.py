"""How well does the model expect the reference answers? Teacher-forced, after the timed part and
the memory's figures.

eval_loss           mean negative log likelihood per answer token, in nats; the prompt does not
                    count
perplexity          e to the eval_loss
token_accuracy      share of the answer tokens that the model would have chosen itself
eval_samples_per_s  how fast it reads them, prompts included
eval_samples, eval_tokens   how many stand behind these figures
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accuracy.ranking import Losses
from harness.engine.driver import Stop
from harness.engine.pieces import reason
from harness.kernel.log import RunLog
from harness.kernel.protocols import Chooser, Evaluator, Say
from harness.kernel.types import Sample
from harness.result.attempts import drawn
from harness.result.programs import ran as programs

_AT_ONCE = 16  # answers per call, so that Ctrl-C is heard in between


def is_needed(samples: Sequence[Sample], references: bool) -> bool:
    """Say whether something is to be scored after the run: the reference answers where that is
    asked for, the choices of a task that has them, answers that were drawn or are programs.
    """
    own = any(sample.choices or sample.draw for sample in samples)
    return references or own or programs.is_needed(samples)


def after_run(
    sut: Any,
    log: RunLog,
    samples: Sequence[Sample],
    references: bool,
    verifier: str | None,
    run_code: str,
    stop: Stop,
    say: Say,
) -> dict[str, Any]:
    """Return what the SUT says of reference answers and of choices (see `evaluate`, `choose`), and
    what is said of answers that were drawn (`harness.result.attempts.drawn`) or are programs
    (`harness.result.programs.ran`).
    """
    found = evaluate(sut, samples, stop, say) if references else {}
    if any(sample.choices for sample in samples):
        found["choices"] = choose(sut, samples, stop, say)
    if programs.is_needed(samples):
        found["programs"] = programs.after_run(log, samples, run_code, stop, say)
    return found | drawn.after_run(sut, log, samples, verifier, stop, say)


def choose(sut: Any, samples: Sequence[Sample], stop: Stop, say: Say) -> dict[str, Any]:
    """Return `rows`, the negative log likelihood (nats) of each choice of each question as
    (index, nll of each, tokens of each), or `problem`: why there are none.
    """
    asked = [(s.index, list(s.choices)) for s in samples if s.choices and s.is_first]
    rows: list[Any] = []
    for first in range(0, len(asked), _AT_ONCE):
        if stop.requests:
            return {"problem": f"interrupted after {first} of {len(asked)} questions"}
        say(f"comparing the choices: {first} of {len(asked)} questions")
        try:
            part = sut.choose(asked[first : first + _AT_ONCE]) if isinstance(sut, Chooser) else None
        except Exception as fault:  # of a library, say: the run has been measured all the same
            return {"problem": reason(fault), "broke": True}
        if part is None:
            return {"problem": "this SUT cannot tell how likely a given text is"}
        rows += part
    say("")
    return {"rows": _for_all_attempts(rows, samples)}


def _for_all_attempts(rows: Sequence[Any], samples: Sequence[Sample]) -> list[Any]:
    """Return the rows of first attempts for the further ones as well: these ask the same."""
    known, found, row = {index: told for index, *told in rows}, list[Any](), None
    for sample in samples:
        row = known.get(sample.index) if sample.is_first else row
        if row is not None:
            found.append((sample.index, *row))
    return found


def likelihoods(sums: Mapping[str, Any]) -> dict[int, list[float]]:
    """Return the negative log likelihoods (nats) of the choices, by the index of the question."""
    rows = sums.get("choices", {}).get("rows", ())
    return {index: nll_nats for index, nll_nats, _ in rows}


def evaluate(sut: Any, samples: Sequence[Sample], stop: Stop, say: Say) -> dict[str, Any]:
    """Return sums over all samples with a reference and the rows of their answers (see
    `protocols.Evaluator`), or `problem`: why there are none (`broke`: because something raised).
    """
    if not isinstance(sut, Evaluator):
        return {"problem": "this SUT cannot score given answers"}
    answers = sorted(
        ((s.index, s.reference) for s in samples if s.reference and s.is_first),
        key=lambda pair: -len(pair[1]),
    )
    if not answers:
        return {"problem": "the dataset has no reference answers"}
    sums: dict[str, Any] = {}
    for first in range(0, len(answers), _AT_ONCE):
        if stop.requests:
            return {"problem": f"interrupted after {first} of {len(answers)} answers"}
        say(f"scoring the reference answers: {first} of {len(answers)}")
        try:
            part = sut.evaluate(answers[first : first + _AT_ONCE])
        except Exception as fault:  # of a library, say: the run has been measured all the same
            return {"problem": reason(fault), "broke": True}
        if part is None:
            return {"problem": "this SUT cannot score given answers"}
        sums = {name: sums[name] + value if sums else value for name, value in part.items()}
    say("")
    if not math.isfinite(sums["nll_nats"]):
        return {"problem": "the loss is not a number: an overflow in this precision?"}
    return sums


def losses(sums: dict[str, Any]) -> Losses | None:
    """Return the loss of each answer; None where nothing was scored, or where the SUT kept none."""
    rows = sums.get("answers")
    if not rows or not sums.get("tokens"):
        return None
    index, nll_nats, tokens = zip(*sorted(rows), strict=True)
    return Losses(np.array(index), np.array(nll_nats, np.float64), np.array(tokens))


def figures(sums: dict[str, Any]) -> dict[str, float]:
    """Return the scores as result.json has them; nothing where nothing was scored."""
    if not sums.get("tokens"):
        return {}
    loss = sums["nll_nats"] / sums["tokens"]
    found = {
        "eval_loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "token_accuracy": sums["correct"] / sums["tokens"],
        "eval_samples": sums["samples"],
        "eval_tokens": sums["tokens"],
    }
    return found | (
        {"eval_samples_per_s": sums["samples"] / sums["seconds"]} if sums["seconds"] else {}
    )


def notes(sums: dict[str, Any]) -> list[str]:
    """Say what could not be told of the answers, and why."""
    return [*_notes(sums), *programs.notes(sums)]


def _notes(sums: dict[str, Any]) -> list[str]:
    found = _notes_on_choices(sums.get("choices", {}))
    if "problem" in sums:
        found.append(f"no evaluation: {sums['problem']}")
    if left_out := sums.get("left_out"):
        found.append(
            f"{left_out} reference answers do not fit the context and were left out of the"
            " evaluation"
        )
    return found


def _notes_on_choices(told: Mapping[str, Any]) -> list[str]:
    if "problem" in told:
        return [f"no likelihoods of choices: {told['problem']}"]
    counts = [sum(map(math.isinf, nll_nats)) for _, nll_nats, _ in told.get("rows", ())]
    if not any(counts):
        return []
    choices, questions = sum(counts), sum(1 for count in counts if count)
    many = f"{choices} choice{'s' * (choices > 1)} of {questions} question{'s' * (questions > 1)}"
    why = "beyond the context, or without a token of its own"
    return [f"{many} had no likelihood ({why}): counted as not answered"]


def missing(sums: dict[str, Any]) -> list[dict[str, Any]]:
    """Name what broke, as `harness.engine.pieces` does. The model is gone, so there is no second
    try.
    """
    parts = {
        "of the reference answers": sums,
        "of the choices": sums.get("choices", {}),
        "of the programs": sums.get("programs", {}),
    }
    return [
        {"kind": "evaluation", "name": name, "reason": part["problem"], "later": False}
        for name, part in parts.items()
        if part.get("broke")
    ]
