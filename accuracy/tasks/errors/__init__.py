"""What went wrong on a task? Data in, data out: `of_one` for a run, `analysis` for a candidate held
against the reference that it should be as good as.

kinds      why each wrong answer is wrong (`kinds`), arithmetic slips by reading the equations that
           an answer writes (`equations`)
form       what is the matter with the form of all answers, right ones too
groups     which groups of questions suffer more than the others, beyond chance (`groups`)
places, margins, flips   of choices: letters taken too often, coin tosses (`choices`)
examples   answers to look at (`examples`)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.means import share
from accuracy.tasks.errors import choices, examples
from accuracy.tasks.errors.groups import Group, groups
from accuracy.tasks.errors.kinds import KINDS, METHODS, Answer, answers
from accuracy.tasks.errors.questions import questions
from accuracy.tasks.solved import Solved

Found = dict[str, Any]
Answers = Mapping[int, Answer]


def of_one(solved: Solved) -> Found:
    """Return what went wrong in one run; of a run without questions, zeros."""
    asked = questions(solved.samples)
    own = answers(solved, asked)
    wrong = {index: int(not one.is_right) for index, one in own.items()}
    margins = choices.margins(own, solved.scorer)
    return {
        "task": solved.task,
        "scorer": solved.scorer,
        "label": solved.label,
        **_run(own),
        "groups": [_alone(one) for one in groups(wrong, dict.fromkeys(own, False), _labels(own))],
        "places": choices.places(own),
        "margins": choices.spread(margins),
        "margin_unit": choices.unit(solved.scorer),
        "examples": examples.of_one(own, asked, margins),
    }


def analysis(reference: Solved, candidate: Solved) -> Found:
    """Return which questions were lost and gained, where, and why; over the questions that both
    answered.
    """
    asked = questions(reference.samples)
    before, after = (
        answers(reference, asked),
        answers(candidate, asked | questions(candidate.samples)),
    )
    both = [index for index in before if index in after]
    left_out = len(before) + len(after) - 2 * len(both)
    before, after = {i: before[i] for i in both}, {i: after[i] for i in both}
    losses = {i: int(before[i].is_right) - int(after[i].is_right) for i in both}
    right = {i: one.is_right for i, one in before.items()}
    lost = [i for i in both if losses[i] > 0]
    margins = [choices.margins(of, candidate.scorer) for of in (before, after)]
    return {
        "task": candidate.task,
        "scorer": candidate.scorer,
        "n": len(both),
        "left_out": left_out,
        "lost": len(lost),
        "gained": sum(loss < 0 for loss in losses.values()),
        "lost_kinds": _kinds([after[i] for i in lost]),
        "reference": {"label": reference.label, **_run(before)},
        "candidate": {"label": candidate.label, **_run(after)},
        "groups": [_flipped(one) for one in groups(losses, right, _labels(before))],
        "places": {"reference": choices.places(before), "candidate": choices.places(after)},
        "flips": choices.flips(*margins),
        "margin_unit": choices.unit(candidate.scorer),
        "examples": examples.of_two(before, after, asked, margins),
    }


# ---- one run


def _run(own: Answers) -> Found:
    every = list(own.values())
    wrong = [one for one in every if not one.is_right]
    return {
        "n": len(every),
        "wrong": len(wrong),
        "kinds": _kinds(wrong),
        "form": _form(every),
        "steps": _steps(every),
    }


def _kinds(wrong: Sequence[Answer]) -> list[Found]:
    """Return how many wrong answers are of each kind, with the share and its interval."""
    counts = Counter(one.kind for one in wrong)
    found = []
    for kind in KINDS:
        if counts[kind]:
            value, low, high = share(counts[kind], len(wrong))
            row = {"kind": kind, "n": counts[kind], "share": value, "low": low, "high": high}
            found.append(row)
    return found


def _form(every: Sequence[Answer]) -> dict[str, int]:
    """Return how many answers have each fault of form, whether right or wrong."""
    return {
        "empty": sum(not one.text.strip() and not one.sample.choices for one in every),
        "unmarked": sum(not one.is_marked for one in every),
        "unmarked_right": sum(not one.is_marked and one.is_right for one in every),
        "cut": sum(one.is_cut for one in every),
        "cut_with_answer": sum(one.is_cut and one.is_marked for one in every),
        "loops": sum(one.is_loop for one in every),
        "went_on": sum(one.went_on for one in every),
    }


def _steps(every: Sequence[Answer]) -> Found | None:
    """Return what the equations of the answers are worth; None where there are none."""
    written = [one for one in every if one.steps]
    if not written:
        return None
    methods = [one for one in every if one.kind in METHODS]
    known = [one for one in methods if one.has_reference_step is not None]
    return {
        "answers": len(written),
        "equations": sum(len(one.steps) for one in written),
        "wrong_equations": sum(not step.is_right for one in written for step in one.steps),
        "right_despite_slip": sum(one.is_right and one.slip is not None for one in written),
        "wrong_methods": len(methods),
        "with_reference": len(known),
        "reached_reference_step": sum(bool(one.has_reference_step) for one in known),
    }


# ---- groups


def _labels(own: Answers) -> dict[int, dict[str, str]]:
    return {index: dict(one.sample.labels) for index, one in own.items()}


def _alone(group: Group) -> Found:
    value, low, high = share(group.lost, group.n)
    own = {"n": group.n, "wrong": group.lost, "share": value, "low": low, "high": high}
    return _named(group) | own | _tested(group)


def _flipped(group: Group) -> Found:
    value, low, high = group.net
    own = {"n": group.n, "lost": group.lost, "gained": group.gained}
    return _named(group) | own | {"net": value, "low": low, "high": high} | _tested(group)


def _named(group: Group) -> Found:
    return {"column": group.column, "group": group.group}


def _tested(group: Group) -> Found:
    return {"p": group.p, "p_corrected": group.p_corrected, "is_worse": group.is_worse}
