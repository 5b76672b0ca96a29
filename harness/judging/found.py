"""What did the judges find? Their replies in, judge.json out: a row for each judge and run, how far
judges agree with themselves, with a task's scorer and with each other, and what it cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from accuracy.judge import figures
from accuracy.judge.figures import Pair, kappa, weighted_kappa
from accuracy.judge.prompts import Form, Kind, Problem, read, template
from accuracy.metrics.references import after_thinking
from accuracy.resampling import Estimate
from harness.judging.asking import Judge, Reply
from harness.judging.questions import Call, Questions, has_reference
from harness.judging.settings import Price

SCHEMA = "touchstone.judge/1"
_OFF_FORM = ("no verdict", "two verdicts", "cut")
EXAMPLES = 3  # replies shown, of each kind and each problem
RIGHT_FROM = 7  # points: the prompt's "correct, and a part that matters is missing"
Row = dict[str, Any]


class Judgement(NamedTuple):
    """What one judge made of one call; `verdict` is empty where there is a `problem`."""

    judge: int
    call: Call
    reply: Reply
    verdict: str
    problem: str

    def as_json(self, judge: str, run: str) -> Row:
        """Return the row of judgements.jsonl."""
        _, kind, order = self.judge, self.call.kind, "BA" if self.call.is_turned else "AB"
        return {
            "judge": judge, "kind": kind, "run": run, "index": self.call.question,
            "order": order if kind == "pair" else "", "verdict": self.verdict,
            **self.reply._asdict(), "problem": self.problem,
        }  # fmt: skip


def judgement(judge: int, call: Call, reply: Reply) -> Judgement:
    """Read a reply. A verdict counts however the answer ended, as long as it is there."""
    if reply.problem in ("failed", "not asked"):
        return Judgement(judge, call, reply, "", reply.problem)
    verdict, problem = read(call.kind, after_thinking(reply.text))
    why: Problem | str = reply.problem if problem and reply.problem else problem
    return Judgement(judge, call, reply, verdict, why)


def found(
    asked: Questions,
    judges: Sequence[Judge],
    prices: Sequence[Price],
    kinds: Sequence[Kind],
    form: Form,
    judgements: Sequence[Judgement],
) -> Row:
    """Return judge.json, but for what is known at the end only: the same of the same replies, in
    whichever order they came.
    """
    said = sorted(judgements, key=_place)
    rows = [
        _judge(asked, number, judge, prices[number] if prices else None, kinds,
               [one for one in said if one.judge == number])
        for number, judge in enumerate(judges)
    ]  # fmt: skip
    statuses = [row["status"] for judge in rows for row in (*judge["pairs"], *judge["scores"])]
    return {
        "schema": SCHEMA,
        "status": "INVALID" if "INVALID" in statuses or not statuses else "JUDGED",
        "questions": len(asked.indexes),
        "of": asked.of,
        "dataset": asked.runs[0].outputs.dataset,
        "runs": [
            {
                "label": run.label,
                "run": str(Path(run.outputs.run).absolute()),  # the same from any folder
                "scorer": run.scorer,
            }
            for run in asked.runs
        ],
        "judges": rows,
        "between": list(_between(judges, said)),
        "prompts": {kind: template(kind, form) for kind in kinds},
        "notes": list(_notes(asked, form, rows)),
    }


def _place(one: Judgement) -> tuple[Any, ...]:
    call = one.call
    return one.judge, call.kind, call.question, call.run, call.is_turned


def rows_of(made: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a flat row for each judge, kind and run of judge.json: points, points_low,
    points_high; scorer_n, scorer_same, scorer_kappa.
    """
    for judge in made["judges"]:
        for kind in ("pairs", "scores"):
            for row in judge[kind]:
                known = {name: value for name, value in row.items() if name != "run"}
                yield {"label": row["run"], "judge": judge["name"], "kind": kind} | _flat(known)


def _flat(row: Row) -> Row:
    """Return a row with the parts of each figure in columns of their own."""
    flat = Row()
    for name, found in row.items():
        if not isinstance(found, Mapping):
            flat[name] = found
            continue
        flat |= {name if part == "value" else f"{name}_{part}": it for part, it in found.items()}
    return flat


def _judge(
    asked: Questions,
    number: int,
    judge: Judge,
    price: Price | None,
    kinds: Sequence[Kind],
    own: Sequence[Judgement],
) -> Row:
    replies = [one.reply for one in own]
    into = [reply.tokens_in for reply in replies if reply.tokens_in is not None]
    out = [reply.tokens_out for reply in replies if reply.tokens_out is not None]
    problems = Counter(one.problem for one in own if one.problem)
    pairs = [_pairs(asked, run, own) for run in range(1, len(asked.runs))]
    scores = [_scores(asked, run, own) for run in range(len(asked.runs))]
    return {
        "name": judge.name,
        "model": judge.model,
        "stopped": judge.stopped,
        "calls": len(own),
        "problems": dict(sorted(problems.items())),
        "tries": sum(reply.tries for reply in replies),
        "tokens_in": sum(into),
        "tokens_out": sum(out),
        "uncounted": sum(reply.tries > 0 and reply.tokens_in is None for reply in replies),
        "usd": None if price is None else _usd(price, sum(into), sum(out)),
        "pairs": pairs if "pair" in kinds else [],
        "scores": scores if "score" in kinds else [],
        "examples": list(_examples(asked, own)),
    }


def _examples(asked: Questions, own: Sequence[Judgement]) -> Iterator[Row]:
    """Yield what the judge said word for word: some replies of each kind and each end."""
    shown: Counter[tuple[str, str]] = Counter()
    for one in own:
        if one.problem in ("failed", "not asked"):
            continue
        shown[one.call.kind, one.problem or "read"] += 1
        if shown[one.call.kind, one.problem or "read"] <= EXAMPLES:
            yield one.as_json("", asked.runs[one.call.run].label)


def _usd(price: Price, tokens_in: int, tokens_out: int) -> float:
    return (price.tokens_in * tokens_in + price.tokens_out * tokens_out) / 1e6


# ---- pairs


def _pairs(asked: Questions, run: int, own: Sequence[Judgement]) -> Row:
    """Return what a judge says of a candidate beside the reference."""
    of = pairs_of(asked, run, own)
    known = figures.pairs(list(of.values()))._asdict()
    estimates = {
        name: value._asdict() if isinstance(value, Estimate) else value
        for name, value in known.items()
    }
    return {"run": asked.runs[run].label, **estimates, "scorer": _by_scorer(asked, run, of)}


def pairs_of(asked: Questions, run: int, own: Sequence[Judgement]) -> dict[int, Pair]:
    """Return index -> the verdicts on the answers of the reference and of a candidate."""
    said: dict[tuple[int, bool], str | None] = {
        (one.call.question, one.call.is_turned): one.verdict or None
        for one in own
        if one.call.kind == "pair" and one.call.run == run
    }
    reference, candidate = asked.runs[0], asked.runs[run]
    found = {}
    for index in asked.indexes:
        is_equal = reference.texts[index] == candidate.texts[index]
        found[index] = Pair(said.get((index, False)), said.get((index, True)), is_equal)
    return found


def _by_scorer(asked: Questions, run: int, of: Mapping[int, Pair]) -> Row | None:
    """Compare the outcomes with what the task's own scorer says of both answers."""
    reference, candidate = asked.runs[0].is_right, asked.runs[run].is_right
    ours, theirs = [], []
    for index, pair in of.items():
        if pair.is_judged and not pair.is_equal and index in reference and index in candidate:
            better = candidate[index] - reference[index]
            ours.append(pair.outcome)
            theirs.append({1: "win", 0: "tie", -1: "loss"}[better])
    return _agreement(ours, theirs)


def _agreement(ours: Sequence[str | bool], theirs: Sequence[str | bool]) -> Row | None:
    if not ours:
        return None
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return {"n": len(ours), "same": same / len(ours), "kappa": kappa(ours, theirs)}


# ---- scores


def _scores(asked: Questions, run: int, own: Sequence[Judgement]) -> Row:
    """Return the points that a judge gives a run, and how many more than the reference."""
    points, of_reference = points_of(run, own), points_of(0, own)
    asked_of = sum(has_reference(asked, index) for index in asked.indexes)  # after Ctrl-C, too
    both = sorted(points.keys() & of_reference.keys())
    difference = figures.mean([points[i] - of_reference[i] for i in both] if run else [])
    is_right = asked.runs[run].is_right
    rated = [i for i in points if i in is_right]
    status, reason = "JUDGED", ""
    if not asked_of:
        status, reason = "INVALID", "no question has a reference answer"
    elif len(points) < figures.FEWEST * asked_of:
        needed = f"at least {figures.FEWEST * 100:.0f} % are needed"
        status, reason = "INVALID", f"{len(points)} of {asked_of} answers have points; {needed}"
    return {
        "run": asked.runs[run].label,
        "asked": asked_of,
        "judged": len(points),
        "points": figures.mean(list(points.values()))._asdict(),
        "difference": difference._asdict(),
        "scorer": _agreement(
            [points[i] >= RIGHT_FROM for i in rated], [is_right[i] for i in rated]
        ),
        "status": status,
        "reason": reason,
    }


def points_of(run: int, own: Sequence[Judgement]) -> dict[int, int]:
    """Return index -> points of a run's answers."""
    return {
        one.call.question: int(one.verdict)
        for one in own
        if one.call.kind == "score" and one.call.run == run and one.verdict
    }


# ---- judges beside each other


def _between(judges: Sequence[Judge], judgements: Sequence[Judgement]) -> Iterator[Row]:
    """Yield how far two judges agree on what both have judged."""
    said: dict[int, dict[tuple[Any, ...], str]] = {number: {} for number in range(len(judges))}
    for one in judgements:
        if one.verdict:
            call = one.call
            key = (call.kind, call.run, call.question, call.is_turned)
            said[one.judge][key] = one.verdict
    for a, b in combinations(range(len(judges)), 2):
        for kind in ("pair", "score"):
            keys = [key for key in said[a] if key in said[b] and key[0] == kind]
            ours, theirs = [said[a][key] for key in keys], [said[b][key] for key in keys]
            row = _agreement(ours, theirs)
            if row is None:
                continue
            if kind == "score":
                row["kappa"] = weighted_kappa([*map(float, ours)], [*map(float, theirs)])
            yield {"judges": [judges[a].name, judges[b].name], "kind": kind, **row}


def _notes(asked: Questions, form: Form, rows: Sequence[Row]) -> Iterator[str]:
    if len(asked.indexes) < asked.of:
        yield f"{len(asked.indexes)} of {asked.of} questions were judged, drawn by chance"
    for row in rows:
        if row["stopped"]:
            yield f"{row['name']} was given up: {row['stopped']}"
        unread = sum(row["problems"].get(problem, 0) for problem in _OFF_FORM)
        if form == "text" and unread > (1 - figures.FEWEST) * row["calls"]:
            yield f"{row['name']} did not keep to the form: try --judge-format choice"
        if row["uncounted"]:
            yield f"{row['name']} did not count the tokens of {row['uncounted']} answers"
    yield "a judge is a model: what it prefers need not be what is right or what people prefer"
