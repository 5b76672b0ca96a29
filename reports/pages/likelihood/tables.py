"""Which tables does a measurement of perplexity have? Subjects, divergence, categories, texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.words.figure import number, short_count, size
from reports.blocks import Column, Table, percent, tone, word_column
from reports.pages.likelihood import words
from reports.pages.likelihood.shading import Document
from reports.pages.likelihood.sides import Side, by_text
from reports.pages.likelihood.words import Subject, Summary, figure, measured, small

_MAX_ROWS = 120


def _loss(nats: float) -> str:
    return f"{nats:.4f}"


def _points(points: float) -> str:
    return f"{points:+.3f}"


def _measured(name: str, label: str, write: Any, unit: str = "") -> Column:
    return Column(name, label, unit, write, optional=True, interval=True)


QUALITY = (
    _measured("perplexity", "perplexity", figure),
    _measured("bits_per_byte", "bits/byte", figure),
    _measured("eval_loss", "loss", _loss, "nats"),
    _measured("token_accuracy", "token accuracy", percent, "%"),
)
DISTANCE = (
    _measured("mean_kld", "KL mean", small),
    _measured("p99_kld", "KL p99", small),
    _measured("same_top_p", "same top", percent, "%"),
)
COST = (
    Column("tokens_per_s", "tokens/s", "", number, optional=True),
    Column("weights_bytes", "weights", "", size, optional=True),
)
DIVERGENCE = (
    _measured("mean_ppl_q", "Mean PPL(Q)", figure),
    _measured("mean_ppl_base", "Mean PPL(base)", figure),
    _measured("cor_ln_ppl", "Cor(ln(PPL(Q)), ln(PPL(base)))", _loss),
    _measured("mean_ln_ppl_ratio", "Mean ln(PPL(Q)/PPL(base))", _loss),
    _measured("mean_ppl_ratio", "Mean PPL(Q)/PPL(base)", _loss),
    _measured("mean_ppl_difference", "Mean PPL(Q)-PPL(base)", _loss),
    _measured("mean_kld", "Mean KLD", small),
    _measured("mean_kld_at_least", "  at least", small),
    _measured("maximum_kld", "Maximum KLD", small),
    _measured("p99_9_kld", "99.9% KLD", small),
    _measured("p99_kld", "99.0% KLD", small),
    _measured("p95_kld", "95.0% KLD", small),
    _measured("p90_kld", "90.0% KLD", small),
    _measured("median_kld", "Median KLD", small),
    _measured("mean_dp", "Mean Δp", _points, "points"),
    _measured("rms_dp", "RMS Δp", small, "points"),
    _measured("same_top_p", "Same top p", percent, "%"),
)
_TERMS = (
    "Named as llama-perplexity prints them: Q is the variant, base the reference, p the probability"
    " of the token of the text. KLD is in nats, from the reference's distribution to the variant's."
    " Intervals are over texts. At least: a sure lower bound of the mean, whatever was in the tail"
    " of the distribution that was not kept."
)
MEANING = Table(
    "What each figure captures, and what it does not",
    [word_column(name, head) for name, head in
     {"figure": "", "captures": "captures", "misses": "does not capture"}.items()],
    (
        ("perplexity", "How many equally likely tokens the model hesitates between, on average.",
         "Whether what it writes is right, useful or safe. It cannot compare models that split text"
         " into different tokens."),
        ("bits per byte", "The same surprise per byte of text, which is fair to every tokenizer.",
         "Everything that perplexity misses; and the text's language decides how many bytes a"
         " thought takes."),
        ("token accuracy", "How often the model's first choice is the token of the text.",
         "How sure it was: 51 % and 99 % count the same. Often more than one next word is good."),
        ("KL divergence",
         "How far a variant's whole distribution moved from the reference's, at every position.",
         "Whether the move is for better or worse, and how good the reference is."),
        ("same top token", "How often greedy decoding would take the same step as the reference.",
         "That one different step can send the rest of an answer another way."),
        ("ROUGE, exact match", "Answers that the model wrote itself, compared with expected ones.",
         "Good answers in other words. With few samples, their noise hides what perplexity can"
         " show."),
        ("tokens/s", "Speed of scoring: whole texts read at once.",
         "Speed of writing, which goes token by token and has other limits: see a run of the"
         " harness."),
    ),
)  # fmt: skip


def subjects(summary: Summary) -> Table:
    """Return the subjects as rows: what each is, its status, its figures with their intervals."""
    about = ("model", "variant", "status", "problem", "parameters", "trainable_parameters")
    columns = [
        Column("label", "", raw=True),
        Column("subject", "", words=True, people=True, second="about"),
        *(Column(name, name, raw=True) for name in about),
        Column("state", "status", people=True, optional=True, toned=tone),
        *QUALITY, *DISTANCE, *COST,
    ]  # fmt: skip
    rows = []
    for label, subject in zip(words.labels(summary), summary["subjects"], strict=True):
        status = subject.get("status", "DONE")
        row = [label, (label, _about(label, subject)), *(subject.get(name) for name in about)]
        row.append(None if status == "DONE" else status)
        row += [measured(subject.get("figures"), one.name) for one in QUALITY]
        row += [measured(subject.get("divergence"), one.name) for one in DISTANCE]
        row += [subject.get("figures", {}).get(one.name) for one in COST]
        rows.append(row)
    return Table("Perplexity", columns, rows)


def _about(label: str, subject: Subject) -> str:
    """Say what the label does not: the variant, and how large the subject is."""
    variant, count = words.variant(subject), subject.get("parameters")
    parts = [] if f" {variant} " in f" {label} " else [variant]
    parts += [f"{short_count(count)} parameters"] if count else []
    parts += [f"{trainable} trainable" for trainable in [words.trainable(subject)] if trainable]
    return ", ".join(parts)


def categories(summary: Summary) -> Table | None:
    """Return each subject's figure by category of text; nothing for a single category."""
    subjects, (key, name) = words.done(summary), words.measure(summary)
    found = [subject.get("by_category") or {} for _, subject in subjects]
    names = list(dict.fromkeys(category for of in found for category in of))
    if len(names) < 2:
        return None
    columns = [word_column("category", "")]
    columns += [Column(label, label, "", figure, interval=True) for label, _ in subjects]
    rows = [[one, *(measured(of.get(one), key) for of in found)] for one in names]
    return Table(f"By category: {name}", columns, rows)


def divergence(summary: Summary, sides: Sequence[Side]) -> Table | None:
    """Return every measure of divergence of the subjects that have a reference."""
    compared = [side for side in sides if measured(side.subject.get("divergence"), "mean_kld")]
    if not compared:
        return None
    references = sorted({words.reference(side.subject, summary) for side in compared})
    rows = []
    for side in compared:
        own = side.subject["divergence"]
        rows.append([side.label, *(measured(own, one.name) for one in DIVERGENCE)])
    found = [str(side.subject["divergence"].get("note") or "") for side in compared]
    notes = [f"{note[0].upper()}{note[1:]}." for note in dict.fromkeys(filter(None, found))]
    title, note = f"Divergence from {', '.join(references)}", " ".join([_TERMS, *notes])
    return Table(title, [Column("label", ""), *DIVERGENCE], rows, note, sideways=True)


class Texts(NamedTuple):
    """Each model on each text. `shades` go from the lowest figure (0) to the highest (1), per
    column where columns do not compare; `links` lead to the texts that are shown token by token.
    """

    table: Table
    shades: list[list[float]]
    links: dict[str, str]


def texts(
    summary: Summary, documents: Mapping[str, Document], sides: Sequence[Side], on_page: set[str]
) -> Texts | None:
    """Return the perplexity of each model on each text; of many, the highest and the lowest."""
    found = {side.label: by_text(side) for side in sides}
    every = list(dict.fromkeys(id for column in found.values() for id in column))
    if not every:
        return None
    ids = _extreme(every, found[sides[0].label])
    together = words.comparable(summary)
    logs = {
        label: {id: math.log(of[id][0]) for id in ids if id in of} for label, of in found.items()
    }
    whole = [value for of in logs.values() for value in of.values()]
    spans = {label: _span(whole if together else list(of.values())) for label, of in logs.items()}
    rows, shades, links = [], [], {}
    titles = Counter(document.title for document in documents.values())
    for id in ids:
        document = documents.get(id, Document(id, "", "", ""))
        name = document.title if titles[document.title] == 1 and document.title else id
        count = next((of[id][1] for of in found.values() if id in of), 0)
        parts = [document.category, f"{count:,} tokens" if count else ""]
        known = [of.get(id, (None, 0))[0] for of in found.values()]
        rows.append([(name, " · ".join(filter(None, parts))), *known])
        shades.append([_depth(logs[label].get(id), *spans[label]) for label in found])
        if id in on_page:
            links[name] = f"#text-{list(documents).index(id)}"
    columns = [Column("text", "perplexity", words=True, second="about")]
    columns += [Column(label, label, "", _two_places) for label in found]
    alone = ", each column for itself: columns of different tokenizers do not compare"
    note = (
        f"The deeper the shade, the higher the perplexity (logarithmic{'' if together else alone})."
    )
    if len(ids) < len(every):
        note += (
            f" Shown are the {len(ids)} texts of the highest and the lowest perplexity;"
            " perplexity.json has them all."
        )
    return Texts(Table("Each model on each text", columns, rows, note), shades, links)


def _extreme(ids: list[str], first: Mapping[str, tuple[float, int]]) -> list[str]:
    """Keep the texts of the highest and the lowest perplexity where there are too many."""
    if len(ids) <= _MAX_ROWS:
        return ids
    ordered = sorted((id for id in ids if id in first), key=lambda id: -first[id][0])
    kept = {*ordered[: _MAX_ROWS // 2], *ordered[-_MAX_ROWS // 2 :]}
    return [id for id in ids if id in kept]


def _two_places(perplexity: float) -> str:
    return f"{perplexity:.2f}" if perplexity < 1000 else figure(perplexity)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    return (low, high) if high > low else (low - 1, low + 1)


def _depth(value: float | None, low: float, high: float) -> float:
    return 0.0 if value is None else (value - low) / (high - low)
