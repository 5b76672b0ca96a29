"""What comes out of a gate? One object with its verdicts; of several tasks, each one's own beside
the verdict over all of them, which is the worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy.gate import ratios
from accuracy.gate.ratios import Verdict, share_key
from accuracy.gate.readings import Criteria, Reference, Row
from accuracy.gate.solving import Solving
from harness.engine.pieces import noted
from harness.kernel import files
from harness.study.gating.notes import gathered
from harness.study.gating.part import Judged

SCHEMA = "touchstone.gate/1"
_OF_ALL = ("schema", "target", "confidence", "resamples")  # what no task has of its own


# ---- one task


def of_part(judged: Judged) -> dict[str, Any]:
    """Return the object of a task, but for what is known at the end only."""
    beside, control, rows = judged.beside, judged.control, judged.known
    reference, asked = beside.outputs, beside.criteria
    return {
        "schema": SCHEMA,
        "status": _worst(rows).status,
        "target": _target(asked),
        "metric": beside.scorer if isinstance(beside, Solving) else beside.metric.name,
        "against": beside.against,
        "why": beside.why,
        "confidence": asked.confidence,
        "resamples": asked.resamples,
        "dataset": reference.dataset,
        "answers": beside.questions if isinstance(beside, Solving) else len(beside.answered),
        "conditions": dict(reference.terms),
        "reference": _reference(beside),
        "control": control,
        "rows": rows,
        "notes": gathered([judged]),
    }


def _target(asked: Criteria) -> dict[str, Any]:
    return {
        "name": asked.target,
        "share": asked.share,
        "key": share_key(asked.share),
        "published": dict(asked.published.rouge) if asked.published else {},
        "unjudged": list(asked.published.unjudged) if asked.published else [],
    }


def _reference(beside: Reference | Solving) -> dict[str, Any]:
    solved = {"solved": beside.solved} if isinstance(beside, Solving) else {}
    return {
        **beside.outputs.as_row(),
        "problem": beside.outputs.problem,
        "rouge": {} if isinstance(beside, Solving) else beside.mean_rouge,
        **solved,
    }


def _worst(rows: Sequence[Row]) -> Verdict:
    return ratios.join([Verdict(row["status"], row["official"], row["needed"]) for row in rows])


def _once(notes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(notes))


# ---- several tasks


def joined(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the object of all tasks: `tasks` has those of each, and a row here has the worst
    verdict of a candidate over them. A candidate that was not run on all of them has none.
    """
    tasks = [{"name": each.name, **of_part(each), "noise": noise(each)} for each in judged]
    rows = [_over_all(row) for row in zip(*(each.rows for each in judged), strict=True)]
    known = [row for row in rows if row is not None]
    first = tasks[0]
    same = set.intersection(*(set(task["conditions"].items()) for task in tasks))
    return {
        **{name: value for name, value in first.items() if name not in ("name", "noise")},
        "status": _worst(known).status,
        "metric": ", ".join(_once([task["metric"] for task in tasks])),
        "why": ", ".join(_once([task["why"] for task in tasks])),
        "dataset": ", ".join(task["dataset"] for task in tasks),
        "answers": sum(task["answers"] for task in tasks),
        "conditions": {k: v for k, v in first["conditions"].items() if (k, v) in same},
        "reference": _all_references([task["reference"] for task in tasks], judged),
        "control": None,
        "rows": known,
        "notes": gathered(judged),
        "tasks": [{k: v for k, v in task.items() if k not in _OF_ALL} for task in tasks],
    }


def noise(judged: Judged) -> dict[str, Any] | None:
    """Return how much the reference itself changes in batches of another size, or drawn again; None
    where there is no control, or its answers are not marked.

    `finest` is the highest share that is not lost in it: where neither of two runs is better, half
    of what moves between them is lost.
    """
    control, target = judged.control, judged.beside.criteria.share
    if control is None or control.get("moved") is None:
        return None
    counts, finest = control["paired"], 1 - control["moved"]
    draws = control["draws"]
    return {
        "flips": counts and counts["only_reference"] + counts["only_candidate"],
        "changed": control["changed"],
        "is_drawn": bool(draws) and draws != judged.beside.outputs.task.get("draws"),
        "n": control["solved"]["n"],
        "finest": finest,
        "is_finer": target > finest,
    }


def _over_all(rows: Sequence[Row | None]) -> Row | None:
    """Return the row of a candidate over all tasks; None if it has not run on all of them."""
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return None
    verdict = _worst(known)
    deciding = [row for row in known if row["status"] == verdict.status]
    reasons = [f"{row['task']}: {row['reason']}" for row in deciding]
    if verdict.status == "PASS" and len(known) > 1:
        reasons = [f"on all {len(known)} tasks"]
    first = known[0]
    return {
        **{name: first[name] for name in ("label", "model", "variant")},
        "run": "",
        "status": verdict.status,
        "official": verdict.official,
        "reason": "; ".join(reasons),
        "failure": next((row["failure"] for row in known if row["failure"]), ""),
        "needed": verdict.needed,
        **_sums(known),
        "busy_share": None,
        "identical": None,
        "divergence_median": None,
        "divergence": [],
        "readings": {},
        "labels": [],
        "worst": [],
        "notes": [],
        "by_task": {row["task"]: row["status"] for row in known},
    }


def _all_references(rows: Sequence[Row], judged: Sequence[Judged]) -> Row:
    problems = zip(judged, rows, strict=True)
    told = [f"{each.name}: {row['problem']}" for each, row in problems if row["problem"]]
    known = {name: rows[0][name] for name in ("label", "model", "variant")}
    return {
        **known,
        "run": "",
        **_sums(rows),
        "busy_share": None,
        "problem": "; ".join(told),
        "rouge": {},
    }


def _sums(rows: Sequence[Row]) -> Row:
    """Return what several runs of a deployment are together: answers, tokens over seconds."""
    n, empty = (sum(row[name] or 0 for row in rows) for name in ("n", "empty"))
    tokens = [row["n"] * row["tokens_per_sample"] for row in rows if row["tokens_per_sample"]]
    timed = [row for row in rows if row["tokens_per_s"] and row["tokens_per_sample"]]
    seconds = [row["n"] * row["tokens_per_sample"] / row["tokens_per_s"] for row in timed]
    is_whole = len(tokens) == len(rows) == len(timed)
    return {
        "n": n,
        "rows_in_batch": rows[0]["rows_in_batch"],
        "empty": empty,
        "tokens_per_s": sum(tokens) / sum(seconds) if is_whole else None,
        "tokens_per_sample": sum(tokens) / n if is_whole else None,
        "peak_bytes": max((row["peak_bytes"] or 0 for row in rows), default=0) or None,
    }


# ---- the files


def keep(found: dict[str, Any], place: Path) -> None:
    """Write gate.json and gate.html; runs inside the folder are named from there, so that it can be
    moved.
    """
    from reports.pages import gate as page

    for part in (found, *found.get("tasks", ())):
        for row in filter(None, (part["reference"], part["control"], *part["rows"])):
            _name_from(row, place)
    files.write_json(place / "gate.json", found)
    with noted("gate.html"):
        page.write(place, found)


def _name_from(row: dict[str, Any], place: Path) -> None:
    if row["run"] and Path(row["run"]).resolve().is_relative_to(place.resolve()):
        row["run"] = str(Path(row["run"]).resolve().relative_to(place.resolve()))
