"""What does a folder tell of a member of a family? Figures, each with what must be the same before
two of them may be compared: the questions, the examples before them, the texts, the load.

    task_solved    a task: share of its questions that are solved
    rougeL         a dataset with answers: mean over its questions
    perplexity     of the answers of a dataset (`run --evaluate`)
    text_perplexity, bits_per_byte, mean_kld    of the texts of `harness perplexity`
    tokens_per_s, peak_bytes    under one load
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.gate.outputs import Outputs
from accuracy.ranking import Losses, Pace
from accuracy.resampling import Estimate, Floats, negative
from accuracy.tasks import files as task_files
from accuracy.tasks.marks import Marks, deciding, marks
from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.result import scored
from harness.result.read import ACCURACY_PART, Raw, read_run
from harness.study.comparison.evidence import NONE, Evidence, of_raw
from harness.study.comparison.likelihoods import subjects_of
from harness.study.comparison.rows import read_whole
from harness.study.effects.figures import USUAL

OF_TEXTS = ("text_perplexity", "bits_per_byte", "mean_kld")
OF_LOAD = ("tokens_per_s", "peak_bytes")
_RESULT = "result.json"
Terms = Mapping[str, str]
Facts = Mapping[str, Any]


class Texts(NamedTuple):
    """How a subject of a measurement of perplexity stands to each other one, text by text."""

    label: str
    less: Mapping[str, Estimate]


class Told(NamedTuple):
    """A figure by its name in `harness.kernel.words.judged`. Figures compare if `of` and `terms`
    are the same, and rank if `among` is too: what is per token only among models of one tokenizer.
    """

    name: str
    of: str  # the task, the dataset, the texts
    terms: Terms
    value: Estimate
    folder: str
    n: int | None = None  # questions or texts
    among: str = ""
    prompts: str = ""  # fingerprint of the token ids that were asked
    behind: Marks | Losses | Pace | Texts | None = None


class Reading(NamedTuple):
    """What one folder tells of one member. `problem` says why its answers do not count."""

    model: str
    variant: str
    folder: str
    facts: Facts
    told: Sequence[Told]
    outputs: Outputs | None = None
    problem: str = ""


FACTS = ("parameters", "trainable_parameters", "disk_bytes", "weights_bytes", "tokenizer")


# ---- a run


def of_run(folder: Path, model: str = "") -> Reading:
    """Read a finished run; `model` is what the user calls its model. Raises BadInput."""
    row, raw = read_whole(folder)
    behind = _evidence(raw, folder, row)
    outputs = behind.outputs
    problem = _problem(row, outputs)
    told = list(_of_load(row, behind))
    if not problem:
        told += _of_answers(row, raw, behind, folder)
    facts = {name: row.get(name) for name in FACTS} | {"weights": row.get("weights")}
    return Reading(
        model=model or row["model"].removesuffix(".gguf"),
        variant=_variant(row),
        folder=str(folder),
        facts=facts,
        told=told,
        outputs=None if problem else outputs,
        problem=problem,
    )


def _variant(row: Facts) -> str:
    from harness.kernel.words.variant import named

    return named(str(row["variant"]), str(row.get("precision") or ""))


def _evidence(raw: Raw | None, folder: Path, row: Facts) -> Evidence:
    if raw is None:
        return NONE
    try:
        return of_raw(raw, folder, row["status"], row["reason"], USUAL)
    except BadInput:
        return NONE


def _problem(row: Facts, outputs: Outputs | None) -> str:
    """Say why what a run answered does not count; empty if it does."""
    if row.get("edited"):
        return str(row["edited"])
    if outputs is not None:
        return outputs.problem
    return "" if row["status"] == "VALID" else f"its run is {row['status']}: {row['reason']}"


def _of_load(row: Facts, behind: Evidence) -> Iterator[Told]:
    """Yield the speed and the peak memory of a run that ended."""
    if row["tokens_per_s"] is None:
        return
    data = data_name(row["conditions"].get("dataset", ""))
    terms = {**row["conditions"], "dataset": data}
    of = f"{data.split(' ')[0]} {terms.get('scenario', '')}".strip()
    speed = behind.intervals.get("tokens_per_s", Estimate(row["tokens_per_s"]))
    value = Estimate(row["tokens_per_s"], speed.low, speed.high)
    yield Told("tokens_per_s", of, terms, value, row["run"], behind=behind.pace)
    if row["peak_bytes"]:
        yield Told("peak_bytes", of, terms, Estimate(float(row["peak_bytes"])), row["run"])


def data_name(data: str) -> str:
    """Return what a dataset is called wherever its file lies, with its digest: "gsm8k 21ad5f34"."""
    name, blank, digest = data.rpartition(" ")
    if not blank or not _DIGEST.fullmatch(digest):
        name, digest = data, ""
    form, colon, _ = name.partition(":")
    name = form if colon else name.rsplit("/", 1)[-1]
    return f"{name.replace(' ', '_')} {digest}".strip()


_DIGEST = re.compile(r"[0-9a-f]{8}")


def _of_answers(row: Facts, raw: Raw | None, behind: Evidence, folder: Path) -> Iterator[Told]:
    """Yield what the answers of a run tell, or those of its accuracy part."""
    outputs, published = behind.outputs, _published(folder)
    task = published.get("task") or {}
    if task and outputs is not None:
        yield from _solved(task, outputs, raw, folder)
    if behind.losses is not None and (loss := behind.intervals.get("perplexity")):
        terms = {} if outputs is None else outputs.asked
        data = data_name(row["conditions"].get("dataset", ""))
        yield Told("perplexity", data.split(" ")[0], {**terms, "data": data}, loss, row["run"],
                   len(behind.losses.index), _tokenizer(row), behind=behind.losses)  # fmt: skip


def _tokenizer(row: Facts) -> str:
    """Return what tells tokenizers apart; one that is not known is no other's."""
    return str(row.get("tokenizer") or f"that of {row['model']}")


def _published(folder: Path) -> Facts:
    found: Facts = parsed.read_json(folder / _RESULT)
    return found


def _solved(task: Facts, outputs: Outputs, raw: Raw | None, folder: Path) -> Iterator[Told]:
    """Yield the share that was solved, by the scorer that decides; marked anew where the file of
    the questions is still there, else as the run marked its answers.
    """
    samples = list((outputs.samples or {}).values())
    rows = scored.marks(_answered(raw, folder), samples) if raw and samples else _kept(folder)
    scorer = deciding(outputs.task.get("scorers", [task["scorer"]]), rows)
    found = marks(rows, scorer)
    if not len(found.score):
        return
    terms = {**outputs.asked, "scorer": scorer}
    prompts = outputs.terms.get("prompts", "")
    among = outputs.terms.get("tokenizer", "")
    yield Told("task_solved", str(task["name"]), terms, found.mean, str(folder), len(found.score),
               prompts=f"{among} {prompts}" if prompts else "", behind=found)  # fmt: skip


def _answered(raw: Raw, folder: Path) -> Raw:
    part = folder / ACCURACY_PART
    return read_run(part) if part.is_dir() else raw


def _kept(folder: Path) -> list[dict[str, Any]]:
    try:
        return task_files.read(folder)
    except (OSError, ValueError):
        return []


# ---- a measurement of perplexity


def of_texts(folder: Path, model: str = "") -> list[Reading]:
    """Read a measurement of perplexity: a reading for each subject. Raises BadInput."""
    subjects = subjects_of(folder)
    found = parsed.read_json(folder / "perplexity.json")
    less = _less(found["pairs"])
    terms = _terms_of_texts(found)
    named = {one.get("folder"): one["label"] for one in found["subjects"]}
    against = {one["label"]: named.get(one.get("against")) for one in found["subjects"]}
    readings = []
    for row in subjects:
        label = row["likelihood"]["label"]
        values = {name: Estimate(*row["likelihood"]["figures"][name])
                  for name in OF_TEXTS if name in row["likelihood"]["figures"]}  # fmt: skip
        groups = {"text_perplexity": _tokenizer(row), "bits_per_byte": "",
                  "mean_kld": f"from {against.get(label) or 'its reference'}"}  # fmt: skip
        told = [
            Told(name, terms["texts"].split(" ")[0], terms, value, str(folder),
                 found["dataset"].get("texts"), groups[name],
                 behind=Texts(label, less.get((name, label), {})))
            for name, value in values.items() if value.value is not None
        ]  # fmt: skip
        facts = {name: row.get(name) for name in FACTS}
        readings.append(
            Reading(model or row["model"].removesuffix(".gguf"), row["variant"], str(folder),
                    facts, told)
        )  # fmt: skip
    return readings


def _terms_of_texts(found: Facts) -> dict[str, str]:
    data, settings = found["dataset"], found.get("settings") or {}
    known = {
        "texts": data_name(f"{data['name']} {(data.get('sha256') or '')[:8]}".strip()),
        "number of texts": data.get("texts"),
        "start token": settings.get("bos"),
        "window": settings.get("window"),
        "stride": settings.get("stride"),
    }
    return {name: str(value) for name, value in known.items() if value is not None}


_OF_PAIRS = {"text_perplexity": "eval_loss", "bits_per_byte": "bits_per_byte",
             "mean_kld": "mean_kld"}  # fmt: skip


def _less(pairs: Sequence[Facts]) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Return, by figure and label, a label's figure less each other one's. That of a perplexity is
    that of the loss, in nats.
    """
    found: dict[tuple[str, str], dict[str, Estimate]] = {}
    for pair in pairs:
        first, second = pair["first"], pair["second"]
        for name, of in _OF_PAIRS.items():
            if ends := pair.get(of):
                one = Estimate(*(ends[end] for end in ("value", "low", "high")))
                found.setdefault((name, first), {})[second] = one
                found.setdefault((name, second), {})[first] = negative(one)
    return found


# ---- what lies behind two figures


def questions_of_both(ours: Marks, theirs: Marks) -> tuple[Floats, Floats]:
    """Return the scores of the questions that both were asked, in one order."""
    _, at, their_at = np.intersect1d(ours.questions, theirs.questions, return_indices=True)
    places: NDArray[Any] = at
    return ours.score[places], theirs.score[their_at]
