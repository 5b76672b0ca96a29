"""Every condition against the plainest computation: forward passes in float64 over ids that are cut
here by hand.

The tokenizer merges over blanks and full stops, so that tokens reach from one sentence into the
next and pieces tokenised on their own would be other tokens.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from harness.cli import app
from harness.likelihood import conditions
from sut.likelihood import passages

STORIES = (
    ("The sky is blue.", "Why is it so?", "A cat sat on it.", "The cat saw the blue sky.", "So?"),
    ("A cat ran.", "It ran to the sea.", "The sea is blue!", "Is the sky in the sea?", "It is."),
    ("Why is the cat so?", "It sat.", "It ran.", "The cat is at the sea.", "Blue is the sea."),
    ("Is it?", "It is the sea.", "The sky sat on the sea.", "Why is it so blue?", "A cat saw it."),
    ("The cat saw it.", "So it ran.", "Why?", "It is a blue cat in the blue sea.", "The end."),
)
SHORT = "The sky is blue. Why?"
INSTRUCTIONS = {"vague": "Write.", "specific": "Write of the sea.", "paraphrased": "The sea, so?"}
CHAT = (
    "{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}<{% endif %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Two layers, byte-level pairs that know no word borders, no start token of their own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(story) for story in STORIES], trainer)
    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=340,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        bos_token_id=0,
        eos_token_id=1,
    )
    made = LlamaForCausalLM(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    folder = tmp_path_factory.mktemp("conditions") / "tiny"
    made.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(folder)
    return folder


def measure(model: Path, place: Path, *flags: str, texts=None) -> tuple[int, dict | None, str]:
    rows = texts or [" ".join(story) for story in STORIES]
    place.mkdir(exist_ok=True)
    file = place / "texts.jsonl"
    lines = [{"id": f"t{i}", "text": text, **INSTRUCTIONS} for i, text in enumerate(rows)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["perplexity", "--model", model, "--dataset", file, "--output-dir", place / "out"]
    fixed = ["--device", "cpu", "--in-process", "--json", "--conditions", "sentences,instructions"]
    done = CliRunner().invoke(app, [*map(str, words), *fixed, *flags])
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else None, done.stderr


def tokens(found: dict) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """(condition, text) -> its columns."""
    table = pq.read_table(Path(found["folder"]) / found["subjects"][0]["folder"] / "tokens.parquet")
    parts = {}
    for condition in pc.unique(table["condition"]).to_pylist():
        for text in pc.unique(table["text"]).to_pylist():
            own = table.filter(
                (pc.field("condition") == condition) & (pc.field("text") == text)
            ).to_pydict()
            parts[condition, text] = {name: np.array(column) for name, column in own.items()}
    return parts


# ---- the plain computation


@torch.inference_mode()
def losses(model64, ids: list[int], first: int) -> list[float]:
    """Of the tokens from `first` on, read off all the logits of one pass."""
    rows = model64(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return [-float(rows[at - 1, ids[at]]) for at in range(first, len(ids))]


@torch.inference_mode()
def one_by_one(model64, ids: list[int], first: int) -> list[float]:
    """The same with a pass for each token, over the ids before it alone."""
    found = []
    for at in range(first, len(ids)):
        logits = model64(input_ids=torch.tensor([ids[:at]])).logits[0, -1]
        found.append(-float(logits.log_softmax(-1)[ids[at]]))
    return found


def sentence_of(token_start: int, story: tuple[str, ...]) -> int:
    """In which sentence a character stands; the blank before a sentence belongs to it."""
    end = -1
    for number, sentence in enumerate(story):
        end += 1 + len(sentence)
        if token_start < end:
            return number
    return len(story)


def wanted(model: Path, story: tuple[str, ...], start: list[int], chat: bool):
    """condition -> (ids before the scored part, ids of the scored part, what nothing predicts)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    whole = tokenizer(" ".join(story), add_special_tokens=False, return_offsets_mapping=True)
    ids = whole["input_ids"]
    numbers = np.array([sentence_of(begin, story) for begin, _ in whole["offset_mapping"]])
    rest = [i for i, number in zip(ids, numbers, strict=True) if number >= 3]
    before = {"plain": (start, ids)}
    for k, name in enumerate(
        ("no context", "last 1 sentence", "last 2 sentences", "last 3 sentences")
    ):
        near = [i for i, number in zip(ids, numbers, strict=True) if 3 - k <= number < 3]
        before[name] = ([*start, *near], rest)
    assert before["last 3 sentences"][0] == [*start, *ids[: len(ids) - len(rest)]]
    for name, words in INSTRUCTIONS.items():
        if chat:
            opening = tokenizer(f"[{words}]<", add_special_tokens=False)["input_ids"]
        else:
            opening = [*start, *tokenizer(f"{words}\n\n", add_special_tokens=False)["input_ids"]]
        before[name] = (opening, ids)
    return before


@pytest.mark.parametrize(("bos", "chat"), [("never", False), ("always", False), ("never", True)])
def test_each_condition_is_the_plain_float64_loss_of_the_same_tokens(model, tmp_path, bos, chat):
    import shutil

    from transformers import AutoModelForCausalLM

    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    if chat:
        (folder / "chat_template.jinja").write_text(CHAT)
    code, found, said = measure(folder, tmp_path / "run", "--bos", bos)
    assert code == 0, said
    scored = tokens(found)
    assert {condition for condition, _ in scored} == {"plain", *conditions.NAMES}
    model64 = AutoModelForCausalLM.from_pretrained(model).double().eval()
    start = [0] if bos == "always" else []
    unpredicted = 0 if start else 1
    for i, story in enumerate(STORIES):
        for condition, (before, part) in wanted(folder, story, start, chat).items():
            own = scored[condition, f"t{i}"]
            assert own["token_id"].tolist() == part[unpredicted:], (condition, i)
            ids = [*before, *part]
            first = len(before) + unpredicted
            right = (one_by_one if i == 0 else losses)(model64, ids, first)
            assert own["nll_nats"] == pytest.approx(right, rel=2e-5, abs=2e-5), (condition, i)


def test_the_scored_tokens_are_the_same_under_all_conditions_of_a_kind(model, tmp_path):
    _, found, _ = measure(model, tmp_path)
    scored = tokens(found)
    for names in (conditions.SENTENCES, ("plain", *conditions.INSTRUCTIONS)):
        for i in range(len(STORIES)):
            parts = [scored[name, f"t{i}"] for name in names]
            for key in ("position", "token_id", "start", "end"):
                assert all(np.array_equal(part[key], parts[0][key]) for part in parts), (key, i)
            assert len(parts[0]["token_id"]) > 2


def test_the_summary_states_what_is_scored_given_what(model, tmp_path):
    _, found, _ = measure(model, tmp_path, "--bos", "always")
    (subject,) = found["subjects"]
    rows = subject["conditions"]
    assert list(rows) == list(conditions.NAMES)
    assert subject["scored"] == "all tokens of each text"
    assert subject["given"] == "the start token alone"
    assert {rows[name]["scored"] for name in conditions.SENTENCES} == {
        "all tokens after the third sentence of each text"
    }
    assert rows["no context"]["given"] == "the start token alone"
    assert rows["last 1 sentence"]["given"].startswith("the start token and the sentence right")
    assert "all three sentences before them" in rows["last 3 sentences"]["given"]
    assert "the vague instruction with a blank line" in rows["vague"]["given"]
    assert (rows["no context"]["base"], rows["last 2 sentences"]["base"]) == (None, "no context")
    assert rows["vague"]["base"] == "plain"
    same = {row["tokens"] for name, row in rows.items() if name in conditions.SENTENCES}
    assert same == {rows["last 1 sentence"]["base_figures"]["tokens"]}
    page = (Path(found["folder"]) / "perplexity.html").read_text()
    for statement in (subject["scored"], *(row["given"] for row in rows.values())):
        assert statement in page


def test_without_a_start_token_the_first_token_of_the_part_is_given_and_that_is_said(
    model, tmp_path
):
    _, found, _ = measure(model, tmp_path, "--bos", "never")
    (subject,) = found["subjects"]
    row = subject["conditions"]["last 1 sentence"]
    assert row["scored"] == (
        "all tokens but the first, which nothing predicts, after the third sentence of each text"
    )
    assert subject["conditions"]["no context"]["given"] == "nothing"


def test_tokens_of_these_texts_reach_over_the_ends_of_sentences(model):
    """Else the tests above would not see a text that is tokenised piece by piece."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    for story in STORIES:
        whole = tokenizer(" ".join(story), return_offsets_mapping=True)
        numbers = [sentence_of(begin, story) for begin, _ in whole["offset_mapping"]]
        rest = " ".join(story)[len(" ".join(story[:3])) :]
        cut = whole["input_ids"][numbers.index(3) :]
        assert cut != tokenizer(rest)["input_ids"]


def test_a_text_that_does_not_fit_with_its_context_is_left_out_of_all_rows_and_named(
    model, tmp_path
):
    fits, long = " ".join(STORIES[2]), " ".join([*STORIES[0], *STORIES[1]])
    _, whole, _ = measure(model, tmp_path / "whole", texts=[fits, long, SHORT])
    lengths = {row["id"]: row["tokens"] for row in whole["subjects"][0]["by_text"]}
    room = 12  # for an instruction
    assert lengths["t0"] + room < lengths["t1"]
    window = ("--window", str(lengths["t0"] + room), "--stride", "9")
    code, found, said = measure(model, tmp_path / "some", *window, texts=[fits, long, SHORT])
    assert code == 0, said
    (subject,) = found["subjects"]
    assert {row["id"] for row in subject["by_text"]} == {"t0", "t1", "t2"}
    assert {row["texts"] for name, row in subject["conditions"].items()
            if name in conditions.SENTENCES} == {1}  # fmt: skip
    assert {row["texts"] for name, row in subject["conditions"].items()
            if name in conditions.INSTRUCTIONS} == {2}  # fmt: skip
    left_out = [(one["text"], one["conditions"]) for one in subject["left_out_of_conditions"]]
    assert left_out == [("t1", "instructions"), ("t1", "sentences")]
    notes = " ".join(found["notes"])
    assert "conditions by sentences: 1 text left out: t1 (with last 3 sentences it has" in notes
    assert f"1 text is longer than the window of {window[1]} tokens; windows move by 9" in notes
    page = (Path(found["folder"]) / "perplexity.html").read_text()
    assert "all of its text before it, as far as its window reaches" in page
    whole_rows, rows = whole["subjects"][0]["conditions"], subject["conditions"]
    assert whole_rows["no context"]["texts"] == 2  # SHORT has no fourth sentence
    assert rows["no context"]["eval_loss"] != whole_rows["no context"]["eval_loss"]


def test_conditions_that_no_text_fits_are_refused_with_a_remedy(model, tmp_path):
    code, found, said = measure(model, tmp_path, "--window", "16", "--stride", "8")
    assert (code, found) == (2, None)
    said = " ".join(said.split())
    assert re.search(
        r"--conditions instructions: no text can be scored so; t0: with specific it has \d", said
    )
    assert "Raise --window" in said


def test_names_are_the_same_on_both_sides_of_the_process_border():
    assert conditions.SENTENCES == passages.SENTENCES
    assert conditions.INSTRUCTIONS == passages.INSTRUCTIONS
    assert conditions.PLAIN == passages.PLAIN
    assert set(conditions.KINDS) | {conditions.PLAIN} == set(passages.KINDS)
