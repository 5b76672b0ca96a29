"""The scoring process from the inside: passages, their ids and places, what is kept, what is
refused.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from harness.kernel.errors import BadInput, SetupFailed
from sut.likelihood.job import Job
from sut.likelihood.passages import start_ids
from sut.likelihood.worker import score
from sut.prompts.tokenizer import fingerprint
from tests.variant_helpers import edit_json, resized

CHAT = (
    "{% for m in messages %}<bos> {{ m.content }} <eos> {% endfor %}{% if add_generation_prompt"
    " %}<bos> {% endif %}"
)
STORY = "the sky is blue. why is it so? a b c d. what is the sky, how is it blue"


def row(name="one", text=STORY, **more):
    return {"id": name, "category": "", "text": text, **more}


def job(folder, model, *rows, **changes):
    """A job over these rows for the model in that folder."""
    folder.mkdir(exist_ok=True)
    columns = {key: [one.get(key) for one in rows] for one in rows for key in one}
    columns.setdefault("sentence_ends", [None] * len(rows))
    kinds = {"sentence_ends": pa.array(columns.pop("sentence_ends"), pa.list_(pa.int32()))}
    pq.write_table(pa.table({**columns, **kinds}), folder / "texts.parquet")
    known = {
        "texts": str(folder / "texts.parquet"),
        "folder": str(folder),
        "model": {"path": str(model), "device": "cpu"},
    }
    return Job(**known | changes)


def run(folder, model, *rows, **changes):
    """(the events by kind, the parts by condition and text)."""
    made = job(folder, model, *rows, **changes)
    events = list(score(made))
    (folder / "subject.json").write_text(json.dumps(events[0]))
    return {event["event"]: event for event in events}, parts(folder)


def parts(folder):
    found = {}
    for file in sorted((folder / "parts").glob("*.npz")):
        with np.load(file) as part:
            found[file.stem] = dict(part)
    return found


def plain(found, text=0):
    return found[f"{text:06d}-plain"]


@torch.inference_mode()
def directly(folder, ids, first):
    """Losses from token `first` on, in float64 from all the logits."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).double().eval()
    rows = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return [-float(rows[i - 1, ids[i]]) for i in range(first, len(ids))]


def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


# ---- figures


@pytest.mark.parametrize(("bos", "start"), [("never", []), ("auto", []), ("always", [1])])
def test_losses_equal_a_direct_float64_computation(tiny_llama, tmp_path, bos, start):
    events, found = run(tmp_path, tiny_llama, row(), bos=bos)
    ids = tokenizer(tiny_llama)(STORY)["input_ids"]
    wanted = directly(tiny_llama, [*start, *ids], 1)
    assert plain(found)["nll_nats"] == pytest.approx(wanted, rel=1e-5)
    assert plain(found)["token_id"].tolist() == ids[1 - len(start) :]
    assert events["checked"]["bos"] == ("added" if start else "none")


def test_places_are_those_of_the_tokens_in_the_text(tiny_llama, tmp_path):
    _, found = run(tmp_path, tiny_llama, row())
    one = plain(found)
    assert [STORY[a:b] for a, b in zip(one["start"], one["end"], strict=True)][:6] == [
        "sky",
        "is",
        "blue",
        ".",
        "why",
        "is",
    ]
    assert one["position"].tolist() == list(range(1, 1 + len(one["position"])))
    assert (
        int(one["begins_at"]) == 3
    )  # the bytes of the first word, which nothing predicts, do not count


def test_a_text_beyond_the_window_is_scored_once_per_token_with_a_stride(tiny_llama, tmp_path):
    long = " ".join("abcdefghijklmnopqrstuvwxyz" * 4)
    _, found = run(tmp_path, tiny_llama, row(text=long), stride=16)
    assert plain(found)["position"].tolist() == list(range(1, 104))


def test_a_start_token_is_the_tokenizers_own_unless_asked_otherwise(tiny_llama):
    known = tokenizer(tiny_llama)
    assert (start_ids(known, "auto"), start_ids(known, "always"), start_ids(known, "never")) == (
        [],
        [1],
        [],
    )
    known.bos_token = None
    assert start_ids(known, "always") == [2]


def test_all_ids_that_a_tokenizer_puts_before_a_text_stand_before_it(tiny_llama, tmp_path):
    """As ChatGLM's two, of which none is called its start token."""
    from tokenizers import processors

    model = tmp_path / "model"
    shutil.copytree(tiny_llama, model)
    known = tokenizer(model)
    known.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<eos> <unk> $A", special_tokens=[("<eos>", 2), ("<unk>", 3)]
    )
    known.save_pretrained(model)
    edit_json(model / "tokenizer_config.json", drop=("bos_token",))
    known = tokenizer(model)
    for bos in ("auto", "always"):
        assert start_ids(known, bos) == [2, 3]
    events, found = run(tmp_path / "run", model, row())
    ids = tokenizer(tiny_llama)(STORY)["input_ids"]
    assert events["checked"]["bos"] == "added"
    assert plain(found)["nll_nats"] == pytest.approx(directly(model, [2, 3, *ids], 2), rel=1e-5)


# ---- conditions


def test_an_instruct_model_gets_the_instruction_as_the_users_turn(tiny_llama, tmp_path):
    model = tmp_path / "chat"
    shutil.copytree(tiny_llama, model)
    edit_json(model / "tokenizer_config.json", chat_template=CHAT)
    events, found = run(tmp_path, model, row(vague="the sky"), conditions=("instructions",))
    known = tokenizer(model)
    before = known("<bos> the sky <eos> <bos>")["input_ids"]
    ids = known(STORY)["input_ids"]
    assert events["checked"]["chat_template"] is True
    assert found["000000-vague"]["nll_nats"] == pytest.approx(
        directly(model, [*before, *ids], len(before) + 1), rel=1e-5
    )


# ---- what is left out, what is refused


def test_texts_with_nothing_to_predict_are_counted_with_their_reason(tiny_llama, tmp_path):
    events, found = run(
        tmp_path, tiny_llama, row("a", ""), row("b", " \n "), row("c", "sky"), row("d", "the sky")
    )
    reasons = {one["text"]: one["reason"] for one in events["checked"]["excluded"]}
    assert reasons == {"a": "it is empty", "b": "it is empty", "c": "it has one token"}
    assert list(found) == ["000003-plain"]


def test_only_such_texts_are_an_error(tiny_llama, tmp_path):
    with pytest.raises(BadInput, match="none has two tokens or more"):
        run(tmp_path, tiny_llama, row(text="sky"))


def test_a_text_beyond_the_context_is_named_with_the_remedy_before_the_weights_are_read(
    tiny_llama, tmp_path
):
    model = tmp_path / "no-weights"
    shutil.copytree(tiny_llama, model, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(
        BadInput, match=r"text far: it has 78 tokens; the context takes 64\. Pass --stride 32"
    ):
        run(tmp_path, model, row("near"), row("far", " ".join("abcdefghijklmnopqrstuvwxyz" * 3)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"window": 65}, "--window 65"), ({"stride": 65}, "--stride 65"), ({"window": 8}, "text one")],
)
def test_windows_that_do_not_fit_are_refused(tiny_llama, tmp_path, changes, words):
    with pytest.raises(BadInput, match=words):
        run(tmp_path, tiny_llama, row(), **changes)


def test_logits_that_are_no_numbers_are_named(tiny_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    model = tmp_path / "broken"
    shutil.copytree(tiny_llama, model)
    made = AutoModelForCausalLM.from_pretrained(model)
    made.lm_head.weight.data[7] = float("nan")
    made.save_pretrained(model)
    with pytest.raises(SetupFailed, match=r"its logits are not finite \(NaN or infinite\)"):
        run(tmp_path, model, row())


# ---- what is kept


def test_a_passage_that_has_its_part_is_not_computed_again(tiny_llama, tmp_path):
    texts = [row("a"), row("b", "what is the sky")]
    run(tmp_path, tiny_llama, *texts)
    (tmp_path / "parts" / "000001-plain.npz").unlink()
    before = (tmp_path / "parts" / "000000-plain.npz").stat().st_mtime_ns
    scored = [
        event for event in score(job(tmp_path, tiny_llama, *texts)) if event["event"] == "scored"
    ]
    assert [event["text"] for event in scored] == [1]
    assert (tmp_path / "parts" / "000000-plain.npz").stat().st_mtime_ns == before
    assert [event["event"] for event in score(job(tmp_path, tiny_llama, *texts))] == ["checked"]


def test_a_reference_is_scored_again_where_its_distributions_are_missing(tiny_llama, tmp_path):
    run(tmp_path, tiny_llama, row(), record=True)
    next((tmp_path / "distributions").iterdir()).unlink()
    events, _ = run(tmp_path, tiny_llama, row(), record=True)
    assert events["checked"]["kept"] == 0
    assert len(list((tmp_path / "distributions").glob("*.npz"))) == 1


# ---- beside a reference


@pytest.fixture(scope="module")
def other(tiny_llama, tmp_path_factory):
    return resized(tiny_llama, tmp_path_factory.mktemp("other") / "model", num_hidden_layers=3)


def test_recording_changes_no_figure(tiny_llama, tmp_path):
    _, once = run(tmp_path / "once", tiny_llama, row())
    _, twice = run(tmp_path / "twice", tiny_llama, row(), record=True)
    assert np.array_equal(plain(once)["nll_nats"], plain(twice)["nll_nats"])
    assert np.array_equal(plain(once)["correct"], plain(twice)["correct"])


def test_a_model_does_not_diverge_from_itself(tiny_llama, tmp_path):
    run(tmp_path / "reference", tiny_llama, row(), record=True)
    _, found = run(tmp_path / "same", tiny_llama, row(), against=str(tmp_path / "reference"))
    assert plain(found)["kld"] == pytest.approx(0, abs=1e-6)
    assert plain(found)["same_top"].all()
    assert np.array_equal(plain(found)["p"], plain(found)["p_reference"])


def test_stored_and_exact_comparison_agree_and_leave_the_own_figures_alone(
    tiny_llama, other, tmp_path
):
    _, reference = run(tmp_path / "reference", tiny_llama, row(), record=True)
    _, alone = run(tmp_path / "alone", other, row())
    against = str(tmp_path / "reference")
    _, stored = run(tmp_path / "stored", other, row(), against=against)
    made = job(
        tmp_path / "exact",
        other,
        row(),
        against=against,
        other={"path": str(tiny_llama), "device": "cpu"},
    )
    list(score(made))
    exact = parts(tmp_path / "exact")
    assert plain(stored)["kld"] == pytest.approx(plain(exact)["kld"], rel=1e-4, abs=1e-6)
    assert plain(stored)["kld"].max() > 0.01
    assert plain(exact)["p_reference"] == pytest.approx(
        np.exp(-plain(reference)["nll_nats"]), rel=1e-5
    )
    for found in (stored, exact):
        assert plain(found)["nll_nats"] == pytest.approx(plain(alone)["nll_nats"], rel=1e-5)
        assert np.array_equal(plain(found)["correct"], plain(alone)["correct"])


def test_another_tokenizer_is_scored_but_not_compared(tiny_llama, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_llama, model)
    vocabulary = json.loads((model / "tokenizer.json").read_text())
    vocabulary["model"]["vocab"] = {
        ("ski" if word == "sky" else word): i for word, i in vocabulary["model"]["vocab"].items()
    }
    (model / "tokenizer.json").write_text(json.dumps(vocabulary))
    assert fingerprint(tokenizer(model)) != fingerprint(tokenizer(tiny_llama))
    run(tmp_path / "reference", tiny_llama, row(), record=True)
    events, found = run(tmp_path / "unlike", model, row(), against=str(tmp_path / "reference"))
    assert "is not the reference's" in events["checked"]["no_divergence"]
    assert "kld" not in plain(found)
    assert len(plain(found)["nll_nats"])


def test_a_job_survives_its_way_through_json(tiny_llama, tmp_path):
    made = job(tmp_path, tiny_llama, row(sentence_ends=[16, 30, 39]), conditions=("sentences",))
    assert (
        next(event["event"] for event in score(Job(**json.loads(json.dumps(asdict(made))))))
        == "checked"
    )


def test_one_vocabulary_with_other_ids_is_scored_but_not_compared(tiny_llama, tmp_path):
    """A start token before one of them: the same tokens are scored, given something else."""
    run(tmp_path / "reference", tiny_llama, row(), record=True)
    against = str(tmp_path / "reference")
    events, found = run(tmp_path / "started", tiny_llama, row(), against=against, bos="always")
    assert "other ids than the reference's" in events["checked"]["no_divergence"]
    assert "kld" not in plain(found)


def test_a_measurement_does_not_go_on_with_other_ids(tiny_llama, tmp_path):
    run(tmp_path, tiny_llama, row())
    with pytest.raises(BadInput, match="other ids than those that were scored"):
        list(score(job(tmp_path, tiny_llama, row(), bos="always")))
