"""Does a variant still solve what the reference solves? The gate on tasks as users meet it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from accuracy.gate.paired import Paired, interval
from accuracy.gate.readings import Criteria
from accuracy.gate.solving import Solving
from accuracy.tasks.load import Asked, load_task
from harness.cli import app
from harness.engine import runlog
from harness.kernel.errors import BadInput
from harness.study.gating import gate
from harness.study.gating import job as gate_job
from harness.study.gating.found import noise
from harness.study.gating.outputs import read
from harness.study.gating.part import Judged
from harness.study.study import load
from reports.blocks import csv_text, markdown
from reports.pages import gate as page
from reports.pages.comparison.columns import table as compared
from reports.tables import of_gate
from tests import ROOT
from tests.harness.study.gating.test_gate import edit, invoke, make, screen

RIGHT, WRONG, NOTHING = "so it is {}. #### {}", "so it is {}. #### -7", "I do not know."


def questions(folder, n=60, name="q.jsonl"):
    """A file as GSM8K is published; question i has the answer i."""
    file = folder / name
    rows = [
        {"question": f"what is {i} plus 0?", "answer": f"it is\n#### {i}", "kind": "abc"[i % 3]}
        for i in range(n)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def texts(pattern):
    """Return the answer to each question: R right, w wrong, - no answer."""
    kinds = {"R": RIGHT, "w": WRONG, "-": NOTHING}
    return [kinds[letter].format(i, i) for i, letter in enumerate(pattern)]


def solved(folder, pattern, variant="fp32", file=None, **asked):
    """The folder of a finished run whose answers are as in `pattern`."""
    file = file or questions(folder, len(pattern))
    made = make(folder, texts(pattern), variant)
    task = f"gsm8k:{file}"
    chosen = {"shots": 0} | asked
    edit(made / "settings.json", "config", task=task, **chosen)
    source = load_task(Asked(task, chosen["shots"], chat=bool(chosen.get("chat")))).source
    edit(made / "settings.json", "dataset", **source)
    return made


def judged(folder, reference, candidate, flags=()):
    """(exit code, gate.json, what was said) of two patterns."""
    file = questions(folder, len(reference))
    runs = solved(folder, reference, file=file), solved(folder, candidate, "int8", file=file)
    return invoke(*runs, flags=["--target", "99", *flags])


def test_each_question_counts_beside_its_own(tmp_path):
    code, found, _ = judged(tmp_path, "R" * 30 + "w" * 20 + "-" * 10, "R" * 25 + "w" * 34 + "R")
    (task,) = found["tasks"]
    (row,) = task["rows"]
    assert (code, row["status"], task["metric"], task["against"]) == (
        1, "UNDECIDED", "number", "task",
    )  # fmt: skip
    counts = {name: row["paired"][name] for name in Paired._fields}
    assert counts == {"both": 25, "only_reference": 5, "only_candidate": 1, "neither": 29}
    assert row["paired"]["p_value"] == pytest.approx(binomtest(1, 6).pvalue)
    assert task["reference"]["solved"]["right"] == 30
    assert (task["reference"]["solved"]["no_answer"], row["solved"]["no_answer"]) == (10, 0)
    (ratio,) = row["readings"]["task"]["ratios"]
    ends = interval(Paired(25, 5, 1, 29))
    assert (ratio["value"], ratio["low"], ratio["high"]) == pytest.approx((26 / 30, *ends))
    assert [one["label"] for one in row["labels"]] == ["a", "b", "c"]
    assert found["rows"][0]["reason"].startswith("gsm8k: 86.67 %")
    assert "questions would decide" in found["rows"][0]["reason"]


def test_a_loss_that_chance_does_not_explain_fails(tmp_path):
    code, found, _ = judged(tmp_path, "R" * 50 + "w" * 10, "R" * 25 + "w" * 35)
    assert (code, found["rows"][0]["status"]) == (1, "FAIL")
    assert "misses 99 %" in found["rows"][0]["reason"]


def test_equal_marks_of_few_questions_do_not_pass_but_equal_texts_do(tmp_path):
    reference = "R" * 30 + "w" * 30
    _, found, _ = judged(tmp_path, reference, reference)
    assert found["rows"][0]["status"] == "PASS"
    assert "word for word" in found["tasks"][0]["rows"][0]["reason"]
    (tmp_path / "b").mkdir()
    _, found, _ = judged(tmp_path / "b", reference, reference.replace("w", "-"))
    (row,) = found["rows"]
    assert (row["status"], row["official"]) == ("UNDECIDED", "PASS")
    assert row["needed"] > 60


def test_a_reference_that_solves_nothing_leaves_nothing_to_keep(tmp_path):
    code, found, _ = judged(tmp_path, "w" * 60, "R" * 60)
    assert (code, found["status"]) == (1, "UNDECIDED")
    assert found["rows"][0]["reason"] == "gsm8k: fp32 solves none of 60: there is nothing to keep"


def test_a_reference_that_solves_too_little_says_so(tmp_path):
    """Some draws of the bootstrap have nothing that the reference solves: more questions help."""
    _, found, _ = judged(tmp_path, "R-----", "------", ["--metric", "token_f1"])
    reason = found["rows"][0]["reason"]
    assert reason.endswith("too few questions to tell; use more"), reason


@pytest.mark.parametrize(
    ("metric", "status"), [("number", "PASS"), ("number_strict", "FAIL"), ("token_f1", "FAIL")]
)
def test_any_scorer_may_decide(tmp_path, metric, status):
    """Read as a person would, the answers are the same; only some mark their number."""
    file = questions(tmp_path, 400)
    own = [f"it is\n#### {i}" for i in range(400)]
    runs = [solved(tmp_path, "R" * 400, variant, file) for variant in ("fp32", "int8")]
    for run, given in zip(runs, (own, [f"the answer is {i}." for i in range(400)]), strict=True):
        log, facts = runlog.read_log(run)
        log.texts = {k: given[index] for k, index in enumerate(log.index.tolist())}
        runlog.write_log(run, log, facts)
    _, found, said = invoke(*runs, flags=["--target", "99", "--metric", metric])
    assert found["rows"][0]["status"] == status, said
    assert found["metric"] == metric


def test_texts_of_a_task_may_be_compared_with_the_references_own(tmp_path):
    _, found, _ = judged(tmp_path, "R" * 60, "R" * 59 + "-", ["--metric", "rouge"])
    (row,) = found["tasks"][0]["rows"]
    assert (found["metric"], found["tasks"][0]["against"]) == ("rouge", "reference")
    assert row["readings"]["reference"]["ratios"][0]["name"] == "rouge1"
    screen(found)


def test_a_dataset_is_judged_by_exact_match(tmp_path):
    file = tmp_path / "capitals.jsonl"
    rows = [{"prompt": f"capital {i}?", "reference": f"City {i}"} for i in range(200)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ours = [f"the city {i}." for i in range(200)]
    theirs = [text if i > 60 else "a village" for i, text in enumerate(ours)]
    runs = make(tmp_path, ours, file=file), make(tmp_path, theirs, "int8", file=file)
    _, found, _ = invoke(*runs, flags=["--target", "99", "--metric", "exact_match"])
    (row,) = found["tasks"][0]["rows"]
    assert (row["status"], row["paired"]["only_reference"]) == ("FAIL", 61)
    assert found["tasks"][0]["reference"]["solved"]["right"] == 200


# ---- refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chat": True}, "chat yes"),
        ({"other": True}, "data sha256"),
    ],
)
def test_other_questions_are_refused_by_name(tmp_path, change, words):
    file = questions(tmp_path)
    other = questions(tmp_path, name="o.jsonl")
    if change.pop("other", False):
        other.write_text(other.read_text().replace("plus 0", "plus nothing"))
    runs = (
        solved(tmp_path, "R" * 60, file=file),
        solved(tmp_path, "R" * 60, "int8", other, **change),
    )
    code, _, said = invoke(*runs)
    assert (code, words in " ".join(said.split())) == (2, True), said


@pytest.mark.parametrize(
    ("flags", "asked", "words"),
    [
        ({"task": "word-problems"}, Criteria(metric="lettr"), "'lettr' is not known"),
        ({"task": "word-problems"}, Criteria(metric="likelihood"), "not marked so"),
        ({"task": "word-problems"}, Criteria(target="llama2-70b-99"), "MLPerf's figures"),
        ({"task": "word-problems"}, Criteria(against="reference"), "what the task expects"),
        ({"task": "word-problems,word-problems"}, Criteria(), "named twice"),
        ({"task": "word-problem"}, Criteria(), "Did you mean 'word-problems'"),
        ({"task": "gsm8k"}, Criteria(), "names no file"),
    ],
)
def test_what_cannot_be_judged_is_said_before_anything_runs(flags, asked, words):
    with pytest.raises(BadInput, match=words):
        gate_job.job("fp32", "bf16", flags, asked)


# ---- runs to be made


@pytest.fixture
def flags(tmp_path, tiny_llama):
    files = [questions(tmp_path, 6, name) for name in ("a.jsonl", "b.jsonl")]
    tasks = ",".join(f"gsm8k:{file}" for file in files)
    return {
        "model": str(tiny_llama), "task": tasks, "shots": 0, "max_new_tokens": 4,
        "in_process": True, "output_dir": tmp_path / "runs",
    }  # fmt: skip


def test_every_task_has_its_reference_control_and_candidates(flags, monkeypatch):
    heard = []
    job = gate_job.job("fp32", "bf16,fp32", flags, Criteria("99"))
    found, place = gate.run(job, lambda text: None, heard.append)
    names = [task["name"] for task in found["tasks"]]
    assert names == ["gsm8k #1", "gsm8k #2"]
    assert [(row["task"], row["label"]) for row in heard] == [
        (name, label) for name in names for label in ("fp32 (control)", "bf16", "fp32")
    ]
    assert [row["label"] for row in found["rows"]] == ["bf16", "fp32"]
    assert json.loads((place / "gate.json").read_text()) == found
    for task in found["tasks"]:
        assert task["control"]["rows_in_batch"] != task["reference"]["rows_in_batch"]
        assert all((place / row["run"] / "scores.parquet").is_file() for row in task["rows"])
    html = (place / "gate.html").read_text()
    assert "gsm8k #2: 6 questions" in html
    lines = (place / "rows.jsonl").read_text().splitlines()
    (place / "rows.jsonl").write_text("".join(line + "\n" for line in lines[:-2]))
    runs = len(list(place.iterdir()))
    again, _ = gate.go_on(load(place, [gate.KIND]), lambda text: None, lambda row: None)
    assert len(list(place.iterdir())) == runs + 2, "only those that had no row are made again"
    assert [task["name"] for task in again["tasks"]] == names
    assert [row["status"] for row in again["rows"]] == [row["status"] for row in found["rows"]]


# ---- how it reads


def test_the_screen_the_page_and_the_exports_say_the_same(tmp_path):
    _, found, _ = judged(tmp_path, "R" * 50 + "w" * 10, "R" * 40 + "-" * 20)
    told = screen(found, 130)
    for words in ("only reference", "80.00", "no answer", "FAIL"):
        assert words in told, words
    html = page.render(found)
    assert "Share kept, by task" in html
    assert "only reference" in html
    table = of_gate(found)
    lines = list(csv.DictReader(io.StringIO(csv_text([table]))))
    assert [(line["task"], line["role"]) for line in lines] == [
        ("gsm8k", "reference"), ("gsm8k", "candidate"),
    ]  # fmt: skip
    assert float(lines[1]["kept"]) == pytest.approx(0.8)
    assert (lines[1]["only_reference"], lines[1]["keeps_99"]) == ("10", "FAIL")
    assert "**gsm8k**" in markdown([table])


def test_the_noise_floor_is_named_where_a_target_is_finer(tmp_path):
    _, found, _ = judged(tmp_path, "R" * 50 + "w" * 10, "R" * 49 + "w" + "R" + "w" * 9)
    (task,) = found["tasks"]
    control = task["rows"][0] | {"label": "fp32 (control)", "rows_in_batch": 6}
    beside = {"criteria": Criteria("99")}
    floor = noise(Judged("gsm8k", SimpleNamespace(**beside), control, []))
    assert (floor["flips"], floor["n"], floor["is_finer"]) == (2, 60, True)
    assert floor["finest"] == pytest.approx(0.98)
    loose = noise(Judged("gsm8k", SimpleNamespace(criteria=Criteria("95")), control, []))
    assert loose["is_finer"] is False
    told = page.noise(found | {"tasks": [task | {"control": control, "noise": floor}]})
    assert "2 of 60 answers flip" in told
    assert "finer than that" in told


def test_the_command_line_takes_it(tmp_path):
    file = questions(tmp_path)
    runs = [solved(tmp_path, "R" * 60, v, file) for v in ("fp32", "int8")]
    words = ["gate", "--reference", runs[0], "--candidates", runs[1], "--target", "99"]
    out = ["--output-dir", tmp_path / "out", "--format", "markdown"]
    done = CliRunner().invoke(app, [*map(str, (*words, *out))])
    assert (done.exit_code, "word for word" in done.stderr) == (0, True), done.stderr
    assert "only reference" in done.stdout
    (place,) = Path(tmp_path / "out").iterdir()
    assert (place / "gate.html").is_file()


def test_a_comparison_shows_the_share_of_its_task_that_a_run_solved(tmp_path):
    file = questions(tmp_path)
    runs = [
        solved(tmp_path, pattern + "w" * 30, variant, file)
        for pattern, variant in (("R" * 30, "fp32"), ("R" * 10 + "w" * 20, "int8"))
    ]
    words = ["compare", *runs, "--output-dir", tmp_path / "out", "--json"]
    done = CliRunner().invoke(app, [*map(str, words)])
    found = json.loads(done.stdout.splitlines()[-1])
    shares = [row["scores"]["task_solved"] for row in found["rows"]]
    assert shares == pytest.approx([0.5, 1 / 6])
    ends = binomtest(10, 60).proportion_ci(method="wilson")
    assert found["rows"][1]["intervals"]["task_solved"] == pytest.approx([ends.low, ends.high])
    shown = markdown([compared(found)])
    assert "task solved, %" in shown
    assert re.search(r"50.00 \(37\.\d+ to 62\.\d+\)", shown), shown


@pytest.mark.parametrize(("other", "ranked"), [("same", {"fp32": 1, "int8": 2}), ("other", None)])
def test_a_comparison_ranks_what_is_solved_of_the_same_questions_alone(tmp_path, other, ranked):
    file = questions(tmp_path)
    theirs = file if other == "same" else questions(tmp_path, 50, "other.jsonl")
    n = len(theirs.read_text().splitlines())
    runs = solved(tmp_path, "R" * 60, "fp32", file), solved(tmp_path, "w" * n, "int8", theirs)
    words = ["compare", *runs, "--output-dir", tmp_path / "out", "--json"]
    done = CliRunner().invoke(app, [*map(str, words)])
    found = json.loads(done.stdout.splitlines()[-1])
    assert all("task_solved" in row["scores"] for row in found["rows"])
    places = {row["figure"]: row["places"] for row in found["best"]["ranks"]}
    assert places.get("task_solved") == ranked
    assert "tokens_per_s" in places


def test_a_candidate_whose_answers_cannot_be_marked_is_undecided(tmp_path):
    file = questions(tmp_path)
    runs = [solved(tmp_path, "R" * 60, variant, file) for variant in ("fp32", "int8")]
    reference, candidate = (read(run) for run in runs)
    beside = Solving(reference, Criteria("99"), "number")
    assert beside.lacks(candidate) == ""
    few = replace(candidate, marks=candidate.marks[:50])
    assert beside.lacks(few) == "50 of its 60 answers can be scored by number"


def choices(folder, letters, variant, file):
    """The folder of a run on questions of four choices, with these letters as its answers."""
    made = make(folder, [f"Answer: {letter}" for letter in letters], variant)
    task = f"mmlu:{file}"
    edit(made / "settings.json", "config", task=task, shots=0)
    edit(made / "settings.json", "dataset", **load_task(Asked(task, 0)).source)
    return made


def test_a_reference_that_guesses_lets_nobody_pass(tmp_path):
    file = tmp_path / "mmlu.jsonl"
    rows = [
        {"question": f"which of {i}?", "choices": ["u", "v", "w", "x"], "answer": i % 4}
        for i in range(100)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--metric", "letter", "--target", "50"]
    guess = "A" * 100
    runs = choices(tmp_path, guess, "fp32", file), choices(tmp_path, guess, "int8", file)
    _, found, said = invoke(*runs, flags=flags)
    assert found["status"] == "UNDECIDED", said
    assert "not above chance" in found["rows"][0]["reason"]
    assert "25.0 % of 100, guessing solves 25 %" in found["notes"][0]
    good = "ABCD" * 25
    runs = choices(tmp_path, good, "fp32", file), choices(tmp_path, good, "int8", file)
    _, found, said = invoke(*runs, flags=flags)
    assert found["status"] == "PASS", said


def test_programs_are_run_of_those_tasks_alone_whose_answers_are_programs(tmp_path):
    program = ROOT / "tests" / "data" / "programs.jsonl"
    task = f"gsm8k:{questions(tmp_path, 4)},humaneval:{program}"
    job = gate_job.job("fp32", "bf16", {"task": task, "run_code": "sandboxed"}, Criteria())
    assert [part.reference.run_code for part in job.parts] == ["off", "sandboxed"]
    assert [part.candidates[0].run_code for part in job.parts] == ["off", "sandboxed"]


def test_a_file_that_is_damaged_is_named_before_the_first_task_runs(tmp_path):
    fine, damaged = questions(tmp_path, 4), tmp_path / "damaged.jsonl"
    damaged.write_text(fine.read_text() + '{"question": "what?", "answer": "nobody knows"}\n')
    one = questions(tmp_path, 1, "one.jsonl")
    program = ROOT / "tests" / "data" / "programs.jsonl"
    said = {
        f"gsm8k:{damaged}": "damaged.jsonl, line 5, column 'answer'",
        f"gsm8k:{one}": "it has one question; at least 2 are needed",
        f"humaneval:{program}": "Pass --run-code sandboxed",
    }
    for task, words in said.items():
        flags = {"task": f"gsm8k:{fine},{task}", "output_dir": tmp_path / "runs"}
        with pytest.raises(BadInput, match=re.escape(words)):
            gate_job.job("fp32", "bf16", flags, Criteria())
    assert not (tmp_path / "runs").exists()
