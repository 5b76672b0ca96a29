"""What has `harness perplexity` found of the models that are compared? A folder of it stands beside
runs: each of its subjects joins the runs of the same model and variant, and is a row of its own
where there is none.

The figures keep names of their own (`text_perplexity`, not `perplexity`): those are of the texts of
that folder, these of the reference answers of a run, and the two do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accuracy.resampling import Estimate, negative
from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.places import not_a_run
from harness.kernel.types import short_name
from harness.kernel.words.variant import named, precision_of

FILE, SCHEMA = "perplexity.json", "touchstone.perplexity/2"
_NAMES = {
    "text_perplexity": "perplexity",
    "text_loss": "eval_loss",
    "bits_per_byte": "bits_per_byte",
    "text_token_accuracy": "token_accuracy",
}
Row = dict[str, Any]


def is_one(folder: Path) -> bool:
    """Is this the folder of a measurement of perplexity?"""
    return (folder / FILE).is_file()


def subjects_of(folder: Path) -> list[Row]:
    """Return a row for each subject that was measured. Raises BadInput for a damaged file."""
    file = folder / FILE
    try:
        check_folder(folder)
        found = parsed.read_json(file)
        if found["schema"] != SCHEMA:
            what, fine = f"its schema is {found['schema']!r}", f"this version reads {SCHEMA}"
            todo = f"Make it again: python -m harness resume {folder}."
            raise BadInput(f"reading {file}", what, fine, todo)
        data = found["dataset"]
        texts = f"{data['name']} {(data.get('sha256') or '')[:8]}".strip()
        less = _less(found["pairs"])
        return [_subject(one, folder, texts, less) for one in found["subjects"] if one["figures"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise not_a_run(folder, file.name) from None


def _less(pairs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by label how the losses of subjects differ from each later one's, text by text."""
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        if loss := pair.get("eval_loss"):
            ends = [loss[end] for end in ("value", "low", "high")]
            found.setdefault(pair["first"], {})[pair["second"]] = ends
    return found


def _subject(subject: Mapping[str, Any], folder: Path, texts: str, less: Mapping[str, Any]) -> Row:
    precision = precision_of(subject)
    figures = {name: _ends(subject["figures"], of) for name, of in _NAMES.items()}
    divergence = (subject.get("divergence") or {}).get("mean_kld")
    if divergence:
        figures["mean_kld"] = [divergence[end] for end in ("value", "low", "high")]
    kinds = {kind: _ends(found, "perplexity") for kind, found in subject["by_category"].items()}
    return {
        "model": short_name(str(subject["model"])),
        "variant": named(str(subject["variant"]), precision),
        "precision": precision,
        "tokenizer": subject.get("tokenizer"),
        "parameters": subject.get("parameters"),
        "trainable_parameters": subject.get("trainable_parameters"),
        "disk_bytes": subject.get("disk_bytes"),
        "weights_bytes": subject["figures"].get("weights_bytes"),
        "likelihood": {
            "folder": str(folder.resolve()),
            "texts": texts,
            "label": subject["label"],
            "figures": figures,
            "kinds": {kind: ends for kind, ends in kinds.items() if ends[0]},
            "less": less.get(subject["label"], {}),
        },
    }


def _ends(figures: Mapping[str, Any], name: str) -> list[float | None]:
    return [figures.get(name), figures.get(f"{name}_low"), figures.get(f"{name}_high")]


def joined(rows: Sequence[Row], subjects: Sequence[Row], empty: Row) -> list[Row]:
    """Return the rows, each with the first subject that is of its model and variant, and the
    subjects of which there is no run; `empty` is what these do not know.
    """
    found = [row | _likelihood_of(row, subjects) for row in rows]
    known = {_who(row) for row in rows}
    alone = [subject for subject in subjects if _who(subject) not in known]
    return [*found, *(_alone(subject, empty) for subject in alone)]


def _likelihood_of(row: Row, subjects: Sequence[Row]) -> Row:
    same = [subject for subject in subjects if _who(subject) == _who(row)]
    return {"likelihood": same[0]["likelihood"]} if same else {}


def _who(row: Row) -> tuple[str, str]:
    return row["model"].removesuffix(".gguf"), row["variant"]


def _alone(subject: Row, empty: Row) -> Row:
    return {
        **empty,
        "status": "VALID",
        "reason": "its perplexity alone was measured",
        "run": "",
        "conditions": {},
        **subject,
    }


def loss_beside(one: Row, other: Row) -> Estimate | None:
    """Return how the loss of one differs from the other's on the texts of both; None where they
    were not measured together.
    """
    ours, theirs = one.get("likelihood"), other.get("likelihood")
    if not ours or not theirs or ours["folder"] != theirs["folder"]:
        return None
    if ends := ours["less"].get(theirs["label"]):
        return Estimate(*ends)
    ends = theirs["less"].get(ours["label"])
    return negative(Estimate(*ends)) if ends else None


def other_texts(rows: Sequence[Row]) -> list[str]:
    """Say that perplexities are of other texts, and who has which."""
    who: dict[str, list[str]] = {}
    for row in rows:
        if "likelihood" in row:
            who.setdefault(row["likelihood"]["texts"], []).append(row["label"])
    if len(who) < 2:
        return []
    told = "; ".join(f"{texts} ({', '.join(labels)})" for texts, labels in who.items())
    return [f"texts of the perplexity: {told}"]
