"""What did a measurement of perplexity find? The parts of a subject become its tokens.parquet; all
of them perplexity.json.

What the figures mean stands in `accuracy.likelihood.figures`, how their intervals are made in
`accuracy.resampling`. Everything in the summary is made of the files of the folder and can be made
again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy import resampling
from accuracy.likelihood import models as perplexity_models
from accuracy.likelihood import spread as perplexity_spread
from accuracy.likelihood import tokens as perplexity_tokens
from accuracy.likelihood.figures import Figures, TextScores, corpus
from harness.engine.pieces import noted
from harness.kernel import files
from harness.kernel.foreign import parsed
from harness.kernel.foreign.tables import read_table
from harness.likelihood import conditions
from harness.likelihood.beside import beside
from harness.likelihood.compared import divergence_of, families, gains, pair_rows, pairs, ranking
from harness.likelihood.scores import Read, read

SCHEMA = "touchstone.perplexity/2"
_SHOWN = 20  # hardest tokens
Row = dict[str, Any]


# ---- the summary


def build(place: Path, interrupted: bool = False, not_run: Sequence[str] = ()) -> Row:
    """Make perplexity.json and the page from the files of the folder; return the first."""
    saved = parsed.read_json(place / "settings.json")
    texts = {row["id"]: row for row in read_table(place / "texts.parquet").to_pylist()}
    subjects = read(place, texts)
    documents = {name: row["text"] for name, row in texts.items()}
    compared = perplexity_models.comparable(
        {s.label: s.row.get("tokenizer", "") for s in subjects if s.plain}
    )
    runs = [Path(folder) for folder in saved["config"].get("beside", ())]
    rows = [
        _subject(place, subject, subjects, documents) | {"beside": beside(subject.row, runs)}
        for subject in subjects
    ]
    held = pairs(subjects)
    counted = next((row["figures"]["tokens"] for row in rows if row["figures"]), None)
    found = {
        "schema": SCHEMA,
        "status": _status(subjects, interrupted),
        "run_id": place.name,
        "started_at": saved.get("started_at"),
        "dataset": saved["dataset"] | {"tokens": counted, "categories": _categories(texts)},
        "settings": _settings(saved["config"], subjects),
        "subjects": rows,
        "comparable": {
            "by_perplexity": compared.per_token,
            "reason": compared.why,
            "groups": compared.groups,
        },
        "ranking": ranking(subjects, held, compared.per_token),
        "pairs": pair_rows(held),
        "scaling": families(subjects, compared.per_token),
        "gains": gains(subjects),
        "not_run": list(not_run),
        "notes": _notes(saved["notes"], subjects, not_run),
        "folder": str(place),
    }
    found = dict(_plain(found))
    files.write_json(place / "perplexity.json", found)
    with noted("perplexity.html"):
        _page(place)
    return found


def _status(subjects: Sequence[Read], interrupted: bool) -> str:
    if interrupted:
        return "INTERRUPTED"
    return "DONE" if subjects and all(subject.done for subject in subjects) else "ERROR"


def _categories(texts: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    names = [row["category"] for row in texts.values()]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _settings(config: Row, subjects: Sequence[Read]) -> Row:
    """Return what was asked for and, where it depends on the model, what it came to."""
    came = {
        name: list(dict.fromkeys(s.row[name] for s in subjects if s.row.get(name) is not None))
        for name in ("bos", "context")
    }
    asked = {
        name: config[name]
        for name in (
            "window",
            "stride",
            "batch_tokens",
            "conditions",
            "reference",
            "exact",
            "top_k",
        )
    }
    return (
        asked
        | {name: values[0] if len(values) == 1 else values or None for name, values in came.items()}
        | {
            "bos_asked": config["bos"],
            "confidence": resampling.CONFIDENCE,
            "resamples": resampling.RESAMPLES,
        }
    )


def _subject(
    place: Path, subject: Read, everybody: Sequence[Read], documents: Mapping[str, str]
) -> Row:
    row, plain = dict(subject.row), subject.plain
    row.pop("facts", None)
    row |= {
        "label": subject.label,
        "figures": {},
        "divergence": divergence_of(place, subject, everybody),
    }
    if not plain:
        return row
    cost = {
        name: row.get(name)
        for name in ("seconds", "tokens_per_s", "weights_bytes", "peak_above_weights_bytes")
    }
    hardest = perplexity_tokens.hardest(plain, _SHOWN)
    return row | conditions.statement(conditions.PLAIN, row)._asdict() | {
        "figures": _figures(corpus(plain)) | cost,
        "spread": perplexity_spread.spread(plain),
        "by_category": _by(perplexity_spread.by_category(plain)),
        "by_text": [_text(text, figures) for text, figures in zip(plain,
                perplexity_spread.per_text(plain), strict=True)],
        "by_position": [
            {"first": first, "last": last, **_figures(figures)}
            for (first, last), figures in perplexity_tokens.by_position(plain).items()
        ],
        "by_sentence": _by(perplexity_tokens.by_sentence(plain, documents)),
        "by_kind": _by(perplexity_tokens.by_kind(plain, documents)),
        "by_length": [
            {"shortest_bytes": part.shortest, "longest_bytes": part.longest,
                **_figures(part.figures)}
            for part in perplexity_spread.by_length(plain)
        ],
        "length_trend": perplexity_spread.length_trend(plain),
        "hardest": [token._asdict() | {"word": _word(documents, token)} for token in hardest],
        "extremes": dict(zip(("lowest", "highest"), perplexity_spread.extremes(plain, 3),
                strict=True)),
        "conditions": _conditions(subject),
    }  # fmt: skip


def _text(text: TextScores, figures: Figures) -> Row:
    return {
        "id": text.text_id,
        "category": text.category,
        "perplexity": figures.perplexity.value,
        "bits_per_byte": figures.bits_per_byte.value,
        "tokens": figures.tokens,
        "bytes": figures.bytes,
    }


def _by(groups: Mapping[Any, Figures]) -> Row:
    return {str(key): _figures(figures) for key, figures in groups.items()}


def _figures(figures: Figures) -> Row:
    named = {
        "perplexity": figures.perplexity,
        "eval_loss": figures.loss_nats,
        "bits_per_byte": figures.bits_per_byte,
        "token_accuracy": figures.accuracy,
    }
    found: Row = {"tokens": figures.tokens, "texts": figures.texts, "bytes": figures.bytes}
    for name, (value, low, high) in named.items():
        found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return found


def _word(documents: Mapping[str, str], token: perplexity_tokens.Token) -> str:
    return documents[token.text_id][token.start : token.end]


def _conditions(subject: Read) -> Row:
    """Return what each context is worth, against the same tokens without it. Raises BadInput if
    they are not the same.
    """
    names = [name for name in subject.scores if name in conditions.NAMES]
    return {
        name: {"kind": conditions.kind_of(name)}
        | conditions.statement(name, subject.row)._asdict()
        | _worth(subject.scores, name)
        for name in sorted(names, key=conditions.order)
    }


def _worth(scores: Mapping[str, Sequence[TextScores]], name: str) -> Row:
    """Return a condition's figures, and what it gains over its base on the texts that both have."""
    given, base_name = scores[name], conditions.base_of(name)
    if base_name is None:
        return {"base": None, **_figures(corpus(given))}
    having = {text.text_id for text in given}
    base = [text for text in scores.get(base_name, []) if text.text_id in having]
    ids = {text.text_id for text in base}
    change = perplexity_models.gain(base, [text for text in given if text.text_id in ids])
    return {
        "base": base_name,
        "base_figures": _figures(change.base),
        **_figures(change.conditioned),
        "gain_nats": change.loss_nats,
        "perplexity_ratio": change.perplexity_ratio,
        "tokens_helped": change.tokens_helped,
    }


def _notes(saved: Sequence[str], subjects: Sequence[Read], not_run: Sequence[str]) -> list[str]:
    """Say what a reader must know of how it was measured, and of whom, unless it is of all."""
    of: dict[str, list[str]] = {}  # note -> labels
    for subject in subjects:
        for note in dict.fromkeys([*_own_notes(subject), *(subject.row.get("notes") or ())]):
            of.setdefault(note, []).append(subject.label)
    said = [*saved]
    for note, labels in of.items():
        said.append(note if len(labels) == len(subjects) else f"{', '.join(labels)}: {note}")
    if not_run:
        said.append(f"not measured: {', '.join(not_run)}")
    return list(dict.fromkeys(said))


def _own_notes(subject: Read) -> Iterator[str]:
    row = subject.row
    if left_out := row.get("excluded"):
        yield f"{_texts(len(left_out))} left out: {_named(left_out)}"
    for kind in conditions.KINDS:
        lacking = row.get("left_out_of_conditions") or ()
        if unfit := [one for one in lacking if one["conditions"] == kind]:
            yield f"conditions by {kind}: {_texts(len(unfit))} left out: {_named(unfit)}"
    if count := row.get("in_windows"):
        size, stride = row["context"], row["stride"]
        least = size + 1 - stride
        are = "is" if count == 1 else "are"
        yield (
            f"{_texts(count)} {are} longer than the window of {size:,} tokens; windows move by"
            f" {stride:,}, so beyond the first a token is given {least:,} to {size:,} tokens"
        )
    if unknown := sorted(set(subject.scores) - {conditions.PLAIN, *conditions.NAMES}):
        yield (
            f"{', '.join(unknown)}: scored by an earlier version, which left a hole in the text; "
            "not shown, measure again"
        )
    if row["status"] == "INTERRUPTED":
        texts = _texts(len(subject.plain))
        yield f"interrupted; its figures are of {texts} and compare with nobody's"


def _texts(count: int) -> str:
    return f"{count} text{'s' * (count != 1)}"


def _named(left_out: Sequence[Mapping[str, str]]) -> str:
    """Name the first five texts with their reasons."""
    named = ", ".join(f"{one['text']} ({one['reason']})" for one in left_out[:5])
    return named + (" ..." if len(left_out) > 5 else "")


# ---- to JSON


def _plain(value: Any) -> Any:
    """Turn estimates into value, low and high; what JSON has no number for becomes null."""
    if hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _page(place: Path) -> None:
    from reports.pages.likelihood.screen import write_page

    write_page(place)
