"""A family of sizes from end to end: trained here in seconds, measured by `harness perplexity`; its
law, plots and page.

Four transformers of one tokenizer learn from the training part of the embedded stories and are
measured on its test part.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from accuracy.datasets import TABLE
from harness.cli import app
from tests import ROOT

pytestmark = pytest.mark.pictures


class Size(NamedTuple):
    """What differs within the family."""

    name: str
    width: int
    layers: int
    heads: int
    learning_rate: float


FAMILY = (
    Size("story-7k", 8, 1, 1, 3e-2),
    Size("story-19k", 16, 2, 2, 1.5e-2),
    Size("story-49k", 32, 2, 4, 8e-3),
    Size("story-193k", 64, 3, 4, 5e-3),
)
LABELS = [f"{size.name} fp32" for size in FAMILY]
VOCABULARY, CONTEXT = 800, 1024
STEPS, BATCH, WINDOW = 220, 6, 192
BOS, EOS = "<bos>", "<eos>"
STORIES = ROOT / "accuracy" / "datasets" / TABLE["stories"].file


# ---- the family


@contextmanager
def one_thread() -> Iterator[None]:
    """Products this small take longer on two threads than on one, and on a busy machine many times
    as long.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stories(split: str) -> list[dict[str, str]]:
    rows = map(json.loads, STORIES.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["split"] == split]


def train_tokenizer(texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, 0)]
    )
    return tokenizer


def train(size: Size, packed):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.width,
        intermediate_size=size.width * 5 // 2,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=size.learning_rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, size.learning_rate, total_steps=STEPS, pct_start=0.1
    )
    order = torch.Generator().manual_seed(8)
    for _ in range(STEPS):
        starts = torch.randint(len(packed) - WINDOW, (BATCH,), generator=order)
        batch = torch.stack([packed[start : start + WINDOW] for start in starts])
        optimizer.zero_grad()
        model(batch, labels=batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        pace.step()
    return model.eval()


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> list[Path]:
    """The folders of the trained models, smallest first."""
    import torch
    from transformers import PreTrainedTokenizerFast

    place = tmp_path_factory.mktemp("family")
    texts = [row["text"] for row in stories("train")]
    tokenizer = train_tokenizer(texts)
    packed = torch.tensor([i for text in texts for i in tokenizer.encode(text).ids])
    known = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=EOS
    )
    with one_thread():
        for size in FAMILY:
            train(size, packed).save_pretrained(place / size.name)
            known.save_pretrained(place / size.name)
    return [place / size.name for size in FAMILY]


@pytest.fixture(scope="module")
def measured(family, tmp_path_factory):
    """perplexity.json as the command printed it."""
    models, out = ",".join(map(str, family)), str(tmp_path_factory.mktemp("measured"))
    words = [
        "perplexity",
        "--models",
        models,
        "--dataset",
        "stories",
        "--split",
        "test",
        "--conditions",
        "sentences",
    ]
    with one_thread():
        done = CliRunner().invoke(
            app, [*words, "--output-dir", out, "--device", "cpu", "--in-process", "--json"]
        )
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def page(measured):
    return (Path(measured["folder"]) / "perplexity.html").read_text(encoding="utf-8")


# ---- the figures


def totals(found, number) -> tuple[np.ndarray, np.ndarray]:
    """(nats, tokens) of each text, read from the tokens themselves."""
    table = pq.read_table(
        Path(found["folder"]) / found["subjects"][number]["folder"] / "tokens.parquet"
    )
    plain = table.filter(pc.field("condition") == "plain").group_by("text")
    texts = plain.aggregate([("nll_nats", "sum"), ("nll_nats", "count")]).sort_by("text")
    return texts["nll_nats_sum"].to_numpy(), texts["nll_nats_count"].to_numpy()


def test_every_size_has_scored_the_test_part(measured):
    assert measured["status"] == "DONE"
    assert [row["label"] for row in measured["subjects"]] == LABELS
    sizes = [row["parameters"] for row in measured["subjects"]]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 20 * sizes[0]
    assert {row["figures"]["texts"] for row in measured["subjects"]} == {15}
    assert measured["comparable"]["by_perplexity"] is True
    unread = math.log(VOCABULARY)  # what a model that has learnt nothing would cost
    assert all(row["figures"]["eval_loss_high"] < unread - 1 for row in measured["subjects"])


def test_the_biggest_predicts_texts_that_nobody_has_seen_best(measured):
    ranking = [row["model"] for row in measured["ranking"]]
    assert (ranking[0], ranking[-1]) == (LABELS[-1], LABELS[0])
    (small, tokens), (big, same) = totals(measured, 0), totals(measured, -1)
    assert (tokens == same).all()
    drawn = np.random.default_rng(0).integers(len(small), size=(4_000, len(small)))
    saved = (small - big)[drawn].sum(axis=1) / tokens[drawn].sum(axis=1)
    assert np.percentile(saved, 0.5) > 0.1
    losses = [row["figures"]["eval_loss"] for row in measured["subjects"]]
    assert (small - big).sum() / tokens.sum() == pytest.approx(losses[0] - losses[-1], rel=1e-5)


def test_a_text_becomes_easier_as_it_goes_on_and_with_its_beginning_before_it(measured):
    for row in measured["subjects"]:
        early = [place for place in row["by_position"] if place["last"] < 16]
        late = [place for place in row["by_position"] if place["first"] >= 16]
        assert len(early) > 1
        assert mean_loss(late) < mean_loss(early) - 0.2
        contexts = row["conditions"]
        assert list(contexts) == [
            "no context", "last 1 sentence", "last 2 sentences", "last 3 sentences"
        ]  # fmt: skip
        assert len({context["tokens"] for context in contexts.values()}) == 1
        gain = contexts["last 3 sentences"]["gain_nats"]
        assert 0 < gain["value"] < gain["high"] < 0.2


def mean_loss(places) -> float:
    return sum(place["eval_loss"] * place["tokens"] for place in places) / sum(
        place["tokens"] for place in places
    )


# ---- what size is worth


def paired(found, smaller, larger) -> tuple[np.ndarray, np.ndarray]:
    """(nats saved by the larger one, tokens) of each text."""
    (small, tokens), (large, same) = totals(found, smaller), totals(found, larger)
    assert (tokens == same).all()
    return small - large, tokens


def test_each_step_in_size_is_what_the_texts_say_pair_by_pair(measured):
    (family,) = measured["scaling"]["families"]
    assert family["models"] == LABELS
    assert family["sizes"] == [row["parameters"] for row in measured["subjects"]]
    assert len(family["steps"]) == 3
    for k, step in enumerate(family["steps"]):
        saved, tokens = paired(measured, k, k + 1)
        doublings = math.log2(family["sizes"][k + 1] / family["sizes"][k])
        assert step["gain"]["value"] == pytest.approx(
            saved.sum() / tokens.sum() / doublings, rel=1e-5
        )
        assert (step["texts"], step["texts_better"]) == (15, int((saved > 0).sum()))
        drawn = np.random.default_rng(k).integers(15, size=(20_000, 15))
        rates = saved[drawn].sum(axis=1) / tokens[drawn].sum(axis=1) / doublings
        low, high = np.quantile(rates, [0.0186, 0.9814])  # as far out as 15 texts ask for
        width = high - low
        assert step["gain"]["low"] == pytest.approx(low, abs=0.06 * width)
        assert step["gain"]["high"] == pytest.approx(high, abs=0.06 * width)
        assert step["decision"] == ("better" if low > 0 else "tie")


def test_a_law_is_told_only_if_the_models_bear_it_out(measured, page):
    (family,) = measured["scaling"]["families"]
    law, why = family["law"], family["no_law"]
    assert (law is None) == bool(why)
    assert (">power law<" in section(page, "size")) == (law is not None)
    if law is None:
        assert f"no scaling law: {why}" in words_of(page)
        assert "exponent b" not in words_of(page)
    else:
        low = law["exponent_models"]["low"]
        assert low > 0
        assert all(step["decision"] == "better" for step in family["steps"])
        assert f"exponent {law['exponent']['value']:.3f}" in words_of(page)


def test_it_says_whether_growing_pays_less_and_less_and_why(measured):
    (family,) = measured["scaling"]["families"]
    told = family["diminishing"]
    assert told["answer"] in ("yes", "no", "cannot tell")
    assert told["why"].startswith("Each doubling saves ")
    for step in family["steps"]:
        assert f"{step['gain']['value']:.4g}" in told["why"]


@pytest.fixture(scope="module")
def two(family, tmp_path_factory):
    """Two sizes of the family: perplexity.json and what the screen showed."""
    models, out = ",".join(map(str, family[1:3])), str(tmp_path_factory.mktemp("two"))
    words = ["perplexity", "--models", models, "--dataset", "stories", "--split", "test"]
    with one_thread():
        done = CliRunner().invoke(
            app, [*words, "--output-dir", out, "--device", "cpu", "--in-process"]
        )
    assert done.exit_code == 0, done.stderr
    (file,) = Path(out).glob("*/perplexity.json")
    return json.loads(file.read_text()), " ".join(done.stdout.replace("│", " ").split())


def test_two_sizes_say_what_a_doubling_saves_and_no_law(two):
    found, screen = two
    saved, tokens = paired(found, 0, 1)
    sizes = [row["parameters"] for row in found["subjects"]]
    gain = saved.sum() / tokens.sum() / math.log2(sizes[1] / sizes[0])
    (step,) = found["scaling"]["families"][0]["steps"]
    ends = f"{step['gain']['low']:.3f} to {step['gain']['high']:.3f}"
    line = (
        f"from story-19k to story-49k, each doubling of the parameters saves {gain:.3f} nats per"
        f" token ({ends}); the larger is better on {(saved > 0).sum()} of 15 texts"
    )
    page = (Path(found["folder"]) / "perplexity.html").read_text(encoding="utf-8")
    for shown in (screen, unescape(page)):
        assert line in shown
        assert "no scaling law: it takes 3 sizes, here are 2" in shown
        assert "diminishing" not in shown


# ---- the page


def section(page, name) -> str:
    return re.search(rf'<section [^>]*id="{name}".*?</section>', page, re.DOTALL).group()


def words_of(html) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def test_the_page_shows_size_against_perplexity(measured, page):
    shown = section(page, "size")
    assert shown.count("<svg") == 2  # wide, and narrow for a phone
    for size in FAMILY:
        assert size.name in shown
    told = measured["scaling"]["families"][0]["diminishing"]
    assert f"Diminishing returns: {told['answer']}. {told['why']}" in words_of(shown)


def test_the_page_shows_the_tokens_of_each_model_and_where_size_pays(measured, page):
    texts = {row["title"]: row["text"] for row in stories("test")}
    shown = section(page, "tokens")
    views = re.findall(r"<details.*?</details>", shown, re.DOTALL)
    assert len(views) == 12
    for view in views:
        title = unescape(re.search(r"<summary><bdi>(.*?)</bdi>", view).group(1))
        panels = re.findall(
            r'<div class="side of-(\d)">.*?<div class="text">(.*?)</div></div>', view, re.DOTALL
        )
        assert [int(number) for number, _ in panels] == [
            0,
            3,
            1,
            2,
        ]  # the smallest and the biggest beside each other
        assert {words_of(html) for _, html in panels} == {texts[title]}
    gains = measured["gains"]
    assert (gains["smaller"], gains["larger"]) == (LABELS[0], LABELS[-1])
    assert all(token["gain_nats"] > 1 for token in gains["tokens"])
    assert f"Where {FAMILY[-1].name} gains most over {FAMILY[0].name}" in words_of(
        section(page, "differences")
    )
