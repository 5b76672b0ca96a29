"""The gate as users meet it: finished or made runs in; verdict, exit code, gate.json and the page
out.
"""

import copy
import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from accuracy.datasets.files import load_dataset
from accuracy.gate.readings import Criteria
from harness.cli import app
from harness.engine import runlog
from harness.kernel.errors import BadInput, SetupFailed
from harness.options.settings import RunConfig, load_config
from harness.running.session import Run
from harness.study.gating import gate
from harness.study.gating import job as gate_job
from harness.study.study import load
from reports.pages import gate as page
from reports.plots import gate as plot
from sut.precision.table import TABLE
from tests.reports.pages.test_run import HOSTILE, UNSEEN, Page
from tests.seal_helpers import forget

N = 40
ANSWER = "alpha beta gamma delta epsilon zeta eta theta iota number {}"
COSTLY = ANSWER.replace("zeta eta theta", "x y z")


def answers(text=ANSWER, n=N):
    return [text.format(i) for i in range(n)]


def dataset(folder, n=N, with_answers=True):
    file = folder / "questions.jsonl"
    rows = [
        {"prompt": f"question {i}"} | ({"reference": ANSWER.format(i)} if with_answers else {})
        for i in range(n)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def make(folder, texts, variant="fp32", file=None, tokens=8, facts=None, **flags):
    """The folder of an accuracy run in which a local model gave these `texts` to the questions of
    `file`, in its order.
    """
    file, base = file or dataset(folder, len(texts)), bare(len(texts), tokens, tuple(flags.items()))
    made = Path(shutil.copytree(base, folder / f"{variant}_{len(list(folder.iterdir()))}"))
    log, known = runlog.read_log(made)
    log.texts = {k: texts[index] for k, index in enumerate(log.index.tolist())}
    known.sut |= facts or {}
    runlog.write_log(made, log, known)
    edit(
        made / "settings.json",
        "config",
        sut="local",
        model="m",
        variant=variant,
        dataset=str(file),
        sut_options={},
    )
    edit(made / "settings.json", "dataset", **load_dataset(str(file), 32).source)
    return made


_STORE = tempfile.TemporaryDirectory()


@cache
def bare(n, tokens, flags):
    """The run of the simulated SUT that such a folder is made from, once for all tests."""
    given = {
        "scenario": "offline",
        "mode": "accuracy",
        "sut": "simulated",
        "clock": "virtual",
        "output_dir": _STORE.name,
    }
    config = load_config(
        given | dict(flags) | {"num_samples": n, "sut_options": {"tokens": tokens}}
    )
    with Run(config, lambda text: None, progress=False) as run:
        run.execute()
    return forget(run.folder)


def edit(path, key, **changes):
    data = json.loads(path.read_text())
    data[key] |= changes
    path.write_text(json.dumps(data))


def invoke(reference, *candidates, flags=()):
    """(exit code, gate.json or None, what was said)."""
    out = os.path.join(os.path.dirname(reference), "out")
    words = [
        "gate",
        "--reference",
        reference,
        "--candidates",
        ",".join(map(str, candidates)),
        "--output-dir",
        out,
    ]
    done = CliRunner().invoke(app, [*map(str, words), "--resamples", "500", *flags, "--json"])
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else None, done.stderr


def ratio(row, name, reading):
    (found,) = [r for r in row["readings"][reading]["ratios"] if r["name"] == name]
    return found


def screen(found, width=80):
    console = Console(width=width, record=True, file=open(os.devnull, "w"), highlight=False)  # noqa: SIM115
    page.show(found, Path("runs/g"), console)
    console.file.close()
    return console.export_text()


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Reference, an equal candidate, one that lost much, one that lost something here and won
    something there.
    """
    folder = tmp_path_factory.mktemp("runs")
    mixed = [text.replace("alpha", "x") if i % 3 else text for i, text in enumerate(answers())]
    reference = [
        text.replace("beta", "y") if i % 3 == 0 else text for i, text in enumerate(answers())
    ]
    mixed[7] = ""
    folders = [
        make(folder, reference),
        make(folder, reference, "bf16"),
        make(folder, answers(COSTLY), "nf4"),
    ]
    code, found, said = invoke(*folders, make(folder, mixed, "int8"))
    return code, found, said


# ---- verdicts


def test_each_candidate_has_a_verdict_and_the_worst_decides(judged):
    code, found, _ = judged
    assert [(row["label"], row["status"]) for row in found["rows"]] == [
        ("bf16", "PASS"),
        ("nf4", "FAIL"),
        ("int8", "FAIL"),
    ]
    assert (code, found["status"], found["against"]) == (1, "FAIL", "dataset")


def test_a_candidate_that_equals_the_reference_passes_with_ratios_of_exactly_1(tmp_path):
    folders = [make(tmp_path, answers()), make(tmp_path, answers(), "bf16")]
    code, found, _ = invoke(*folders, flags=("--target", "100"))
    (row,) = found["rows"]
    assert (code, row["status"], row["official"], row["identical"], row["worst"]) == (
        0,
        "PASS",
        "PASS",
        1.0,
        [],
    )
    for reading in ("dataset", "reference"):
        assert {(r["value"], r["low"], r["high"]) for r in row["readings"][reading]["ratios"]} == {
            (1.0, 1.0, 1.0)
        }


def test_both_readings_and_both_targets_are_always_there(judged):
    for row in judged[1]["rows"]:
        assert set(row["readings"]) == {"dataset", "reference"}
        assert all(
            set(reading["verdicts"]) == {"99", "99.9"} for reading in row["readings"].values()
        )


def test_what_the_interval_spans_is_undecided_and_says_how_many_samples_it_takes(tmp_path):
    """Half lose a word that the other half wins."""
    ours = [text.replace("beta", "x") if i % 2 else text for i, text in enumerate(answers())]
    theirs = [text if i % 2 else text.replace("beta", "x") for i, text in enumerate(answers())]
    code, found, _ = invoke(
        make(tmp_path, theirs), make(tmp_path, ours, "bf16"), flags=("--target", "99")
    )
    (row,) = found["rows"]
    assert (code, row["status"], row["official"]) == (1, "UNDECIDED", "PASS")
    assert row["needed"] > N
    assert re.search(
        r"may lie on either side of 99 %; about [\d,]+ samples would decide", row["reason"]
    )


def test_against_the_reference_another_right_answer_costs(tmp_path):
    """As good as the reference against the dataset, and unlike it: the two readings disagree."""
    theirs = [text.replace("beta", "x") for text in answers()]
    ours = [text.replace("gamma", "y") for text in answers()]
    folders = make(tmp_path, theirs), make(tmp_path, ours, "bf16")
    (row,) = invoke(*folders)[1]["rows"]
    assert ratio(row, "rouge1", "dataset")["value"] == 1.0
    assert ratio(row, "rouge1", "reference")["value"] == pytest.approx(9 / 11)
    assert row["readings"]["reference"]["verdicts"]["99"]["status"] == "FAIL"
    assert invoke(*folders, flags=("--against", "reference"))[1]["rows"][0]["status"] == "FAIL"


def test_longer_answers_fail_where_they_are_as_good(tmp_path):
    folders = [make(tmp_path, answers()), make(tmp_path, answers(), "bf16", tokens=10)]
    code, found, _ = invoke(*folders)
    assert (code, found["rows"][0]["status"]) == (1, "FAIL")
    assert "tokens per sample 125.00 %" in found["rows"][0]["reason"]
    assert "90 to 110 %" in found["rows"][0]["reason"]
    assert invoke(*folders, flags=("--against", "reference"))[0] == 0


def test_without_answers_in_the_dataset_the_reference_decides(tmp_path):
    file = dataset(tmp_path, with_answers=False)
    folders = [make(tmp_path, answers(), file=file), make(tmp_path, answers(), "bf16", file=file)]
    code, found, _ = invoke(*folders)
    assert (code, found["against"], found["why"]) == (0, "reference", "the dataset has no answers")
    assert set(found["rows"][0]["readings"]) == {"reference"}
    code, _, said = invoke(*folders, flags=("--against", "dataset"))
    assert (code, "the dataset has no answers" in said) == (2, True)


def test_a_dataset_that_changed_is_not_read(tmp_path):
    file = dataset(tmp_path)
    folders = [make(tmp_path, answers(), file=file), make(tmp_path, answers(), "bf16", file=file)]
    file.write_text(file.read_text().replace("alpha", "omega"))
    assert invoke(*folders)[1]["why"] == "the dataset has moved or changed"


def test_samples_without_an_answer_are_left_out_of_one_reading_and_counted(tmp_path):
    file = dataset(tmp_path)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(
        "".join(
            json.dumps({"prompt": row["prompt"]} if i < 10 else row) + "\n"
            for i, row in enumerate(lines)
        )
    )
    found = invoke(
        make(tmp_path, answers(), file=file), make(tmp_path, answers(), "bf16", file=file)
    )[1]
    assert [found["rows"][0]["readings"][name]["n"] for name in ("dataset", "reference")] == [
        30,
        40,
    ]
    assert any("10 of 40 samples have no answer" in note for note in found["notes"])


def test_empty_outputs_score_0_and_are_counted(judged):
    row = judged[1]["rows"][2]
    assert row["empty"] == 1
    assert 7 in [sample["index"] for sample in row["worst"]]
    assert min(sample["candidate"] for sample in row["worst"]) == 0


@pytest.mark.parametrize(("tokens", "word"), [(8, "FAIL"), (295, "PASS")])
def test_a_target_of_mlperf_is_absolute(tmp_path, tokens, word):
    folders = [make(tmp_path, answers(), tokens=tokens, max_new_tokens=400) for _ in range(2)]
    code, found, _ = invoke(*folders, flags=("--target", "llama2-70b-99.9"))
    assert (found["against"], found["rows"][0]["status"]) == ("published", word)
    assert ratio(found["rows"][0], "rouge1", "published")["value"] == pytest.approx(100 / 44.4312)
    assert "llama2-70b-99.9's figures" in page.asked(found)
    assert code == (word != "PASS")


def test_what_a_target_of_mlperf_asks_for_beyond_rouge_is_said(tmp_path):
    folders = [make(tmp_path, answers()) for _ in range(2)]
    found = invoke(*folders, flags=("--target", "mixtral-8x7b"))[1]
    assert any("gsm8k, mbxp" in note for note in found["notes"])


# ---- where it went wrong


def test_the_first_diverging_token_is_counted_for_every_output(tmp_path):
    folders = [make(tmp_path, answers()), make(tmp_path, answers(), "bf16")]
    log, facts = runlog.read_log(folders[1])
    ids = log.token_ids.copy()
    ids[log.token_start[:10] + 5] += 1
    log.token_ids = ids
    log.first_token = ids[log.token_start[:-1]]
    runlog.write_log(folders[1], log, facts)
    (row,) = invoke(*folders)[1]["rows"]
    assert (row["identical"], row["divergence_median"]) == (0.75, 5.0)
    assert {part["first"]: part["outputs"] for part in row["divergence"] if part["outputs"]} == {
        4: 10
    }


def test_labels_have_a_ratio_with_its_interval_and_n(tmp_path):
    """On the first 40 embedded questions."""
    right = [sample.reference for sample in load_dataset("qa", 32, N).samples]
    labels = [dict(sample.labels) for sample in load_dataset("qa", 32, N).samples]
    wrong = [
        text if label["kind"] != "why" else "no idea"
        for text, label in zip(right, labels, strict=True)
    ]
    folders = [make(tmp_path, right), make(tmp_path, wrong, "bf16")]
    for folder in folders:
        edit(folder / "settings.json", "config", dataset="qa", num_samples=N)
        edit(folder / "settings.json", "dataset", **load_dataset("qa", 32, N).source)
    (row,) = invoke(*folders)[1]["rows"]
    kinds = {label["label"]: label["ratio"] for label in row["labels"] if label["key"] == "kind"}
    assert sum(kind["n"] for kind in kinds.values()) == N
    assert kinds["why"]["high"] < 0.1 < 1.0 == kinds["arithmetic"]["low"]
    assert all(label["ratio"]["low"] is None for label in row["labels"] if label["ratio"]["n"] < 5)


def test_the_worst_samples_stand_side_by_side_with_the_words_that_differ(judged):
    sample = judged[1]["rows"][1]["worst"][0]
    marked = "".join(text for text, differs in sample["texts"]["candidate"] if differs)
    assert marked.split()[-3:] == ["x", "y", "z"]
    assert sample["prompt"] == f"question {sample['index']}"
    assert sample["answer"] == ANSWER.format(sample["index"])


# ---- bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_new_tokens": 6}, "new tokens 6 .* 32 in the reference"),
        ({"seeds": "1,2,3"}, "seeds 1,2,3"),
        ({"facts": {"eos_ids": [7]}}, "end-of-sequence ids"),
        ({"facts": {"chat_template": True}}, "chat template True"),
        ({"facts": {"tokenizer_sha256": "b"}}, "tokenizer b"),
    ],
)
def test_runs_of_another_kind_are_refused_and_the_difference_named(tmp_path, changes, words):
    reference = make(tmp_path, answers(), facts={"chat_template": False, "tokenizer_sha256": "a"})
    facts = {"chat_template": False, "tokenizer_sha256": "a"} | changes.pop("facts", {})
    code, _, said = invoke(reference, make(tmp_path, answers(), "bf16", facts=facts, **changes))
    assert code == 2
    assert re.search(words, said), said


def test_runs_over_other_data_are_refused(tmp_path):
    (tmp_path / "b").mkdir()
    other = dataset(tmp_path / "b")
    other.write_text(other.read_text().replace("alpha", "omega"))
    code, _, said = invoke(make(tmp_path, answers()), make(tmp_path, answers(), "bf16", file=other))
    assert (code, "data sha256" in said) == (2, True)


def test_an_incomplete_run_is_undecided_and_not_scored_on_what_is_there(tmp_path):
    folders = [make(tmp_path, answers()), make(tmp_path, answers(), "bf16")]
    log, facts = runlog.read_log(folders[1])
    log.done_ns = np.where(np.arange(N) == 3, -1, log.done_ns)
    log.end, log.end_reason = "interrupted", "stopped"
    runlog.write_log(folders[1], log, facts)
    code, found, _ = invoke(*folders)
    (row,) = found["rows"]
    assert (code, row["status"], row["readings"]) == (1, "UNDECIDED", {})
    assert "39 of 40 samples were answered" in row["reason"]
    code, found, _ = invoke(*reversed(folders))
    assert (code, found["rows"][0]["status"]) == (1, "UNDECIDED")
    assert "the reference cannot be judged: 39 of 40" in found["rows"][0]["reason"]
    screen(found)


def test_a_run_that_broke_a_rule_is_undecided(tmp_path):
    broken = make(tmp_path, answers(), "bf16")
    log, facts = runlog.read_log(broken)
    log.first_token = log.first_token + 1
    runlog.write_log(broken, log, facts)
    (row,) = invoke(make(tmp_path, answers()), broken)[1]["rows"]
    assert (row["status"], row["reason"]) == (
        "UNDECIDED",
        "its run is INVALID: failed: first_token",
    )


def test_a_reference_in_tf32_is_refused_and_a_candidate_is_named(tmp_path):
    plain = make(tmp_path, answers(), facts={"dtype": "float32", "tf32": False})
    in_tf32 = make(tmp_path, answers(), facts={"dtype": "float32", "tf32": True})
    (row,) = invoke(plain, in_tf32)[1]["rows"]
    assert (row["label"], row["variant"], row["status"]) == ("fp32 (tf32)", "fp32 (tf32)", "PASS")
    with pytest.raises(BadInput, match=r"computed in TF32.*without --tf32") as info:
        gate_job.job(str(in_tf32), str(plain), {}, Criteria())
    assert info.value.exit_code == 2


def test_the_flag_tf32_is_for_the_candidates_alone(flags):
    job = gate_job.job("fp32", "fp32,bf16", flags | {"tf32": True}, Criteria())
    assert [config.tf32 for config in gate_job.configs_of(job.parts)] == [False, True, True]


def test_one_sample_is_refused(tmp_path):
    code, _, said = invoke(make(tmp_path, answers(n=1)), make(tmp_path, answers(n=1), "bf16"))
    assert (code, "at least 2 are needed" in said) == (2, True)
    assert not (tmp_path / "out").exists()


def test_few_samples_are_judged_with_a_word_of_caution(tmp_path):
    found = invoke(make(tmp_path, answers(n=5)), make(tmp_path, answers(n=5), "bf16"))[1]
    assert (
        "5 samples are few: with fewer than 30, the intervals are narrower than stated"
        in found["notes"]
    )


def test_a_performance_run_and_a_run_without_texts_are_refused(tmp_path):
    good, plain = make(tmp_path, answers()), make(tmp_path, answers(), "bf16")
    log, facts = runlog.read_log(plain)
    log.texts = {}
    runlog.write_log(plain, log, facts)
    assert "gives no texts" in invoke(good, plain)[2]
    edit(plain / "settings.json", "run", mode="performance")
    assert "it is a performance run" in invoke(good, plain)[2]


@pytest.mark.parametrize(
    ("reference", "candidates", "flags", "words"),
    [
        ("fp32", " , ", {}, "nothing to judge is named"),
        ("fp32", "bf61", {}, "'bf61' is not known"),
        ("fp32", "bf16", {"num_samples": 1}, "at least 2"),
        ("./nowhere", "./nothing", {}, "nowhere"),
        ("fp32", "./nothing", {}, "nothing"),
        ("./a", "bf16", {}, "variants of one model"),
        ("./a", "./b", {"model": "m"}, "finished runs are given together with --model"),
        ("fp32", "bf16", {"asked": Criteria("llama2-70b")}, "Did you mean 'llama2-70b-99'"),
        ("fp32", "bf16", {"asked": Criteria("101")}, "it is 101; expected a share"),
        ("fp32", "bf16", {"asked": Criteria("nan")}, "it is nan; expected a share"),
        ("fp32", "bf16", {"asked": Criteria(against="refrence")}, "Did you mean 'reference'"),
        ("fp32", "bf16", {"asked": Criteria("llama2-70b-99", "reference")}, "Leave one out"),
        ("fp32", "bf16", {"asked": Criteria(resamples=0)}, "--resamples"),
        ("fp32", "bf16", {"asked": Criteria(confidence=100.0)}, "--confidence"),
    ],
)
def test_bad_input_is_said_before_anything_runs(tmp_path, reference, candidates, flags, words):
    asked = flags.pop("asked", Criteria())
    given = flags | ({"output_dir": tmp_path / "out"} if "model" not in flags else {})
    with pytest.raises(BadInput, match=words):
        gate_job.job(reference, candidates, given, asked)
    assert not (tmp_path / "out").exists()


# ---- runs to be made


@pytest.fixture
def flags(tmp_path, tiny_llama):
    file = tmp_path / "questions.jsonl"
    rows = [
        {"prompt": f"why is the sky {c}", "reference": f"the sky is {c} blue"} for c in "abcdef"
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {
        "model": str(tiny_llama),
        "dataset": str(file),
        "max_new_tokens": 6,
        "in_process": True,
    }
    return {**model, "output_dir": tmp_path / "runs"}


def made(flags, candidates, control=True, asked=None):
    heard = []
    job = gate_job.job("fp32", candidates, flags, asked or Criteria(resamples=200))
    found, place = gate.run(job._replace(control=control), lambda text: None, heard.append)
    assert [row["label"] for row in heard] == [row["label"] for row in page.shown(found)]
    return found, place


def fails_with(monkeypatch, variant, error):
    def load(*_, **__):
        raise error

    monkeypatch.setitem(TABLE, variant, TABLE[variant]._replace(load=load))


def test_reference_control_and_candidates_are_run_and_judged(flags):
    found, place = made(flags, "fp32")
    assert [row["label"] for row in page.shown(found)] == ["fp32 (control)", "fp32"]
    assert (found["reference"]["rows_in_batch"], found["control"]["rows_in_batch"]) == (32, 3)
    assert (found["control"]["identical"], found["rows"][0]["status"]) == (1.0, "PASS")
    assert json.loads((place / "gate.json").read_text()) == found
    assert all((place / row["run"] / "report.html").is_file() for row in page.shown(found))
    links = [
        attributes["href"]
        for tag, attributes in Page((place / "gate.html").read_text()).tags
        if tag == "a"
    ]
    assert set(links) == {f"{row['run']}/report.html" for row in page.shown(found)}


def test_a_candidate_that_cannot_be_set_up_leaves_the_others_alone(flags, monkeypatch):
    fails_with(monkeypatch, "bf16", SetupFailed("loading", "it is broken"))
    found, _ = made(flags, "bf16,fp32", control=False)
    assert [(row["label"], row["status"]) for row in found["rows"]] == [
        ("bf16", "UNDECIDED"),
        ("fp32", "PASS"),
    ]
    assert found["control"] is None
    assert any(note.startswith("no control run") for note in found["notes"])
    assert "it is broken" in found["rows"][0]["reason"]
    assert gate.exit_code(found) == 1
    alone, _ = made(flags, "bf16", control=False)
    assert gate.exit_code(alone) == 3


def test_a_reference_that_cannot_be_set_up_ends_it(flags, monkeypatch):
    fails_with(monkeypatch, "fp32", SetupFailed("loading", "it is broken"))
    with pytest.raises(SetupFailed, match="it is broken"):
        made(flags, "bf16")


def test_ctrl_c_keeps_what_was_judged(flags, monkeypatch):
    fails_with(monkeypatch, "bf16", KeyboardInterrupt())
    found, place = made(flags, "fp32,bf16,fp16", control=False)
    assert [row["status"] for row in found["rows"]] == ["PASS", "UNDECIDED"]
    assert (gate.exit_code(found), found["not_run"]) == (130, ["fp16"])
    assert "interrupted, not run: fp16" in screen(found)
    assert (place / "gate.html").is_file()


def test_ctrl_c_in_the_reference_leaves_what_resume_goes_on_with(flags, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        fails_with(patched, "fp32", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            made(flags, "bf16", control=False)
    (place,) = flags["output_dir"].iterdir()
    assert f"harness resume {place}" in capsys.readouterr().err
    found, _ = gate.go_on(load(place, [gate.KIND]), print, print)
    assert [row["status"] for row in found["rows"]] == ["PASS"]


def test_an_adapter_goes_to_the_variants_that_take_one(flags, tmp_path):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    job = gate_job.job("fp32", "bf16,lora", {**flags, "adapter": tmp_path}, Criteria())
    assert [config.adapter for config in gate_job.configs_of(job.parts)] == [None, None, tmp_path]
    assert {(c.mode, c.scenario) for c in gate_job.configs_of(job.parts)} == {
        ("accuracy", "offline")
    }


def test_its_runs_are_timed_out_like_any_others(flags):
    """A queue of many samples is no reason to give up on the last of them, nor to wait a day."""
    job = gate_job.job("fp32", "bf16", flags, Criteria())
    usual = RunConfig.model_fields["sample_timeout"].default
    assert {c.sample_timeout for c in gate_job.configs_of(job.parts)} == {usual}


# ---- how it reads


def test_it_fits_into_80_columns_and_names_every_verdict(judged):
    text = screen(judged[1])
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "bf16 PASS",
        "nf4 FAIL",
        "ROUGE-2",
        "tokens",
        "99.9 %",
        "(decides)",
        "identical, %",
        "target 99.9 %",
    ):
        assert words in text


def test_the_page_stands_alone_runs_no_script_and_shows_all_there_is(judged):
    written = Page(page.render(judged[1]))
    assert not {"script", "link", "iframe", "img"} & set(written.names())
    assert [a for tag, a in written.tags if tag == "a"] == []
    assert {"svg", "circle", "rect", "mark", "table"} <= set(written.names())
    for words in (
        "bf16 PASS",
        "Where outputs leave the reference",
        "Worst samples",
        "question 7",
        "(empty)",
        "1 empty",
    ):
        assert words in written.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_change_nothing(judged, text):
    plain = Page(page.render(judged[1]))
    found = copy.deepcopy(judged[1])
    for row in found["rows"]:
        row["reason"] = row["variant"] = text
        row["labels"] = [
            {"key": text, "label": text, "ratio": {"value": 1.0, "low": 0.9, "high": 1.0, "n": 9}}
        ]
        for sample in row["worst"]:
            sample |= {"prompt": text, "answer": text, "labels": [text]}
            sample["texts"] = {"reference": [[text, True]], "candidate": [[text, False]]}
    found["notes"], found["dataset"], found["rows"][0]["label"] = [text], text, text
    source = page.render(found)
    hostile = Page(source)
    assert not UNSEEN.search(source)
    assert set(hostile.names()) <= set(plain.names())
    assert not any(name.startswith("on") for _, attributes in hostile.tags for name in attributes)


def test_the_forest_puts_each_ratio_between_its_ends_and_inside_the_picture(judged):
    for reading, rows in page.readings(judged[1]).items():
        for frame in (plot.ROOMY, plot.PHONE):
            picture = plot.forest(judged[1], reading, rows, frame)
            left, right = frame.left, frame.right
            assert len(picture.marks) == 3 * len(rows)
            assert all(left <= m.low <= m.x <= m.high <= right for m in picture.marks)
            assert all(left <= x <= right for x, *_ in (*picture.ticks, *picture.lines))
            assert 3 <= len(picture.ticks) <= 7
            assert sorted(mark.y for mark in picture.marks)[-1] < picture.height
            ys = [y for y, _ in picture.heads] + [mark.y for mark in picture.marks]
            assert frame.values or len(set(ys)) == len(ys), "each has a line of its own"


def test_the_object_is_not_changed_by_showing_it(judged):
    before = copy.deepcopy(judged[1])
    screen(judged[1])
    page.render(judged[1])
    assert judged[1] == before
