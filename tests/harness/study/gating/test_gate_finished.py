"""Finished runs of several tasks: which is held against which, and what is said of the others?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from reports.pages import gate as page
from tests.harness.study.gating.test_gate import answers, dataset, edit, make, screen
from tests.harness.study.gating.test_gate_tasks import choices, questions, solved

N = 30


@pytest.fixture
def files(tmp_path):
    """A file of each of two tasks."""
    of_choices = tmp_path / "mmlu.jsonl"
    rows = [
        {"question": f"which of {i}?", "choices": ["u", "v", "w", "x"], "answer": i % 4}
        for i in range(N)
    ]
    of_choices.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"gsm8k": questions(tmp_path, N), "mmlu": of_choices}


def number(folder, files, variant, pattern="R" * N, **asked):
    return solved(folder, pattern, variant, files["gsm8k"], **asked)


def letter(folder, files, variant, letters="ABCD" * N):
    return choices(folder, letters[:N], variant, files["mmlu"])


def ask(folder, *words):
    """(exit code, gate.json or None, what was said on one line)."""
    given = ["gate", *words, "--output-dir", folder / "out", "--resamples", "500", "--json"]
    done = CliRunner().invoke(app, [*map(str, given)])
    lines = done.stdout.splitlines()
    said = re.sub(r"\s+", " ", done.stderr)
    return done.exit_code, json.loads(lines[-1]) if lines else None, said


def names(*runs):
    return ",".join(map(str, runs))


def test_each_run_is_held_against_the_reference_on_its_task(tmp_path, files):
    references = letter(tmp_path, files, "fp32"), number(tmp_path, files, "fp32")
    int8 = number(tmp_path, files, "int8"), letter(tmp_path, files, "int8")
    nf4 = letter(tmp_path, files, "nf4", "BCDA" * N), number(tmp_path, files, "nf4")
    mixed = names(int8[0], nf4[0], nf4[1], int8[1])
    flags = ["--reference", names(*references), "--candidates", mixed, "--target", "99"]
    code, found, said = ask(tmp_path, *flags)
    assert (code, [task["name"] for task in found["tasks"]]) == (1, ["mmlu", "gsm8k"]), said
    assert [row["label"] for row in found["rows"]] == ["int8", "nf4"]
    assert [row["status"] for row in found["rows"]] == ["PASS", "FAIL"]
    assert found["rows"][1]["by_task"] == {"mmlu": "FAIL", "gsm8k": "PASS"}
    pairs = [
        (row["run"], task["reference"]["run"]) for task in found["tasks"] for row in task["rows"]
    ]
    assert pairs == [
        (str(run), str(references[at])) for at in (0, 1) for run in (int8[1 - at], nf4[at])
    ]
    told = " ".join(screen(found, 2000).split())
    for run, own in pairs:
        assert f"{run} beside {own}" in told
    assert page.render(found)


def test_all_runs_of_a_folder_are_judged_by_the_variant_that_is_the_reference(tmp_path, files):
    place = tmp_path / "runs"
    place.mkdir()
    for variant in ("int8", "fp32"):
        number(place, files, variant)
        letter(place, files, variant)
    (place / "20260101T000000Z_gate_x").mkdir()
    code, found, said = ask(tmp_path, *sorted(place.iterdir()), "--target", "99")
    assert (code, len(found["tasks"]), len(found["rows"])) == (0, 2, 1), said
    assert any("holds no accuracy run" in note for note in found["notes"])
    code, _, said = ask(tmp_path, *sorted(place.iterdir()), "--reference", "nf4")
    assert code == 2
    assert "no run of nf4 is among those given, which are of: fp32, int8" in said


def test_a_second_run_of_the_reference_is_the_control(tmp_path, files):
    first = number(tmp_path, files, "fp32", "R" * 20 + "w" * 10)
    again = number(tmp_path, files, "fp32", "R" * 19 + "w" * 9 + "RR")
    third = number(tmp_path, files, "int8", "R" * 20 + "w" * 10)
    code, found, said = ask(tmp_path, first, again, third, "--target", "99")
    assert (code, len(found["rows"])) == (0, 1), said
    (task,) = found["tasks"]
    assert (task["noise"]["flips"], task["control"]["run"]) == (3, str(again))
    assert ask(tmp_path, first, again, first, third)[0] == 2


def test_a_run_that_was_not_given_leaves_its_candidate_undecided(tmp_path, files):
    runs = [letter(tmp_path, files, v) for v in ("fp32", "int8")]
    runs += [number(tmp_path, files, v) for v in ("fp32", "int8", "nf4")]
    code, found, said = ask(tmp_path, *runs, "--target", "99")
    assert (code, [row["status"] for row in found["rows"]]) == (1, ["PASS", "UNDECIDED"]), said
    assert "mmlu: no run of it on mmlu is among those given" in found["rows"][1]["reason"]
    assert page.render(found)


def test_datasets_are_paired_as_tasks_are(tmp_path):
    other = tmp_path / "b"
    other.mkdir()
    files = dataset(tmp_path, N), dataset(other, N).rename(other / "others.jsonl")
    runs = [make(tmp_path, answers(n=N), v, file) for v in ("fp32", "int8") for file in files]
    code, found, said = ask(tmp_path, *runs, "--target", "99")
    assert (code, len(found["tasks"])) == (0, 2), said
    assert {task["against"] for task in found["tasks"]} == {"dataset"}
    assert page.render(found)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("only the candidate", "answers gsm8k, the reference's runs answer mmlu, mmlu"),
        ("only the reference", "no candidate has a run on mmlu"),
        ("other questions", "data sha256"),
        ("two references", "they are runs of m in fp32 and m in bf16"),
        ("all of one", "all runs are the reference's"),
        ("both ways", "--candidates is given together with"),
        ("settings", "finished runs are given together with --task"),
        ("nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_paired_is_refused_by_name(tmp_path, files, case, words):
    own, other = letter(tmp_path, files, "fp32"), letter(tmp_path, files, "int8")
    texts = [number(tmp_path, files, v) for v in ("fp32", "int8")]
    if case == "only the candidate":
        changed = letter(tmp_path, files, "fp32")
        edit(changed / "settings.json", "config", max_new_tokens=9)
        edit(changed / "settings.json", "run", max_new_tokens=9)
        given = ["--reference", names(own, changed), "--candidates", names(other, texts[1])]
    elif case == "only the reference":
        given = [own, *texts]
    elif case == "other questions":
        file = questions(tmp_path, N, "o.jsonl")
        file.write_text(file.read_text().replace("plus 0", "plus nothing"))
        given = [own, other, texts[0], solved(tmp_path, "R" * N, "int8", file)]
    elif case == "two references":
        third = number(tmp_path, files, "bf16")
        given = ["--reference", names(own, third), "--candidates", names(other, texts[1])]
    elif case == "all of one":
        given = [own, texts[0]]
    elif case == "both ways":
        given = [own, other, "--candidates", "int8"]
    elif case == "nowhere":
        given = [own, other, tmp_path / "nowhere"]
    else:
        given = [own, other, "--task", "mmlu"]
    code, _, said = ask(tmp_path, *given)
    assert (code, words in said) == (2, True), said
    assert not Path(tmp_path / "out").exists()
