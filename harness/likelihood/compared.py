"""How do the subjects of a measurement stand to one another? Scores of several in; pairs, places,
steps in size, gains and divergences out.

Every comparison is decided by the rule of `accuracy.likelihood.ranking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accuracy.likelihood import ranking as perplexity_ranking
from accuracy.likelihood import scaling
from accuracy.likelihood import steps as scaling_steps
from accuracy.likelihood import tokens as perplexity_tokens
from accuracy.likelihood.divergence import divergence
from accuracy.likelihood.figures import TextScores
from accuracy.likelihood.ranking import By, Pair, decided
from harness.kernel.errors import BadInput
from harness.likelihood.scores import Read

_SHOWN = 20  # largest gains
_CURVE = 60  # points of the fitted law
_MORE_IS_BETTER = ("token_accuracy",)
Row = dict[str, Any]


# ---- pairs and places


def pairs(subjects: Sequence[Read]) -> list[Pair]:
    """Hold every subject that is done against every other."""
    done = [subject for subject in subjects if subject.done]
    models = common({subject.label: subject.plain for subject in done})
    klds = {}
    for subject in done:
        ids = [text.text_id for text in models[subject.label]]
        if all(id in subject.compared for id in ids):
            klds[subject.label] = [subject.compared[id].kld for id in ids]
    against = {subject.label: _held_against(subject) for subject in done}
    found = perplexity_ranking.pairs(models, klds)
    return [pair if against[pair.first] == against[pair.second] else pair.without_kld()
            for pair in found]  # fmt: skip


def _held_against(subject: Read) -> tuple[Any, Any]:
    """Return the reference, and how many tokens a server tells: the KLD of a model in memory, or of
    more tokens, is measured in another way.
    """
    return subject.row.get("against"), subject.row.get("named")


def pair_rows(found: Sequence[Pair]) -> list[Row]:
    """Return the pairs as JSON: the two labels, then of each figure the first less the second, and
    what the interval decides of the first.
    """
    rows = []
    for pair in found:
        row: Row = {"first": pair.first, "second": pair.second}
        for name, less in pair.figures().items():
            if less.value is not None:
                row[name] = less._asdict() | {"decision": decided(less, name in _MORE_IS_BETTER)}
        rows.append(row)
    return rows


def ranking(subjects: Sequence[Read], found: Sequence[Pair], per_token: bool) -> list[Row]:
    """Put the subjects in order: by perplexity where it compares, else by bits per byte."""
    done = common({s.label: s.plain for s in subjects if s.done})
    if len(done) < 2 or not all(done.values()):
        return []
    tokenizers = {s.label: s.row["tokenizer"] for s in subjects if s.done}
    by: By = "perplexity" if per_token else "bits_per_byte"
    ranked = perplexity_ranking.ranked(done, tokenizers, by, found)
    return [rank._asdict() | {"by": by} for rank in ranked]


def common(models: Mapping[str, Sequence[TextScores]]) -> dict[str, list[TextScores]]:
    """Keep the texts that all have scored: what one tokenizer makes one token of is left out for
    all.
    """
    ids = [{text.text_id for text in texts} for texts in models.values()]
    shared = set.intersection(*ids) if ids else set[str]()
    return {
        name: [text for text in texts if text.text_id in shared] for name, texts in models.items()
    }


# ---- sizes


def families(subjects: Sequence[Read], per_token: bool) -> Row:
    """Say what size is worth in each family: models of one tokenizer and one architecture, in the
    variant that all have.
    """
    done = [subject for subject in subjects if subject.done and _is_sized(subject)]
    variant = done[0].row["variant"] if done else None
    groups: dict[tuple[Any, Any], list[Read]] = {}
    for subject in done:
        if subject.row["variant"] == variant:
            key = subject.row["tokenizer"], subject.row.get("architecture")
            groups.setdefault(key, []).append(subject)
    by: scaling.By = "loss_nats" if per_token else "bits_per_byte"
    several = [group for group in groups.values() if len(_sizes(group)) > 1 and _shared(group)]
    made: Row = {"by": by, "unit": scaling.UNITS[by], "variant": variant}
    made["families"] = [_family(group, by) for group in several]
    made["alone"] = [s.label for group in groups.values() if group not in several for s in group]
    made["why_none"] = "" if several else _why_none(list(groups.values()))
    return made


def _is_sized(subject: Read) -> bool:
    """Tell whether the number of its parameters is known: a server does not say it."""
    return bool(subject.row.get("parameters"))


def _sizes(group: Sequence[Read]) -> set[int]:
    return {int(subject.row["parameters"]) for subject in group}


def _shared(group: Sequence[Read]) -> bool:
    """Tell whether there is a text that all have scored."""
    return all(common({subject.label: subject.plain for subject in group}).values())


def _why_none(groups: Sequence[Sequence[Read]]) -> str:
    """Say why no two subjects can be compared by size; nothing if nobody would."""
    models = {subject.row["model"] for group in groups for subject in group}
    if len(models) < 2:
        return ""
    if not all(map(_shared, groups)):
        return "there is no text that all models have scored"
    if len(groups) > 1:
        return "no two models share tokenizer and architecture, as the sizes of a family do"
    return "all models are of one size"


def _family(group: Sequence[Read], by: scaling.By) -> Row:
    sizes = {subject.label: int(subject.row["parameters"]) for subject in group}
    losses = scaling.losses(common({s.label: s.plain for s in group}), sizes, by)
    made, curve = scaling_steps.steps(losses), _curve(losses)
    why, returns = scaling_steps.no_law(made, curve), scaling_steps.diminishing(losses)
    return {
        "architecture": group[0].row.get("architecture"),
        "models": list(losses.models),
        "sizes": losses.sizes.tolist(),
        "steps": [step._asdict() for step in made],
        "law": None if why or curve is None else _law(curve, by),
        "no_law": why,
        "diminishing": {"answer": returns.diminishing, "why": returns.why},
    }


def _curve(losses: scaling.Losses) -> scaling.Fit | None:
    try:
        return scaling.fit(losses)
    except BadInput:  # too few sizes, or a loss of zero
        return None


def _law(fit: scaling.Fit, by: scaling.By) -> Row:
    sizes = fit.losses.sizes
    points = np.geomspace(sizes.min(), sizes.max(), _CURVE).tolist()
    curve = fit.curve(points)
    return {
        "measured": fit.measured,
        "coefficient": fit.coefficient,
        "exponent": fit.exponent,
        "floor": fit.floor,
        "exponent_models": fit.exponent_models,
        "residuals": fit.residuals.tolist(),
        "notes": list(fit.notes),
        "curve": {
            "parameters": points,
            by: [y.value for y in curve],
            "low": [y.low for y in curve],
            "high": [y.high for y in curve],
        },
    }


def gains(subjects: Sequence[Read]) -> Row | None:
    """Return the tokens where the largest model gains most over the smallest, if both cut the texts
    alike.
    """
    sized = [s for s in subjects if s.done and _is_sized(s)]
    done = sorted(sized, key=lambda s: int(s.row["parameters"]))
    if not done or done[0].row["parameters"] == done[-1].row["parameters"]:
        return None
    small, large = (
        done[0],
        next(s for s in reversed(done) if s.row["variant"] == done[0].row["variant"]),
    )
    if small is large or small.row["tokenizer"] != large.row["tokenizer"]:
        return None
    gains = perplexity_tokens.largest_gains(small.plain, large.plain, _SHOWN)
    tokens = [gain.token._asdict() | {"gain_nats": gain.gain_nats} for gain in gains]
    return {"smaller": small.label, "larger": large.label, "tokens": tokens}


# ---- divergence


def divergence_of(place: Path, subject: Read, everybody: Sequence[Read]) -> Row | None:
    """Return how far the subject's distributions are from its reference's; or why not, if that was
    asked for and is not there.
    """
    name = subject.row.get("against")
    if name is None:
        return None
    reference = next((other for other in everybody if other.row["folder"] == name), None)
    if reference is None or not subject.compared:
        return {
            "refused": subject.row.get("no_divergence") or f"the reference {name} was not measured"
        }
    return {
        "reference": reference.row["variant"],
        "reference_model": reference.row["model"],
        **_kept(place / name, subject),
        **divergence(list(subject.compared.values())),
    }


def _kept(reference: Path, subject: Read) -> Row:
    """Say how much of the reference's distributions the figures stand on."""
    if "named" in subject.row:
        return _told(subject)
    files = sorted((reference / "distributions").glob("*.npz"))
    if subject.row.get("exact") or not files:
        return {
            "exact": True,
            "note": "exact: both models were in memory, their whole distributions side by side",
        }
    with np.load(files[0]) as first:
        vocabulary, tokens = int(first["vocabulary"]), int(first["ids"].shape[1])
    size_bytes = sum(file.stat().st_size for file in files)
    share = size_bytes / (
        4 * vocabulary * max(1, sum(len(text.kld) for text in subject.compared.values()))
    )
    whole = tokens >= vocabulary
    of = (
        "the whole distribution"
        if whole
        else f"the {tokens:,} likeliest of {vocabulary:,} tokens and the mass of the others"
    )
    note = (
        f"of the reference {of} were kept at each position, {100 * share:.2f} % of its logits in"
        " float32"
    )
    return {
        "exact": whole,
        "kept_tokens": tokens,
        "vocabulary": vocabulary,
        "share_of_logits": share,
        "note": note,
    }


def _told(subject: Read) -> Row:
    """Say how much of the reference's distributions a server's own answers stand beside."""
    tokens = int(subject.row["named"])
    rests = [text.rest for text in subject.compared.values() if text.rest is not None]
    share = float(np.concatenate(rests).mean(dtype=np.float64)) if rests else None
    mass = "" if share is None else f", which hold {100 * share:.1f} % of the reference's mass"
    note = (
        f"of the served model the {tokens} likeliest tokens of each position are known. Mean KLD"
        f" takes the others{mass}, to differ as much as those; at least is certain; there is no"
        " upper bound"
    )
    return {"exact": False, "kept_tokens": tokens, "rest_share": share, "note": note}
