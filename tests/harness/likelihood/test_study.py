"""`harness perplexity` as users meet it: texts in; a folder, perplexity.json, a table and an exit
code out.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import BadInput, RunBroke
from harness.likelihood import process, study
from harness.likelihood import settings as asking
from tests.variant_helpers import resized

STORIES = (
    "the sky is blue. why is it so? a b c d. what is the sky, how is it blue",
    "what is a sample? how is the sky. is it so? a b c. why is the sky blue",
    "a b c. d e f. g h i. the sky is the sky and a sample is a sample",
    "how blue is the sky? the sky is b. a sample is c. why why why is it a",
    "is it the sky? it is a sample. the blue sky is d. what is blue is blue",
    "the sky. the blue sky. the blue blue sky. how is the sample, x y z",
)
ROWS = [
    {"id": f"s{i}", "category": "odd" if i % 2 else "even", "split": "test" if i < 2 else "train",
        "title": f"Story {i}",
     "text": text, "vague": "a b c", "specific": "the blue sky", "paraphrased": "what is d"}
    for i, text in enumerate(STORIES)
]  # fmt: skip


def dataset(folder, rows=ROWS):
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def words(folder, *more, file=None):
    """No process of its own where that is not what is tested: each start takes seconds."""
    fixed = [
        "--dataset",
        file or dataset(folder),
        "--output-dir",
        folder / "out",
        "--device",
        "cpu",
        "--json",
    ]
    return [str(word) for word in ("perplexity", *fixed, *more)]


def invoke(folder, *more, file=None):
    """(exit code, the object or None, what was said)."""
    folder.mkdir(exist_ok=True)
    done = CliRunner().invoke(app, words(folder, *more, "--in-process", file=file))
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else None, " ".join(done.stderr.split())


def subject(found, label):
    (row,) = [row for row in found["subjects"] if row["label"] == label]
    return row


@pytest.fixture(scope="module")
def sizes(tiny_llama, tmp_path_factory):
    """Two sizes of one family."""
    folder = tmp_path_factory.mktemp("sizes")
    shutil.copytree(tiny_llama, folder / "small")
    return folder / "small", resized(tiny_llama, folder / "big", num_hidden_layers=3)


@pytest.fixture(scope="module")
def measured(sizes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    more = (
        "--models",
        ",".join(map(str, sizes)),
        "--variants",
        "fp32,bf16",
        "--conditions",
        "sentences,instructions",
    )
    return invoke(folder, *more)


# ---- from end to end


def test_each_size_in_each_variant_has_its_figures(measured):
    code, found, said = measured
    assert code == 0, said
    assert (found["schema"], found["status"]) == ("touchstone.perplexity/2", "DONE")
    assert [row["label"] for row in found["subjects"]] == [
        "small fp32",
        "small bf16",
        "big fp32",
        "big bf16",
    ]
    for row in found["subjects"]:
        figures = row["figures"]
        assert figures["perplexity_low"] < figures["perplexity"] < figures["perplexity_high"]
        assert figures["perplexity"] == pytest.approx(np.exp(figures["eval_loss"]))
        assert figures["texts"] == 6
        assert set(row["by_category"]) == {"odd", "even"}
        assert figures["tokens_per_s"] > 0
        assert figures["weights_bytes"] > 0
    small, big = subject(found, "small fp32"), subject(found, "big fp32")
    assert small["parameters"] < big["parameters"]
    assert found["comparable"]["by_perplexity"] is True
    assert len(found["ranking"]) == 4
    (family,) = found["scaling"]["families"]
    assert (family["models"], family["law"]) == (["small fp32", "big fp32"], None)
    assert family["no_law"] == "it takes 3 sizes, here are 2"
    assert found["scaling"]["alone"] == []


def test_every_pair_is_decided_once_and_places_follow_from_it(measured):
    _, found, _ = measured
    labels = [row["label"] for row in found["subjects"]]
    pairs = {(row["first"], row["second"]): row for row in found["pairs"]}
    assert len(pairs) == 6
    for row in found["pairs"]:
        less = row["eval_loss"]
        sides = [subject(found, row[key])["figures"]["eval_loss"] for key in ("first", "second")]
        assert less["value"] == pytest.approx(sides[0] - sides[1], abs=1e-6)
        decided = "tie" if less["low"] <= 0 <= less["high"] else "better"
        assert less["decision"] == ("worse" if less["low"] > 0 else decided)
    first = found["ranking"][0]
    assert first["behind"] is None
    for row in found["ranking"][1:]:
        key = (first["model"], row["model"])
        pair = pairs.get(key) or pairs[key[::-1]]
        assert abs(row["behind"]["value"]) == pytest.approx(abs(pair["eval_loss"]["value"]))
        assert row["ratio"]["value"] == pytest.approx(np.exp(row["behind"]["value"]))
    for row in found["ranking"]:
        better = [
            other for other in labels if other != row["model"]
            and _decision(pairs, other, row["model"]) == "better"
        ]  # fmt: skip
        assert row["place"] == 1 + len(better)


def _decision(pairs, one, other):
    opposite = {"better": "worse", "worse": "better"}
    if (one, other) in pairs:
        return pairs[one, other]["eval_loss"]["decision"]
    decision = pairs[other, one]["eval_loss"]["decision"]
    return opposite.get(decision, decision)


def test_two_copies_of_a_model_are_no_winner_and_no_loser(sizes, tmp_path):
    shutil.copytree(sizes[0], tmp_path / "one" / "model")
    shutil.copytree(sizes[0], tmp_path / "two" / "model")
    both = f"{tmp_path / 'one' / 'model'},{tmp_path / 'two' / 'model'}"
    code, found, said = invoke(tmp_path / "run", "--models", both)
    assert code == 0, said
    assert [row["label"] for row in found["subjects"]] == ["model fp32 (1)", "model fp32 (2)"]
    assert [row["place"] for row in found["ranking"]] == [1, 1]
    assert found["ranking"][1]["decision"] == "same"
    assert found["ranking"][1]["behind"] == {"value": 0, "low": 0, "high": 0}
    page = (Path(found["folder"]) / "perplexity.html").read_text()
    line = "no difference: model (1) and model (2) give every token the same loss, perplexity "
    assert line in page
    assert "best:" not in page
    assert "nothing can be said about size: all models are of one size" in page


def test_a_variant_that_chance_may_have_put_first_is_tied(sizes, tmp_path):
    models = ",".join(map(str, sizes))
    code, found, said = invoke(tmp_path, "--models", models, "--variants", "bf16,int8-quanto")
    assert code == 0, said
    ties = 0
    for row in found["pairs"]:
        if row["eval_loss"]["low"] <= 0 <= row["eval_loss"]["high"]:
            assert row["eval_loss"]["decision"] in ("tie", "same")
            ties += 1
    assert ties
    page = (Path(found["folder"]) / "perplexity.html").read_text()
    tied_first = sum(row["place"] == 1 for row in found["ranking"]) > 1
    assert ("tied for best: " in page) == tied_first
    assert ("best: " in page.replace("tied for best: ", "")) != tied_first
    for row in found["subjects"]:
        ratio = (row["divergence"] or {}).get("mean_ppl_ratio")
        if ratio and ratio["low"] <= 1 <= ratio["high"]:
            assert re.search(r"x of bf16 \([\d.]+ to [\d.]+\), a tie, KL", page)


def test_variants_are_compared_with_the_first_of_their_own_model(measured):
    _, found, _ = measured
    assert [bool(row["divergence"]) for row in found["subjects"]] == [False, True, False, True]
    for label in ("small bf16", "big bf16"):
        divergence = subject(found, label)["divergence"]
        assert divergence["reference"] == "fp32"
        assert 0 < divergence["mean_kld"]["value"] < 0.05
        assert divergence["mean_ppl_q"]["value"] == pytest.approx(
            subject(found, label)["figures"]["perplexity"], rel=1e-6
        )
    base = subject(found, "big bf16")["divergence"]["mean_ppl_base"]["value"]
    assert base == pytest.approx(subject(found, "big fp32")["figures"]["perplexity"], rel=1e-6)


def test_conditions_are_held_against_the_same_tokens_without_context(measured):
    _, found, _ = measured
    conditions = subject(found, "small fp32")["conditions"]
    by_sentences = ["last 1 sentence", "last 2 sentences", "last 3 sentences"]
    assert list(conditions) == ["no context", *by_sentences, "vague", "specific", "paraphrased"]
    without = conditions["no context"]
    assert (without["base"], "gain_nats" in without) == (None, False)
    for name, row in list(conditions.items())[1:]:
        assert row["base"] == ("no context" if name in by_sentences else "plain")
        assert row["tokens"] == row["base_figures"]["tokens"]
        assert row["gain_nats"]["value"] == pytest.approx(
            row["base_figures"]["eval_loss"] - row["eval_loss"]
        )
    assert conditions["vague"]["tokens"] == subject(found, "small fp32")["figures"]["tokens"]


def test_the_folder_holds_what_reports_read(measured):
    _, found, _ = measured
    folder = Path(found["folder"])
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "settings.json",
        "environment.json",
        "texts.parquet",
        "perplexity.json",
        "perplexity.html",
    }
    assert json.loads((folder / "perplexity.json").read_text()) == found
    place = folder / "01_small_bf16"
    assert not (place / "parts").exists()
    table = pq.read_table(place / "tokens.parquet")
    assert {
        "text",
        "condition",
        "position",
        "token_id",
        "start",
        "end",
        "nll_nats",
        "correct",
    } < set(table.column_names)
    assert {"kld", "kld_error", "same_top", "p_reference", "p"} < set(table.column_names)
    plain = np.array(table["condition"].to_pylist()) == "plain"
    assert plain.sum() == subject(found, "small bf16")["figures"]["tokens"]
    assert (table["kld"].is_valid().to_numpy() == plain).all()
    assert len(list((folder / "00_small_fp32" / "distributions").glob("*.npz"))) == 6
    assert not (place / "distributions").exists()


def test_what_is_measured_is_not_measured_again_and_the_summary_is_made_of_the_files_alone(
    measured,
):
    _, found, _ = measured
    for name in ("perplexity.json", "perplexity.html"):
        (Path(found["folder"]) / name).unlink()
    done = CliRunner().invoke(app, ["perplexity", "--resume", found["folder"], "--json"])
    assert json.loads(done.stdout.splitlines()[-1]) == found
    assert "loading" not in done.stderr


# ---- failures


def test_a_subject_that_fails_is_a_row_and_other_tokenizers_are_not_ranked(sizes, tmp_path):
    small, other, broken = sizes[0], tmp_path / "other", tmp_path / "broken"
    shutil.copytree(small, other)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"sky"', '"ski"'))
    shutil.copytree(small, broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    models = ",".join(map(str, (small, other, broken)))
    code, found, _ = invoke(tmp_path / "run", "--models", models, "--reference", small)
    assert code == 1
    assert [row["status"] for row in found["subjects"]] == ["DONE", "DONE", "ERROR"]
    assert "weight file is damaged" in subject(found, "broken fp32")["problem"]
    assert subject(found, "broken fp32")["figures"] == {}
    assert "is not the reference's" in subject(found, "other fp32")["divergence"]["refused"]
    assert found["comparable"]["by_perplexity"] is False
    assert "Bits per byte" in found["comparable"]["reason"]
    assert {row["by"] for row in found["ranking"]} == {"bits_per_byte"}


def test_a_model_that_cannot_be_loaded_is_a_failed_setup_with_a_folder_that_says_why(
    sizes, tmp_path
):
    shutil.copytree(sizes[0], tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    code, found, _ = invoke(tmp_path, "--model", tmp_path / "broken")
    assert (code, found["status"]) == (3, "ERROR")
    assert (Path(found["folder"]) / "perplexity.html").is_file()


def test_a_measurement_that_cannot_be_as_asked_leaves_no_folder_and_says_what_to_do(
    sizes, tmp_path
):
    rows = [
        ROWS[0],
        {"id": "far", "category": "odd", "text": " ".join("abcdefghijklmnopqrstuvwxyz" * 3)},
    ]
    code, found, said = invoke(tmp_path, "--model", sizes[0], file=dataset(tmp_path, rows))
    assert (code, found) == (2, None)
    assert "text far: it has 78 tokens; the context takes 64. Pass --stride 32" in said
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--text-column", "story"), "column: 'story' is not known; known: category, id"),
        (("--category-column", "kind"), "column: 'kind' is not known"),
        (
            ("--split", "tset"),
            "split: 'tset' is not known; known: test, train. Did you mean 'test'?",
        ),
        (("--num-samples", "7"), "it has 6 texts; --num-samples 7 asks for more"),
        (("--variants", "fp31"), "variant: 'fp31' is not known"),
        (("--variants", ","), "--variants: ',' names none"),
        (("--reference", "int8"), "--reference: 'int8' is not known; known:"),
        (
            ("--conditions", "moods"),
            "--conditions: 'moods' is not known; known: instructions, sentences",
        ),
        (("--bos", "maybe"), "--bos: Input should be 'auto', 'always' or 'never'"),
        (("--stride", "0"), "--stride: Input should be greater than 0"),
        (("--exact",), "--exact: nothing is compared with a reference"),
        (("--models", "a,b"), "--model and --models"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(tiny_llama, tmp_path, flags, words):
    code, found, said = invoke(tmp_path, "--model", tiny_llama, *flags)
    assert (code, found) == (2, None)
    assert words in said
    assert not (tmp_path / "out").exists()


def test_instructions_need_their_columns_and_sentences_a_rest(tmp_path):
    bare = dataset(tmp_path, [{"text": "the sky is blue. so"}])
    for condition, said in (
        ("instructions", "has the columns"),
        ("sentences", "no text has a rest"),
    ):
        with pytest.raises(BadInput, match=said):
            study.begin(
                asking.settings({"dataset": str(bare), "conditions": condition}),
                lambda text: None,
            )


def test_two_texts_of_one_id_are_refused_and_missing_ids_are_made(tmp_path):
    twice = dataset(tmp_path, [{"id": "a", "text": "b"}, {"id": "a", "text": "c"}])
    with pytest.raises(BadInput, match="two texts have the id 'a'"):
        study.begin(asking.settings({"dataset": str(twice)}), lambda text: None)
    bare = dataset(tmp_path, [{"text": "b"}, {"text": ""}])
    made = asking.settings({"dataset": str(bare), "output_dir": tmp_path / "out"})
    rows = pq.read_table(study.begin(made, lambda text: None) / "texts.parquet").to_pylist()
    assert [(row["id"], row["text"]) for row in rows] == [("text-0001", "b"), ("text-0002", "")]


# ---- the order of subjects


def series(**flags):
    """Labels, each with that of its reference."""
    made = asking.subjects(asking.Settings(**flags))
    return [(one.label, None if one.against is None else made[one.against].label) for one in made]


def test_a_reference_comes_before_those_that_are_compared_with_it():
    assert series(models=("m",), variants=("int8", "fp32"), reference="fp32") == [
        ("m fp32", None),
        ("m int8", "m fp32"),
    ]
    assert series(models=("m", "n"), variants=("fp32", "int8")) == [
        ("m fp32", None), ("m int8", "m fp32"), ("n fp32", None), ("n int8", "n fp32"),
    ]  # fmt: skip
    assert series(models=("m", "n"), reference="n") == [("n fp32", None), ("m fp32", "n fp32")]
    assert series(models=("m", "n")) == [("m fp32", None), ("n fp32", None)]
    assert series(models=("m",), variants=("fp32", "int8"), divergence=False) == [
        ("m fp32", None),
        ("m int8", None),
    ]


# ---- interruption


def test_an_interrupted_measurement_keeps_its_parts_and_goes_on(sizes, tmp_path):
    many = [{"id": f"t{i}", "text": f"{STORIES[i % 6]} {i % 7}"} for i in range(400)]
    flags = ("--model", sizes[0], "--batch-tokens", "1")
    command = [
        sys.executable,
        "-m",
        "harness",
        *words(tmp_path, *flags, file=dataset(tmp_path, many)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while (
        len(list(tmp_path.glob("out/*/*/parts/*.npz"))) < 5
        and process.poll() is None
        and time.monotonic() < until
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    found = json.loads(out.splitlines()[-1])
    assert (found["status"], found["subjects"][0]["status"]) == ("INTERRUPTED", "INTERRUPTED")
    assert 5 <= found["subjects"][0]["figures"]["texts"] < 400
    assert f"harness resume {found['folder']}" in " ".join(said.split())

    marked = sorted((Path(found["folder"]) / "00_small_fp32" / "parts").glob("*.npz"))[0]
    with np.load(marked) as part:
        columns = dict(part)
    columns["nll_nats"][:] = 42  # who computes it again would not find this
    np.savez(marked, **columns)
    done = CliRunner().invoke(app, ["perplexity", "--resume", found["folder"], "--json"])
    assert done.exit_code == 0, done.stderr
    again = json.loads(done.stdout.splitlines()[-1])
    row = again["subjects"][0]
    assert (again["status"], row["figures"]["texts"]) == ("DONE", 400)
    assert 5 <= row["kept"] < 400
    table = pq.read_table(Path(found["folder"]) / "00_small_fp32" / "tokens.parquet")
    text = np.array(table["text"].to_pylist())
    nll = table["nll_nats"].to_numpy()
    assert (nll[text == f"t{int(marked.name[:6])}"] == 42).all()
    assert (nll[text != f"t{int(marked.name[:6])}"] < 42).all()


def test_resuming_takes_no_other_settings_and_only_a_folder_that_was_begun(tmp_path):
    done = CliRunner().invoke(app, ["perplexity", "--resume", str(tmp_path), "--variants", "bf16"])
    assert (done.exit_code, "together with --variants" in done.stderr) == (2, True)
    done = CliRunner().invoke(app, ["perplexity", "--resume", str(tmp_path)])
    assert (done.exit_code, "it holds no measurement" in done.stderr) == (2, True)


def test_a_process_that_dies_is_told_by_its_last_words(tmp_path):
    with pytest.raises(
        RunBroke, match=r"exit code 1, last words: TypeError: .*'no_such_option'.*worker\.log"
    ):
        list(process.events({"no_such_option": 1}, tmp_path, in_process=False))


def test_what_an_earlier_version_scored_after_a_hole_is_named_and_not_shown(measured, tmp_path):
    _, found, _ = measured
    place = tmp_path / "old"
    shutil.copytree(found["folder"], place)
    file = place / "00_small_fp32" / "tokens.parquet"
    table = pq.read_table(file)
    old = {"last 2 sentences": "after 2 sentences"}
    names = [old.get(name, name) for name in table["condition"].to_pylist()]
    at = table.column_names.index("condition")
    pq.write_table(table.set_column(at, "condition", [names]), file)
    done = CliRunner().invoke(app, ["perplexity", "--resume", str(place), "--json"])
    assert done.exit_code == 0, done.stderr
    again = json.loads(done.stdout.splitlines()[-1])
    assert "last 2 sentences" not in subject(again, "small fp32")["conditions"]
    assert any(
        note.startswith("small fp32: after 2 sentences: scored by an earlier version")
        for note in again["notes"]
    )


def test_subjects_without_a_common_text_are_not_compared(sizes, tmp_path):
    """Under one tokenizer each of two texts is a single token, another one each."""
    from harness.likelihood.compared import families, pairs, ranking
    from harness.likelihood.scores import Read
    from tests.perplexity_helpers import scored

    rows = [
        {"model": name, "variant": "fp32", "status": "DONE", "tokenizer": "x", "parameters": n}
        for name, n in (("a", 10), ("b", 20))
    ]
    texts = [scored([1.0, 2.0], "one")], [scored([1.0, 2.0], "two")]
    subjects = [
        Read(row["model"], row, {"plain": plain}, {})
        for row, plain in zip(rows, texts, strict=True)
    ]
    assert pairs(subjects) == ranking(subjects, [], True) == []
    assert families(subjects, True)["why_none"] == "there is no text that all models have scored"


def test_a_process_that_is_done_may_be_slow_to_leave(tmp_path, monkeypatch):
    """On a busy machine it takes seconds to give back a model's memory."""
    leave = process.waits.leave
    monkeypatch.setattr(process.waits, "leave", lambda child: leave(child, 0.05))
    said = 'import time; print(\'{"event": "done"}\', flush=True)'
    for code, is_fine in ((said + "; import os; os.close(1); time.sleep(60)", True),
                          ("import os, time; os.close(1); time.sleep(60)", False)):  # fmt: skip
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        log = tmp_path / "worker.log"
        log.touch()
        if is_fine:
            assert [event["event"] for event in process._heard(child, log)] == ["done"]
        else:
            with pytest.raises(RunBroke, match="SIGKILL"):
                list(process._heard(child, log))
        child.stdout.close()
