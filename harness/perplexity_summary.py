"""What did a measurement of perplexity find? The parts of a subject become its tokens.parquet; all
of them perplexity.json.

What the figures mean stands in `accuracy.perplexity`, how their intervals are made in
`accuracy.resampling`. Everything in the summary is made of the files of the folder and can be made
again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import perplexity_models, perplexity_spread, perplexity_tokens, resampling, scaling
from accuracy.divergence import Positions, divergence
from accuracy.perplexity import Figures, TextScores, corpus
from harness import runlog
from harness.errors import BadInput
from harness.perplexity_beside import beside
from harness.pieces import noted
from harness.types import short_name

SCHEMA = "touchstone.perplexity/1"
PLAIN = "plain"
_BASES = {
    name: "after 0 sentences"
    for name in ("after 1 sentence", "after 2 sentences", "after 3 sentences")
}
_BASES |= dict.fromkeys(
    ("vague", "specific", "paraphrased"), PLAIN
)  # condition -> what it is held against
_OWN = ("position", "token_id", "start", "end", "nll_nats", "correct")
_COMPARED = (
    "kld",
    "kld_low",
    "kld_high",
    "kld_error",
    "same_top",
    "p_reference",
    "p",
    "nll_reference",
)
_POSITIONS = ("kld", "kld_low", "kld_high", "same_top", "nll_reference")
_SHOWN = 20  # hardest tokens, largest gains
_CURVE = 60  # points of the fitted law
Row = dict[str, Any]


class Read(NamedTuple):
    """A subject's file and its scores, by condition; `compared` are the plain texts' positions
    beside the reference's.
    """

    row: Row
    scores: dict[str, list[TextScores]]
    compared: list[Positions]

    @property
    def plain(self) -> list[TextScores]:
        return self.scores.get(PLAIN, [])

    @property
    def label(self) -> str:
        return f"{short_name(str(self.row['model']))} {self.row['variant']}"

    @property
    def done(self) -> bool:
        return bool(self.row["status"] == "DONE" and self.plain)


# ---- parts to one table


def gather(place: Path, folder: Path) -> Row:
    """Join the parts there are into tokens.parquet; say how much was scored and how long it
    took.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((folder / "parts").glob("*.npz"))
    if not files:
        return {}
    ids = pq.read_table(place / "texts.parquet", columns=["id"])["id"].to_pylist()
    parts = []
    for file in files:
        with np.load(file) as part:
            parts.append((file.stem[7:].replace("-", " "), ids[int(file.stem[:6])], dict(part)))
    parts.sort(
        key=lambda part: part[0] != PLAIN
    )  # stable: the plain texts first, each condition's in their order
    lengths = [len(columns["token_id"]) for _, _, columns in parts]
    table: Row = {
        "text": pa.array(np.repeat(np.array([text for _, text, _ in parts], object), lengths)),
        "condition": pa.array(
            np.repeat(np.array([condition for condition, _, _ in parts], object), lengths)
        ),
        "begins_at": np.repeat(
            np.array([columns["begins_at"] for _, _, columns in parts], np.int32), lengths
        ),
    }
    table |= {name: np.concatenate([columns[name] for _, _, columns in parts]) for name in _OWN}
    for name in _COMPARED:
        if any(name in columns for _, _, columns in parts):
            table[name] = _or_null([columns.get(name) for _, _, columns in parts], lengths)
    pq.write_table(pa.table(table), folder / "tokens.parquet", compression="zstd")
    seconds = sum(float(columns["seconds"]) for _, _, columns in parts)
    return {
        "seconds": round(seconds, 3),
        "tokens_per_s": round(sum(lengths) / seconds, 2) if seconds else None,
    }


def _or_null(columns: Sequence[NDArray[Any] | None], lengths: Sequence[int]) -> Any:
    """A condition has no figures beside the reference."""
    import pyarrow as pa

    kind = next(column.dtype for column in columns if column is not None)
    there = np.repeat([column is not None for column in columns], lengths)
    pairs = zip(columns, lengths, strict=True)
    values = np.concatenate(
        [np.zeros(length, kind) if column is None else column for column, length in pairs]
    )
    return pa.array(values, mask=~there)


def read(place: Path, texts: Mapping[str, Mapping[str, Any]]) -> list[Read]:
    """Every subject that was begun, in order."""
    found = []
    for file in sorted(place.glob("[0-9][0-9]_*/subject.json")):
        row = json.loads(file.read_text(encoding="utf-8"))
        scores, compared = _scores(file.parent / "tokens.parquet", texts)
        found.append(Read(row, scores, compared))
    return found


def _scores(
    file: Path, texts: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, list[TextScores]], list[Positions]]:
    import pyarrow.parquet as pq

    scores: dict[str, list[TextScores]] = {}
    compared: list[Positions] = []
    if not file.exists():
        return scores, compared
    table = pq.read_table(file).combine_chunks()
    keys = [table[name].dictionary_encode().combine_chunks() for name in ("condition", "text")]
    codes = [
        key.indices.to_numpy() if hasattr(key, "indices") else key.chunk(0).indices.to_numpy()
        for key in keys
    ]
    names = [
        (key if hasattr(key, "dictionary") else key.chunk(0)).dictionary.to_pylist() for key in keys
    ]
    bounds = [
        0,
        *(np.flatnonzero((np.diff(codes[0]) != 0) | (np.diff(codes[1]) != 0)) + 1).tolist(),
        len(table),
    ]
    columns = {name: table[name].to_numpy() for name in (*_OWN, "begins_at")}
    extra = {name: table[name] for name in _POSITIONS if name in table.column_names}
    for first, end in pairwise(bounds):
        condition, text = names[0][codes[0][first]], names[1][codes[1][first]]
        row = {name: column[first:end] for name, column in columns.items()}
        document = texts[text]["text"]
        scores.setdefault(condition, []).append(
            TextScores(
                text_id=text,
                category=texts[text]["category"],
                token_ids=row["token_id"],
                starts=row["start"],
                ends=row["end"],
                nll_nats=row["nll_nats"],
                correct=row["correct"],
                num_bytes=len(document[int(row["begins_at"][0]) :].encode()),
            )
        )
        if condition == PLAIN and extra and extra["kld"][first].is_valid:
            beside = {name: column[first:end].to_numpy() for name, column in extra.items()}
            compared.append(Positions(nll_variant=row["nll_nats"], **beside))
    return scores, compared


# ---- the summary


def build(place: Path, interrupted: bool = False, not_run: Sequence[str] = ()) -> Row:
    """perplexity.json and the page, from the files of the folder; the first is returned."""
    import pyarrow.parquet as pq

    saved = json.loads((place / "settings.json").read_text(encoding="utf-8"))
    texts = {row["id"]: row for row in pq.read_table(place / "texts.parquet").to_pylist()}
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
        "ranking": _ranking(subjects, compared.per_token),
        "scaling": _scaling(subjects, compared.per_token),
        "gains": _gains(subjects),
        "not_run": list(not_run),
        "notes": _notes(saved["notes"], subjects, not_run),
        "folder": str(place),
    }
    found = dict(_plain(found))
    runlog.write_json(place / "perplexity.json", found)
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
    """What was asked for and, where it depends on the model, what it came to."""
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
        "divergence": _divergence(place, subject, everybody),
    }
    if not plain:
        return row
    cost = {
        name: row.get(name)
        for name in ("seconds", "tokens_per_s", "weights_bytes", "peak_above_weights_bytes")
    }
    hardest = perplexity_tokens.hardest(plain, _SHOWN)
    return row | {
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
        "conditions": _conditions(subject.scores),
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


def _conditions(scores: Mapping[str, Sequence[TextScores]]) -> Row:
    """What each context is worth, against the same tokens without it. Raises BadInput if they are
    not the same.
    """
    found: Row = {}
    for name, given in scores.items():
        if name not in _BASES:
            continue
        having = {text.text_id for text in given}
        base = [text for text in scores.get(_BASES[name], []) if text.text_id in having]
        ids = {text.text_id for text in base}
        change = perplexity_models.gain(base, [text for text in given if text.text_id in ids])
        found[name] = {
            "base": _BASES[name],
            "base_figures": _figures(change.base),
            **_figures(change.conditioned),
            "gain_nats": change.loss_nats,
            "perplexity_ratio": change.perplexity_ratio,
            "tokens_helped": change.tokens_helped,
        }
    return found


# ---- subjects beside subjects


def _ranking(subjects: Sequence[Read], per_token: bool) -> list[Row]:
    """Best first: by perplexity where it compares, else by bits per byte."""
    done = _common({s.label: s.plain for s in subjects if s.done})
    if len(done) < 2:
        return []
    tokenizers = {s.label: s.row["tokenizer"] for s in subjects if s.done}
    by: perplexity_models.By = "perplexity" if per_token else "bits_per_byte"
    return [rank._asdict() | {"by": by} for rank in perplexity_models.ranked(done, tokenizers, by)]


def _scaling(subjects: Sequence[Read], per_token: bool) -> Row:
    """The law of size through the models, each in the variant that all have."""
    variants = list(dict.fromkeys(s.row["variant"] for s in subjects if s.done))
    chosen = [s for s in subjects if s.done and variants and s.row["variant"] == variants[0]]
    sizes = {s.label: int(s.row["parameters"]) for s in chosen}
    if why := scaling.refusal(list(sizes.values())):
        return {"refused": why}
    by: scaling.By = "loss_nats" if per_token else "bits_per_byte"
    losses = scaling.losses(_common({s.label: s.plain for s in chosen}), sizes, by)
    try:
        fit, returns = scaling.fit(losses), scaling.diminishing(losses)
    except BadInput as error:
        return {"refused": str(error)}
    points = np.geomspace(losses.sizes.min(), losses.sizes.max(), _CURVE).tolist()
    curve = fit.curve(points)
    return {
        "variant": variants[0],
        "by": by,
        "unit": losses.unit,
        "models": list(losses.models),
        "sizes": losses.sizes.tolist(),
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
        "diminishing": {
            "answer": returns.diminishing,
            "why": returns.why,
            "steps": [s._asdict() for s in returns.steps],
        },
    }


def _gains(subjects: Sequence[Read]) -> Row | None:
    """The tokens where the largest model gains most over the smallest, if both cut the texts
    alike.
    """
    done = sorted((s for s in subjects if s.done), key=lambda s: s.row["parameters"])
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


def _common(models: Mapping[str, Sequence[TextScores]]) -> dict[str, list[TextScores]]:
    """The texts that all have scored: what one tokenizer makes one token of is left out for all."""
    shared = (
        set.intersection(*({text.text_id for text in texts} for texts in models.values()))
        if models
        else set()
    )
    return {
        name: [text for text in texts if text.text_id in shared] for name, texts in models.items()
    }


def _divergence(place: Path, subject: Read, everybody: Sequence[Read]) -> Row | None:
    """How far the subject's distributions are from its reference's; why not, if that was asked for
    and is not there.
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
        **divergence(subject.compared),
    }


def _kept(reference: Path, subject: Read) -> Row:
    """How much of the reference's distributions the figures stand on."""
    files = sorted((reference / "distributions").glob("*.npz"))
    if subject.row.get("exact") or not files:
        return {
            "exact": True,
            "note": "exact: both models were in memory, their whole distributions side by side",
        }
    with np.load(files[0]) as first:
        vocabulary, tokens = int(first["vocabulary"]), int(first["ids"].shape[1])
    size_bytes = sum(file.stat().st_size for file in files)
    share = size_bytes / (4 * vocabulary * max(1, sum(len(text.kld) for text in subject.compared)))
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


def _notes(saved: Sequence[str], subjects: Sequence[Read], not_run: Sequence[str]) -> list[str]:
    """What a reader must know of how it was measured. A note says of whom, unless it is of all."""
    said = [*saved]
    of: dict[str, list[str]] = {}  # note -> labels
    for subject in subjects:
        label, left_out = subject.label, subject.row.get("excluded") or []
        if left_out:
            named = ", ".join(f"{one['text']} ({one['reason']})" for one in left_out[:5])
            said.append(
                f"{label}: {len(left_out)} texts left out: {named}"
                + (" ..." if len(left_out) > 5 else "")
            )
        if subject.row["status"] == "INTERRUPTED":
            said.append(
                f"{label}: interrupted; its figures are of {len(subject.plain)} texts and compare"
                " with nobody's"
            )
        for note in dict.fromkeys(subject.row.get("notes") or ()):
            of.setdefault(note, []).append(label)
    said += [
        note if len(labels) == len(subjects) else f"{', '.join(labels)}: {note}"
        for note, labels in of.items()
    ]
    if not_run:
        said.append(f"not measured: {', '.join(not_run)}")
    return list(dict.fromkeys(said))


# ---- to JSON


def _plain(value: Any) -> Any:
    """Estimates become value, low and high; what JSON has no number for becomes null."""
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
    from reports.perplexity import write_page

    write_page(place)
