"""The page and the table of a measurement of perplexity: from a folder as the command writes it,
and from bad ones.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from accuracy.likelihood import models as perplexity_models
from accuracy.likelihood import spread as perplexity_spread
from accuracy.likelihood import tokens as by_token
from accuracy.likelihood.figures import TextScores, corpus
from harness.kernel.errors import BadInput
from harness.kernel.words.figure import short_count
from harness.likelihood import compared as perplexity_compared
from harness.likelihood import conditions as conditions_of
from harness.likelihood import summary as perplexity_summary
from harness.likelihood.scores import read as read_scores
from reports.pages.likelihood import pictures, tables
from reports.pages.likelihood import shading as perplexity_tokens
from reports.pages.likelihood import verdicts as perplexity_verdicts
from reports.pages.likelihood import words as perplexity_words
from reports.pages.likelihood.screen import print_table, read, write_page
from reports.plots import likelihood as plots
from reports.plots.labels import Line, Point
from reports.plots.style import BLUE
from tests import ROOT

pytestmark = pytest.mark.pictures

SIZES = {"tiny-30m": 30_000_000, "tiny-135m": 134_515_008, "tiny-1.7b": 1_711_376_384}
VARIANTS = {"fp32": 0.0, "nf4": 0.09}
CONDITIONS = ("last 1 sentence", "vague", "specific")
PIECES = re.compile(r" ?[A-Za-z]{1,6}| ?[0-9]{1,3}| ?[^\sA-Za-z0-9]|\s+")


def stories(count: int) -> list[dict]:
    file = ROOT / "accuracy" / "datasets" / "stories.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()[:count]]


def cut(text: str) -> list[tuple[int, int]]:
    """Offsets of tokens as a tokenizer with leading blanks makes them: real words, some in two."""
    return [match.span() for match in PIECES.finditer(text)]


def drawn(story: dict, parameters: int, worse: float, rng_of: int = 0) -> TextScores:
    """What a model of so many parameters might have scored: the same hard tokens for all, fewer of
    them for the big ones.
    """
    spans = cut(story["text"])[1:]
    seed = int(story["id"].rsplit("-", 1)[-1])
    rng = np.random.default_rng(seed)
    begins = np.array([story["text"][a] == " " for a, _ in spans])
    hard = (
        rng.gamma(np.where(begins, 0.9, 0.35), 4.0)
        + 0.3 * rng.random()
        + 1.5 * np.exp(-np.arange(len(spans)) / 9)
    )
    scale = (parameters / 30e6) ** -0.11
    noise = np.random.default_rng(seed + parameters % 997 + rng_of).normal(0, 0.16, len(spans))
    nll = np.clip(hard * scale * np.exp(noise) * (1 + worse), 0.001, None).astype(np.float32)
    ids = np.array([sum(map(ord, story["text"][a:b])) % 49152 for a, b in spans], np.int32)
    starts, ends = (np.array(side, np.int32) for side in zip(*spans, strict=True))
    first = len(story["text"][: spans[0][0]].encode())
    return TextScores(
        story["id"],
        story["category"],
        ids,
        starts,
        ends,
        nll,
        nll < 0.9,
        len(story["text"].encode()) - first,
    )


def flat(found) -> dict:
    names = {
        "perplexity": "perplexity",
        "eval_loss": "loss_nats",
        "bits_per_byte": "bits_per_byte",
        "token_accuracy": "accuracy",
    }
    row = {"tokens": found.tokens, "texts": found.texts, "bytes": found.bytes}
    for name, of in names.items():
        value, low, high = getattr(found, of)
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def estimate(value: float, rel: float = 0.06) -> dict:
    return {"value": value, "low": value * (1 - rel), "high": value * (1 + rel)}


def table(
    scores: list[TextScores], kld: list[np.ndarray] | None, conditions: dict[str, list[TextScores]]
) -> pa.Table:
    parts = []
    for condition, texts in {"plain": scores, **conditions}.items():
        for i, text in enumerate(texts):
            n = len(text)
            columns = {
                "text": [text.text_id] * n, "condition": [condition] * n,
                "position": np.arange(1, n + 1, dtype=np.int32), "token_id": text.token_ids,
                "start": text.starts, "end": text.ends, "nll_nats": text.nll_nats,
                "correct": text.correct, "begins_at": np.full(n, text.starts[0], np.int32),
            }  # fmt: skip
            if kld is not None:
                plain = condition == "plain"
                for name, values in {"kld": kld[i], "nll_reference": text.nll_nats}.items():
                    columns[name] = pa.array(values if plain else [None] * n, pa.float32())
                columns["same_top"] = pa.array(text.correct if plain else [None] * n, pa.bool_())
            parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def divergence(ratio: float, kld: np.ndarray, same: float) -> dict:
    ends = {
        f"p{str(q).replace('.', '_')}_kld": estimate(float(np.percentile(kld, q)))
        for q in (90, 99, 99.9)
    }
    return {
        "reference": "fp32", "mean_ppl_q": estimate(16.1), "mean_ppl_base": estimate(14.9),
        "mean_ppl_ratio": estimate(ratio, 0.01),
        "mean_ln_ppl_ratio": estimate(math.log(ratio)), "cor_ln_ppl": estimate(0.994, 0.002),
        "mean_kld": estimate(float(kld.mean())),
        "maximum_kld": estimate(float(kld.max())), **ends,
        "median_kld": estimate(float(np.median(kld))),
        "mean_dp": {"value": -0.62, "low": -0.75, "high": -0.5}, "rms_dp": estimate(5.1),
        "same_top_p": estimate(same, 0.01),
    }  # fmt: skip


def folder(
    place: Path, count: int = 20, sizes=SIZES, variants=VARIANTS, texts=None, given=CONDITIONS
) -> Path:
    """A measurement as `harness perplexity` leaves it, with tokens from a seeded generator and
    figures of accuracy/*.
    """
    rows = texts or stories(count)
    place.mkdir(parents=True, exist_ok=True)
    documents = {row["id"]: row["text"] for row in rows}
    pq.write_table(pa.table({key: [row.get(key, "") for row in rows] for key in ("id", "category",
                    "title", "text")}),
                   place / "texts.parquet")  # fmt: skip
    subjects = []
    for i, (model, variant) in enumerate((m, v) for m in sizes for v in variants):
        scores = [drawn(row, sizes[model], variants[variant]) for row in rows]
        own = place / f"{i:02d}_{model}_{variant}"
        own.mkdir()
        rng = np.random.default_rng(i)
        kld = (
            [rng.lognormal(-4.2, 1.7, len(text)).astype(np.float32) for text in scores]
            if variants[variant]
            else None
        )
        conditions = {}
        gains = {}
        for k, name in enumerate(given):
            helped = [
                drawn(row, sizes[model], variants[variant] - 0.03 * (k + 1), 7) for row in rows
            ]
            conditions[name] = helped
            change = perplexity_models.gain(scores, helped)
            base = conditions_of.base_of(name)
            said = conditions_of.statement(name, {"bos": "none"})._asdict()
            gains[name] = {
                "kind": conditions_of.kind_of(name), **said, "base": base,
                "base_figures": flat(change.base), **flat(change.conditioned),
                "gain_nats": dict(change.loss_nats._asdict()),
                "perplexity_ratio": dict(change.perplexity_ratio._asdict()),
            }  # fmt: skip
            if base == "no context":
                alone = conditions_of.statement(base, {"bos": "none"})._asdict()
                gains = {
                    base: {"kind": "sentences", "base": None, **alone, **flat(change.base)},
                    **gains,
                }
        pq.write_table(table(scores, kld, conditions if i == 0 else {}), own / "tokens.parquet")
        subject = {
            "model": model, "variant": variant, "folder": own.name, "parameters": sizes[model],
            "tokenizer": "0123456789abcdef",
            "dtype": "float32", "context": 2048, "bos": "none", "status": "DONE", "problem": "",
            "notes": [],
        }  # fmt: skip
        (own / "subject.json").write_text(json.dumps(subject))
        speed = 4.2e11 / sizes[model] ** 0.92 * (0.83 if variant == "nf4" else 1.0) / 10
        subjects.append({
            **subject,
            "label": f"{model} {variant}",
            "figures": flat(corpus(scores)) | {"tokens_per_s": speed, "seconds": 12.5}
            | {"weights_bytes": sizes[model] * (4 if variant == "fp32" else 0.6)},
            "by_category": {name: flat(found) for name,
                found in perplexity_spread.by_category(scores).items()},
            "by_text": [{"id": t.text_id, "perplexity": f.perplexity.value, "tokens": f.tokens}
                        for t, f in zip(scores, perplexity_spread.per_text(scores), strict=True)],
            "by_position": [{"first": a, "last": b, **flat(f)} for (a, b),
                f in by_token.by_position(scores).items()],
            "by_sentence": {str(k): flat(f) for k, f in by_token.by_sentence(scores,
                    documents).items()},
            "by_kind": {k: flat(f) for k, f in by_token.by_kind(scores, documents).items()},
            "conditions": gains,
            "divergence": divergence(1.08 + 0.01 * i, np.concatenate(kld),
                0.901 - 0.002 * i) if kld else None,
        })  # fmt: skip
    summary = {
        "schema": "touchstone.perplexity/2", "status": "DONE",
        "dataset": {"name": "stories", "sha256": "ab" * 32, "texts": len(rows),
            "tokens": subjects[0]["figures"]["tokens"]},
        "settings": {"bos": "none", "window": None, "stride": None, "context": 2048},
        "subjects": subjects, "comparable": {"by_perplexity": True,
            "reason": "All models cut the texts into the same tokens."},
        **compared(place), "notes": ["texts were scored whole"],
    }  # fmt: skip
    write_json(place, summary)
    return place


def compared(place: Path, per_token: bool = True, without: tuple[str, ...] = ()) -> dict:
    """What perplexity.json says of the subjects beside one another, made of the folder's files."""
    rows = pq.read_table(place / "texts.parquet").to_pylist()
    every = read_scores(place, {row["id"]: row for row in rows})
    subjects = [subject for subject in every if subject.label not in without]
    held = perplexity_compared.pairs(subjects)
    found = {
        "ranking": perplexity_compared.ranking(subjects, held, per_token),
        "pairs": perplexity_compared.pair_rows(held),
        "scaling": perplexity_compared.families(subjects, per_token),
    }
    return dict(perplexity_summary._plain(found))


def write_json(place: Path, summary: dict) -> None:
    (place / "perplexity.json").write_text(json.dumps(summary))


def changed(place: Path, **parts) -> Path:
    summary = json.loads((place / "perplexity.json").read_text())
    write_json(place, summary | parts)
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three sizes, two variants, twenty stories. Tests that change it take a copy."""
    return folder(tmp_path_factory.mktemp("runs") / "20261121T170000Z_perplexity_abc")


@pytest.fixture(scope="module")
def page(made) -> str:
    return write_page(made).read_text()


@pytest.fixture
def copy(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


class Parts(HTMLParser):
    """Headings, shaded tokens and tags that were not closed."""

    VOID = frozenset(("meta", "input", "br", "link", "img"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.shaded: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if found.get("id") else []
        self.targets += [found["href"]] if found.get("href") else []
        if tag == "i" and "data-n" in found:
            self.shaded.append(found)
        if tag == "h2":
            self.headings.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings[-1] += data


# ---- the page


def test_the_page_has_every_part_and_is_well_formed(page):
    parts = Parts(page)
    assert parts.open == []
    assert parts.headings == [
        "Figures", "By size", "Speed and quality", "Divergence from fp32",
        "KL divergence at each position", "By category", "By kind of token", "By place in the text",
        "By sentence",
        "Given the sentences right before it: perplexity, nats gained per token", "Gain by context",
        "Given an instruction: perplexity, nats gained per token", "Gain by context",
        "Each model on each text",
        "Texts of the highest and the lowest perplexity", "Single tokens", "Token by token",
        "Notes",
    ]  # fmt: skip
    assert {target[1:] for target in parts.targets if target.startswith("#")} <= set(parts.ids)


def test_it_needs_no_network_and_runs_no_script(page):
    parts = Parts(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(parts.tags)
    assert "default-src 'none'" in page
    assert not re.search(r"\son\w+=", re.sub(r"data-\w+=\"[^\"]*\"", "", page))
    assert all(target.startswith("#") for target in parts.targets)


def test_the_figures_are_those_of_the_summary(made, page):
    subject = read(made)["subjects"][1]["figures"]
    for key in ("perplexity", "perplexity_low", "perplexity_high"):
        assert perplexity_words.figure(subject[key]) in page
    assert "Mean PPL(Q)/PPL(base)" in page
    assert "99.9% KLD" in page
    assert "best: tiny-1.7b fp32" in page
    (pair,) = [
        row for row in read(made)["pairs"]
        if (row["first"], row["second"]) == ("tiny-30m fp32", "tiny-30m nf4")
    ]  # fmt: skip
    ends = (math.exp(-pair["eval_loss"][key]) for key in ("value", "high", "low"))
    value, low, high = (f"{end:.3f}" for end in ends)
    assert f"tiny-30m nf4: perplexity {value}x of fp32 ({low} to {high}), KL" in page
    assert "same top token 89.9 %" in page


def test_the_same_folder_gives_the_same_page(made, page):
    assert write_page(made).read_text() == page
    assert not list(made.glob("*.tmp"))


def test_each_token_has_the_shade_of_its_surprise_and_says_what_it_cost(made, page):
    columns = pq.read_table(made / "00_tiny-30m_fp32" / "tokens.parquet").to_pylist()
    rows = [row for row in columns if row["condition"] == "plain"]
    wanted = {f"{row['nll_nats']:.2f}" for row in rows}
    shaded = Parts(page).shaded
    assert len(shaded) > 12 * 6 * 100
    for attributes in shaded[:2000]:
        nats = float(attributes["data-n"].split()[0])
        level = int(attributes["class"].split()[0][1:])
        ends = [0, *perplexity_tokens.LEVELS_NATS, math.inf]
        assert ends[level] - 0.005 <= nats <= ends[level + 1] + 0.005
        share = re.search(r"p (<?[\d.e-]+) %", attributes["data-n"])[1]
        assert share == "<0.001" or float(share) == pytest.approx(100 * math.exp(-nats), rel=0.06)
    first = shaded[:100]
    assert sum(a["data-n"].split()[0] in wanted for a in first) == len(first)
    by_rank = {"x" in a["class"].split() for a in shaded}
    assert by_rank == {True, False}
    assert any("KL" in a["data-n"] for a in shaded)


def test_a_shaded_text_reads_as_the_text(made):
    documents = perplexity_tokens.documents(made)
    (scores,) = perplexity_tokens.tokens(made, read(made)["subjects"][:1])
    for id, document in documents.items():
        html = perplexity_tokens.shaded(document, scores, 10_000, set())
        plain = re.sub(r"<u>[↵·]</u>|<[^>]*>", "", html)
        assert (
            plain.replace("&#34;", '"').replace("&#39;", "'").replace("&amp;", "&") == document.text
        ), id


def test_the_tokens_where_the_bigger_model_gains_most_are_underlined_in_its_text_only(page):
    gains = [
        panel
        for panel in page.split('<div class="side of-')
        if re.search(r'<i class="h\d g', panel)
    ]
    assert {panel[0] for panel in gains} == {"4"}
    assert "Where tiny-1.7b fp32 gains most over tiny-30m fp32" in page
    assert "loses most against" in page


def test_of_twenty_texts_the_page_shades_twelve_and_says_so(page):
    assert "Of 20 texts the 12 shown are those of the highest and the lowest perplexity" in page
    assert len(re.findall(r'id="text-\d+"', page)) == 12


def test_pictures_name_every_subject_and_none_is_empty(page):
    pictures = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(pictures) == 9 + 2  # the two wide ones once more for a phone
    for picture in pictures:
        assert "tiny-1.7b" in picture
        assert "nan" not in picture.lower().replace("nanum", "")
    assert "power law" in pictures[0]
    assert "Pareto front" in pictures[2]


def test_the_smallest_and_the_biggest_stand_beside_each_other(page):
    views = page[page.index('id="tokens"') :].split("<details")[1:13]
    for view in views:
        assert re.findall(r'class="side of-(\d)"', view) == ["0", "4", "1", "2", "3", "5"]
        assert 'class="sides" id' in view
    buttons = re.findall(r'id="only-(\d)"', page)
    assert buttons == sorted(buttons)


def test_three_texts_have_a_row_of_three(tmp_path):
    text = write_page(folder(tmp_path / "three", 3, variants={"fp32": 0.0}, given=())).read_text()
    assert text.count('class="sides three" id') == 3
    assert (
        "power law through" not in text
    )  # one variant: there is no other that it could have gone through
    assert "power law" not in text  # three texts decide nothing


@pytest.mark.parametrize(
    ("bos", "said"),
    [("added", "the text's first, given the start token alone"), ("none", "the text's second, as")],
)
def test_the_page_says_which_token_the_first_place_is(copy, bos, said):
    subjects = [subject | {"bos": bos} for subject in read(copy)["subjects"]]
    text = unescape(write_page(changed(copy, subjects=subjects)).read_text())
    assert f"Place 1 is the first token that is scored: {said}" in text
    assert "Each token is given all of its text before it. Only long" in text


def test_that_the_first_token_is_easier_is_said_where_it_is_beyond_doubt(copy):
    clause = "it is easier than the second where texts begin alike"
    subjects = read(copy)["subjects"]
    assert clause not in write_page(copy).read_text()
    second = next(row for row in subjects[0]["by_position"] if row["first"] == row["last"] == 1)
    keys = ("eval_loss", "eval_loss_low", "eval_loss_high")
    for times, bos, told in (
        (0.2, "added", True), (0.97, "added", False), (2.0, "added", False), (0.2, "none", False)
    ):  # fmt: skip
        first = {**second, "first": 0, "last": 0} | {key: times * second[key] for key in keys}
        rest = [row for row in subjects[0]["by_position"] if row["first"] > 0]
        changed(copy, subjects=[subjects[0] | {"by_position": [first, *rest], "bos": bos}])
        assert (clause in write_page(copy).read_text()) is told


def test_nats_are_on_a_linear_axis_perplexities_on_a_logarithmic_one():
    found = {"m": [(1.0, 0.9, 1.1), (9.0, 8.5, 9.5)]}
    nats, perplexities = (
        set(
            re.findall(
                r">([\d.]+)</text>",
                plots.intervals(["a", "b"], found, "u", {"m": BLUE}, log=log),
            )
        )
        for log in (False, True)
    )
    assert {"2", "4", "6", "8"} <= nats
    assert "6" not in perplexities


def test_no_name_stands_on_the_law():
    sizes, losses = np.array([7e3, 19e3, 49e3, 193e3]), np.array([113.0, 101.0, 85.5, 81.3])
    x = np.geomspace(sizes[0], sizes[-1], 60)
    law = 75 + 40 * (x / 7e3) ** -0.6
    points = [
        Point(f"story-{i}k", s, v, v - 6, v + 6)
        for i, (s, v) in enumerate(zip(sizes, losses, strict=True))
    ]
    colours = {point.label: BLUE for point in points}
    picture = plots.quality_against_size(
        points, [Line("power law", x.tolist(), law.tolist())], "perplexity", colours
    )
    assert {"10k", "30k", "100k"} <= set(re.findall(r">(\w+)</text>", picture))
    dashed = max(re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray', picture), key=len)
    drawn = np.array([float(v) for v in re.findall(r"[-\d.]+", dashed)]).reshape(-1, 2)
    names = re.findall(
        r'<text style="([^"]*)" x="([\d.]+)" y="([\d.]+)"[^>]*>(story-\dk)<', picture
    )
    assert len(names) == len(points)
    for style, left, base, name in names:
        left = float(left) - 48 * ("end" in style)
        over = drawn[(drawn[:, 0] > left) & (drawn[:, 0] < left + 48)]
        above_base = float(base) - over[:, 1]
        assert not ((above_base > -1.5) & (above_base < 7.5)).any(), name


# ---- size in words


def size_in_words(*steps, by="loss_nats", **family) -> list[str]:
    subjects = [{"model": model, "variant": "fp32", "figures": {}} for model in "abcd"]
    known = {
        "steps": [step(*one) for one in steps], "law": None,
        "no_law": "it takes 3 sizes, here are 2",
        "diminishing": {"answer": "cannot tell", "why": ""},
    }  # fmt: skip
    unit = "nats per token" if by == "loss_nats" else "bits per byte"
    scaling = {"by": by, "unit": unit, "families": [known | family], "alone": [], "why_none": ""}
    return perplexity_verdicts.sentences({"subjects": subjects, "scaling": scaling})


def step(smaller, larger, gain, decision, better) -> dict:
    return {
        "smaller_models": [smaller], "larger_models": [larger], "gain": gain, "texts": 60,
        "texts_better": better, "decision": decision,
    }  # fmt: skip


LAW = {
    "exponent": [0.397, 0.299, 0.501],
    "exponent_models": [0.397, 0.21, 0.58],
    "floor": [0.91, 0.8, 1.0],
    "notes": [],
}


def test_two_sizes_say_what_a_doubling_saves():
    assert size_in_words(("a", "b", [0.36, 0.34, 0.38], "better", 60)) == [
        "from a to b, each doubling of the parameters saves 0.360 nats per token (0.340 to 0.380);"
        " the larger is better on 60 of 60 texts",
        "no scaling law: it takes 3 sizes, here are 2",
    ]


@pytest.mark.parametrize(
    ("gain", "decision", "said"),
    [
        ([-0.05, -0.08, -0.02], "worse", "costs 0.050 nats per token (0.020 to 0.080); the larger"),
        ([0.01, -0.02, 0.04], "tie", "saves 0.010 nats per token (-0.020 to 0.040, a tie); the"),
        ([0.1, None, None], "open", "saves 0.100 nats per token; the larger is better on 9 of 60"),
    ],
)
def test_a_step_says_no_more_than_is_decided(gain, decision, said):
    assert said in size_in_words(("a", "b", gain, decision, 9))[0]


def test_a_law_is_told_with_both_doubts_of_its_exponent():
    steps = [("a", "b", [0.3, 0.2, 0.4], "better", 60), ("b", "c", [0.1, 0.05, 0.2], "better", 58)]
    told = size_in_words(
        *steps, law=LAW, no_law="", by="bits_per_byte", diminishing={"answer": "yes", "why": ""}
    )
    assert told[-1] == (
        "loss falls as the parameters grow, exponent 0.397 (over texts 0.299 to 0.501; over models"
        " 0.210 to 0.580) above a floor of 0.91 bits per byte; diminishing returns: yes"
    )
    open_law = size_in_words(*steps, no_law="with 3 sizes the exponent may lie anywhere")
    assert open_law[-1] == (
        "no scaling law: with 3 sizes the exponent may lie anywhere; whether returns diminish is"
        " undecided"
    )


def test_the_page_has_both_intervals_of_the_exponent_and_the_floor(copy):
    scaling = read(copy)["scaling"]
    family = scaling["families"][0]
    curve = {"parameters": [1e7, 1e9], "loss_nats": [3.0, 2.0], "low": [2.9, 1.9], "high": [3, 2.1]}
    law = LAW | {"floor": [4.26, 4.2, 4.3], "curve": curve, "notes": ["A note."]}
    told = {"answer": "yes", "why": "Each doubling saves less."}
    told = family | {"law": law, "no_law": "", "diminishing": told}
    text = write_page(changed(copy, scaling=scaling | {"families": [told]})).read_text()
    assert (
        "Loss = a·N^-b + c: exponent b 0.397 (over texts 0.299 to 0.501; over models 0.210 to"
        " 0.580); floor c 4.260 nats per token (over texts 4.200 to 4.300)."
    ) in text
    assert "A note." in text
    assert "Diminishing returns: yes. Each doubling saves less." in text
    assert ">power law through fp32<" in text
    without = family | {"law": None, "no_law": "m2 is worse than m1"}
    text = write_page(changed(copy, scaling=scaling | {"families": [without]})).read_text()
    assert "power law" not in text
    assert "no scaling law: m2 is worse than m1" in text


# ---- who is better, in words


def ranked(*rows, by="perplexity") -> str:
    """`rows`: label, figure, place, decision, how far behind the first."""
    subjects = [
        {"model": row[0], "variant": "fp32", "label": row[0], "figures": {"perplexity": 1.0}}
        for row in rows
    ]
    made = []
    for label, value, place, decision, behind in rows:
        key = "ratio" if by == "perplexity" else "behind"
        made.append({"model": label, "figure": [value, value - 1, value + 1], "place": place,
                     "decision": decision, "by": by, key: behind})  # fmt: skip
    summary = {"subjects": subjects, "ranking": made, "scaling": {}}
    return perplexity_verdicts.sentences(summary)[-1]


def test_the_best_is_named_only_if_it_is_decided():
    first = ("a", 12.0, 1, None, None)
    assert ranked(first, ("b", 13.0, 2, "worse", [1.08, 1.05, 1.11])) == (
        "best: a, perplexity 12.00 (11.00 to 13.00); then b 1.080x (1.050 to 1.110)"
    )
    tie = ("b", 12.1, 1, "tie", [1.0002, 0.9996, 1.0009])
    assert ranked(first, tie, ("c", 13.0, 3, "worse", [1.08, 1.05, 1.11])) == (
        "tied for best: a, perplexity 12.00 (11.00 to 13.00); b 1.0002x (0.9996 to 1.0009);"
        " then c 1.080x (1.050 to 1.110)"
    )
    assert ranked(first, ("b", 12.0, 1, "same", [1, 1, 1])) == (
        "no difference: a and b give every token the same loss, perplexity 12.00 (11.00 to 13.00)"
    )
    assert ranked(first, ("b", 12.0, 1, "open", [1.2, None, None])).endswith(
        "texts are too few to tell them apart (five are needed): a, perplexity 12.00 (11.00 to"
        " 13.00); b 1.200x"
    )
    bits = ("b", 0.9, 2, "worse", [0.05, 0.03, 0.07])
    assert ranked(("a", 0.8, 1, None, None), bits, by="bits_per_byte").endswith(
        "; then b +0.0500 bits per byte (+0.0300 to +0.0700)"
    )


def test_of_many_that_are_behind_the_nearest_are_named():
    rows = [(f"m{i}", 12.0 + i, 1 + i, "worse" if i else None, [1.1, 1.05, 1.15]) for i in range(9)]
    assert ranked(*rows).endswith("m4 1.100x (1.050 to 1.150) and 4 more")


# ---- what may be missing


def test_below_three_sizes_there_is_no_law_and_the_page_says_why(tmp_path):
    sizes = {name: SIZES[name] for name in list(SIZES)[:2]}
    place = folder(tmp_path / "two", 6, sizes, {"fp32": 0.0})
    text = write_page(place).read_text()
    assert "no scaling law: it takes 3 sizes, here are 2" in text
    assert "power law" not in text
    lines = perplexity_verdicts.sentences(read(place))
    assert lines[-2].startswith("from tiny-30m to tiny-135m, each doubling of the parameters saves")
    assert lines[-2].endswith("the larger is better on 6 of 6 texts")


def test_models_of_other_families_are_not_compared_by_size(copy):
    families = {"families": [], "alone": [], "why_none": "they differ"}
    scaling = read(copy)["scaling"]
    changed(copy, scaling=scaling | families)
    assert (
        perplexity_verdicts.sentences(read(copy))[-1]
        == "nothing can be said about size: they differ"
    )
    changed(copy, scaling=scaling | {"alone": ["tiny-9b fp32"]})
    assert perplexity_verdicts.sentences(read(copy))[-1] == (
        "not compared by size, because of another tokenizer or architecture: tiny-9b fp32"
    )


def test_one_subject_has_no_comparison(tmp_path):
    place = folder(tmp_path / "one", 3, {"tiny-30m": 30_000_000}, {"fp32": 0.0})
    text = write_page(place).read_text()
    headings = Parts(text).headings
    assert "about size" not in text
    assert "Figures" in headings
    assert "Token by token" in headings
    assert not {
        "By size",
        "Speed and quality",
        "Divergence from fp32",
        "KL divergence at each position",
    } & set(headings)
    (line,) = perplexity_verdicts.sentences(read(place))
    assert line.startswith("fp32: perplexity ") or line.startswith("tiny-30m fp32: perplexity ")


def test_different_tokenizers_are_not_ranked_by_perplexity(copy):
    summary = read(copy)
    different = {"by_perplexity": False, "reason": "different tokenizers"}
    changed(copy, comparable=different, **compared(copy, per_token=False))
    lines = perplexity_verdicts.sentences(read(copy))
    assert lines[0] == "no ranking by perplexity: different tokenizers"
    assert lines[1].startswith("best: tiny-1.7b fp32, bits per byte ")
    text = write_page(copy).read_text()
    assert "columns of different tokenizers do not compare" in text
    places = text[text.index("Places by each figure") :]
    assert "<bdi>perplexity</bdi></th>" not in places[: places.index("</thead>")]
    assert summary["comparable"]["by_perplexity"]


def test_a_subject_that_failed_is_a_row_that_says_so(copy):
    subjects = read(copy)["subjects"]
    subjects[2] |= {
        "status": "ERROR",
        "problem": "out of memory",
        "figures": {},
        "by_category": None,
        "divergence": None,
    }
    for key in ("by_text", "by_position", "by_sentence", "by_kind", "conditions"):
        subjects[2].pop(key)
    changed(copy, subjects=subjects, not_run=["tiny-9b fp32"])
    text = write_page(copy).read_text()
    assert Parts(text).open == []
    assert "tiny-135m fp32: ERROR: out of memory" in text
    assert "not measured: tiny-9b fp32" in text
    assert shown(read(copy)).count("out of memory") == 1


def test_nothing_measured_still_gives_a_page(copy):
    subjects = [
        {
            "model": "m",
            "variant": "fp32",
            "status": "ERROR",
            "problem": "no such file",
            "figures": {},
            "divergence": None,
        }
    ]
    changed(copy, subjects=subjects, scaling={"refused": "nothing was measured"})
    text = write_page(copy).read_text()
    assert "Nothing was measured." in text
    assert "no such file" in text
    assert "nothing was measured" in shown(read(copy))


def test_an_interrupted_subject_compares_with_nobody(copy):
    subjects = read(copy)["subjects"]
    subjects[4] |= {"status": "INTERRUPTED", "problem": "interrupted"}
    changed(copy, subjects=subjects, **compared(copy, without=("tiny-1.7b fp32",)))
    assert perplexity_verdicts.sentences(read(copy))[0].startswith("best: tiny-1.7b nf4")
    assert "tiny-1.7b fp32: INTERRUPTED" in write_page(copy).read_text()


def test_without_the_parquet_files_the_figures_are_still_shown(copy):
    for file in copy.rglob("*.parquet"):
        file.unlink()
    headings = Parts(write_page(copy).read_text()).headings
    assert "Each model on each text" in headings
    assert not {"Token by token", "Single tokens", "KL divergence at each position"} & set(headings)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": "touchstone.compare/1"}'])
def test_another_folder_is_refused_in_four_short_facts(tmp_path, content):
    if content is not None:
        (tmp_path / "perplexity.json").write_text(content)
    with pytest.raises(BadInput, match="perplexity"):
        write_page(tmp_path)
    assert not (tmp_path / "perplexity.html").exists()


# ---- places and where they disagree


def with_rouge(place: Path, **parts) -> str:
    """The page of the measurement with these ROUGE-L beside its subjects."""
    subjects = read(place)["subjects"]
    for subject, rouge in zip(subjects, (10.0, 30.0, 21.0, 20.0, 40.0, 39.0), strict=True):
        subject["beside"] = {"rougeL": rouge}
    return write_page(changed(place, subjects=subjects, **parts)).read_text()


def with_decision(place: Path, first: str, second: str, decision: str) -> list[dict]:
    """The pairs of the measurement, one of them decided otherwise by its loss."""
    pairs = read(place)["pairs"]
    for pair in pairs:
        if (pair["first"], pair["second"]) == (first, second):
            pair["eval_loss"]["decision"] = decision
    return pairs


def places(text: str) -> dict[str, list[str]]:
    """Label -> its row of the table of places."""
    table = text[text.index("Places by each figure") :]
    rows = re.findall(r'<tr><th scope="row">.*?<bdi>(.*?)</bdi></th>(.*?)</tr>', table)
    return {
        label: re.findall(r'<td[^>]*>(?:<span class="tone strong">)?(.*?)<', cells)
        for label, cells in rows
    }


def test_a_figure_that_disagrees_with_perplexity_is_named(copy):
    text = with_rouge(copy)
    assert (
        "tiny-30m fp32 is ahead of tiny-30m nf4 by perplexity, behind it by ROUGE-L (one run each,"
        " no interval)" in text
    )
    assert "tiny-1.7b fp32 is ahead of tiny-1.7b nf4 by perplexity, behind" not in text


@pytest.mark.parametrize("decision", ["tie", "same", "open"])
def test_an_order_that_is_not_decided_disagrees_with_none_and_shares_a_place(copy, decision):
    pairs = with_decision(copy, "tiny-30m fp32", "tiny-30m nf4", decision)
    text = with_rouge(copy, pairs=pairs)
    assert "tiny-30m fp32 is ahead of tiny-30m nf4" not in text
    rows = places(text)
    assert rows["tiny-30m fp32"][0] == rows["tiny-30m nf4"][0] == "5"
    assert (rows["tiny-1.7b fp32"][0], rows["tiny-1.7b nf4"][0]) == ("1", "2")


def test_the_table_says_which_figures_have_no_interval(copy):
    text = with_rouge(copy)
    for head in ("perplexity", "bits/byte", "ROUGE-L *", "tokens/s read *", "weights"):
        assert f'<th scope="col" class="n"><bdi>{head}</bdi></th>' in text
    assert "* by the figure alone: one run each, no interval." in text


def test_speed_and_size_are_no_quality_that_could_disagree(page):
    assert '<th scope="col" class="n"><bdi>tokens/s read *</bdi></th>' in page
    assert '<th scope="col" class="n"><bdi>weights</bdi></th>' in page
    assert not re.search(r"behind it by (tokens/s|weights)", page)


def test_who_is_faster_and_tied_beats_the_slower_one():
    def beats(one, other, decision):
        a, b = (Point("p", x, y, None, None) for x, y in (one, other))
        return pictures._beats(a, b, decision)

    fast, slow = (20.0, 10.1), (10.0, 10.0)
    assert beats(fast, slow, "tie")
    assert beats(fast, slow, "same")
    assert beats(fast, slow, "better")
    assert not beats(fast, slow, "worse")
    assert not beats(fast, slow, "open")  # its figure is higher, and nothing more is known
    assert not beats(slow, fast, "better")
    assert not beats(slow, fast, "tie")


def test_pictures_beside_each_other_are_of_one_height(page):
    heights = [
        re.search(rf'<h2>By {name}</h2>\s*<svg[^>]* height="(.*?)"', page)[1]
        for name in ("category", "kind of token")
    ]
    assert heights[0] == heights[1]


# ---- notes


def test_a_note_says_whose_it_is_unless_it_is_everybody_s(tmp_path):
    config = dict.fromkeys(
        ("window", "stride", "batch_tokens", "conditions", "reference", "exact", "top_k", "bos")
    )
    saved = {"config": config, "dataset": {"name": "d"}, "notes": ["of the texts"]}
    (tmp_path / "settings.json").write_text(json.dumps(saved))
    pq.write_table(
        pa.table({"id": ["a"], "category": [""], "title": [""], "text": ["b"]}),
        tmp_path / "texts.parquet",
    )
    for i, notes in enumerate((["all", "mine"], ["all"], ["ours", "all"], ["all", "ours"])):
        own = tmp_path / f"{i:02d}_m{i}_fp32"
        own.mkdir()
        row = {
            "model": f"/x/m{i}",
            "variant": "fp32",
            "folder": own.name,
            "status": "ERROR",
            "problem": "p",
            "notes": notes,
        }
        (own / "subject.json").write_text(json.dumps(row))
    wanted = ["of the texts", "all", "m0 fp32: mine", "m2 fp32, m3 fp32: ours"]
    assert perplexity_summary.build(tmp_path)["notes"] == wanted
    assert "m2 fp32, m3 fp32: ours" in (tmp_path / "perplexity.html").read_text()


# ---- hostile and odd texts

HOSTILE = (
    "<script>alert(\"1\")</script> & 'quotes' \x1b[31m \u202egnp.exe. A $tory$ of </div>"
    " <b>bold</b>\nnew line 🙂 end."
)


def test_everything_that_others_wrote_is_escaped(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    texts = [
        {
            "id": f"{evil}-{i}",
            "category": f"{evil}{i % 2}$x$",
            "title": evil,
            "text": HOSTILE + f" Text {i} of it.",
        }
        for i in range(1, 5)
    ]
    place = folder(
        tmp_path / "evil", sizes={"$a_b$<script>": 10**7, "b&b": 10**8, "_c": 10**9}, texts=texts
    )
    changed(place, notes=[evil, HOSTILE], dataset={"name": evil, "texts": 4, "tokens": 100})
    text = write_page(place).read_text()
    parts = Parts(text)
    assert parts.open == []
    assert not {"script", "img", "b&b"} & set(parts.tags)
    assert "<b>bold" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in shown(read(place))


def test_a_token_that_is_a_tag_is_text_in_the_shade_and_in_what_it_says():
    text = '<b>"<script>"\x1b</i><u>'
    document = perplexity_tokens.Document("a", "", "", text)
    at, end = np.array([3, 13]), np.array([13, len(text) - 3])
    scores = perplexity_tokens.Tokens(
        {"a": slice(0, 2)},
        np.arange(2),
        np.arange(2),
        at,
        end,
        np.ones(2),
        np.ones(2, bool),
        np.array([0.1, np.nan]),
    )
    html = perplexity_tokens.shaded(document, scores, 10, set())
    assert re.findall(r"<(\w+)", html) == ["s", "i", "i", "s"]
    assert "\x1b" not in html
    parts = Parts(html)
    assert parts.open == []
    assert [found["data-w"] for found in parts.shaded] == ['"<script>"', "⟨U+001B⟩</i>"]


def test_bytes_of_one_character_are_each_to_be_seen():
    document = perplexity_tokens.Document("a", "", "", "x🙂y\nz")
    n = 5
    scores = perplexity_tokens.Tokens(
        {"a": slice(0, n)}, np.arange(1, n + 1), np.arange(n), np.array([1, 1, 1, 2, 3]),
        np.array([2, 2, 2, 3, 5]), np.array([3.0, 0.1, 0.1, 12.0, 1.0]),
        np.array([False, True, True, False, True]), None,
    )  # fmt: skip
    html = perplexity_tokens.shaded(document, scores, 10, {4})
    assert html.startswith('<s>x</s><i class="h5 x"')
    assert html.count("part of a character") == 2
    assert (
        '<i class="h9 g x" data-w="y" data-n="12.00 nats, p &lt;0.001 %">y</i>'.replace("&lt;", "<")
        in html
    )
    assert "<u>↵</u>\nz" in html


def test_a_long_text_is_cut_and_says_how_much_is_left():
    text = "word " * 50
    document = perplexity_tokens.Document("a", "", "", text)
    at = np.arange(50) * 5
    scores = perplexity_tokens.Tokens(
        {"a": slice(0, 50)},
        np.arange(50),
        np.arange(50),
        at,
        at + 5,
        np.ones(50),
        np.ones(50, bool),
        None,
    )
    html = perplexity_tokens.shaded(document, scores, 10, set())
    assert html.count("<i ") == 10
    assert "200 more characters" in html


def test_a_big_dataset_stays_a_small_page(tmp_path):
    rows = [
        {**row, "id": f"{row['id']}-{k}-{i:03d}", "text": " ".join([row["text"]] * 3)}
        for k in range(5)
        for i, row in enumerate(stories(26))
    ]
    place = folder(tmp_path / "big", texts=rows, sizes={"tiny-30m": 30_000_000}, given=())
    text = write_page(place).read_text()
    assert len(text.encode()) < 5 * 2**20
    assert len(Parts(text).shaded) <= perplexity_tokens.MAX_TOKENS
    assert "Of 130 texts the 12 shown" in text
    assert "Shown are the 120 texts" in text
    assert "more characters" in text


# ---- the screen


def shown(summary, width: int = 100) -> str:
    out = io.StringIO()
    print_table(summary, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fits_the_screen_and_has_all_figures(made, width):
    text = shown(read(made), width)
    assert max(map(len, text.splitlines())) <= width
    subject = read(made)["subjects"][0]["figures"]
    assert perplexity_words.figure(subject["perplexity"]) in text
    assert f"{subject['eval_loss']:.4f}" in text
    assert "KL mean" in text
    assert "By category: perplexity" in text
    assert "friendship" in text
    assert "note: texts were scored whole" in text


def test_labels_name_what_differs():
    def subject(model, variant):
        return {"model": model, "variant": variant}

    def labels(*subjects):
        return perplexity_words.labels({"subjects": list(subjects)})

    assert labels(subject("/m/a", "fp32"), subject("/m/b", "fp32")) == ["a", "b"]
    assert labels(subject("a", "fp32"), subject("a", "nf4")) == ["fp32", "nf4"]
    assert labels(subject("a", "fp32"), subject("b", "nf4")) == ["a fp32", "b nf4"]
    assert labels(subject("x/a", "fp32"), subject("y/a", "fp32")) == ["a (1)", "a (2)"]


@pytest.mark.parametrize(
    "found",
    [
        {"k": 2.0, "k_low": 1.0, "k_high": 3.0},
        {"k": {"value": 2.0, "low": 1.0, "high": 3.0}},
        {"k": [2.0, 1.0, 3.0]},
    ],
)
def test_a_figure_is_read_with_its_interval_in_each_form(found):
    assert perplexity_words.measured(found, "k") == (2.0, 1.0, 3.0)


def test_what_is_no_number_is_no_figure():
    assert perplexity_words.measured({"k": math.inf}, "k") is None
    assert perplexity_words.measured({"k": None}, "k") is None
    assert perplexity_words.measured(None, "k") is None


@pytest.mark.parametrize(
    ("low", "high", "between"),
    [
        (0.00094, 0.00104, "0.00094 to 0.00104"),
        (0.00094, 0.001, "0.00094 to 0.00100"),
        (0.0013, 0.0015, "0.0013 to 0.0015"),
        (0.0, 0.012, "0.000 to 0.012"),
        (0.00012, 3.41, "0.00012 to 3.41"),  # there the last places would be noise
    ],
)
def test_both_ends_of_an_interval_are_told_to_the_same_place(low, high, between):
    column = next(column for column in tables.DISTANCE if column.name == "mean_kld")
    assert column.cell((low, low, high)).small == between


def test_perplexities_too():
    for low, high, between in ((9.579, 10.321, "9.579 to 10.321"), (991, 1204, "991.0 to 1,204.0")):
        found = perplexity_words.Measured(low, low, high)
        assert perplexity_words.shown(found, perplexity_words.figure)[1] == between


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (999, "999"),
        (7160, "7.16k"),
        (192_960, "193k"),
        (999_800, "1M"),
        (134_515_008, "135M"),
        (1_711_376_384, "1.71B"),
    ],
)
def test_sizes_are_named_as_models_are(count, shown):
    assert short_count(count) == shown
