"""A family of models as users meet it: finished folders in; table, sentences, family.json and page
out. The answers and the likelihoods are made by hand, so that what follows is known.
"""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from typer.testing import CliRunner

from harness import load
from harness.api import family as by_api
from harness.cli import app
from tests.harness.study.family.family_helpers import (
    MIB,
    answered,
    family,
    flat,
    member,
    perplexity,
    report,
    shown,
    subject,
)
from tests.harness.study.gating.test_gate import ANSWER, COSTLY, N, answers, dataset, edit, invoke
from tests.harness.study.gating.test_gate_tasks import questions

SMALL = {"parameters": 10_000_000, "tokenizer_sha256": "t"}
LARGE = {"parameters": 40_000_000, "tokenizer_sha256": "t"}


def by_label(found):
    return {row["label"]: row for row in found["rows"]}


def ranks(found, key):
    return [one["places"] for one in found["ranks"] if one["figure"] == key]


@pytest.fixture(scope="module")
def iterations(tmp_path_factory):
    """v3.5 has the lower likelihood of all, v3.0 solves more."""
    place = tmp_path_factory.mktemp("iterations")
    file = questions(place, 60)
    return [
        member(place / "b", "./v3.5", "fp32", "R" * 24 + "w" * 36, file, **SMALL),
        member(place / "a", "./v3.0", "fp32", "R" * 33 + "w" * 27, file, **SMALL),
        perplexity(
            place / "texts",
            subject("v3.5", "fp32", 1.0, parameters=10_000_000),
            subject("v3.0", "fp32", 1.2, parameters=10_000_000),
        ),
    ]


def test_the_lowest_perplexity_need_not_solve_the_most(iterations):
    code, found, _ = family(*iterations)
    assert code == 0
    (one,) = found["disagreements"]
    assert one == {
        "figure": "bits_per_byte:stories", "other": "task_solved:gsm8k", "better": "v3.5 fp32",
        "but": "v3.0 fp32", "is_first": True,
    }  # fmt: skip
    words = "v3.5 fp32 has the lowest bits per byte of stories (1), but v3.0 fp32 solves decidedly"
    assert f"{words} more of gsm8k (55.0 % against 40.0 %)" in flat(shown(*iterations))
    assert [row["label"] for row in found["rows"]] == ["v3.0 fp32", "v3.5 fp32"]
    solved = by_label(found)["v3.0 fp32"]["figures"]["task_solved:gsm8k"]
    assert (solved["value"], solved["n"]) == (33 / 60, 60)


def test_what_chance_explains_is_no_disagreement(tmp_path):
    file = questions(tmp_path, 60)
    runs = [
        member(tmp_path / "a", "./v1", "fp32", "R" * 30 + "w" * 30, file, **SMALL),
        member(tmp_path / "b", "./v2", "fp32", "R" * 25 + "w" * 35, file, **SMALL),
    ]
    texts = perplexity(tmp_path / "p", subject("v1", "fp32", 1.2), subject("v2", "fp32", 1.0))
    _, found, _ = family(*runs, texts)
    assert found["disagreements"] == []  # 5 questions of one alone: McNemar's p is 0.0625
    assert ranks(found, "task_solved:gsm8k") == [{"v1 fp32": 1, "v2 fp32": 1}]
    assert ranks(found, "bits_per_byte:stories") == [{"v1 fp32": 2, "v2 fp32": 1}]


def test_a_precision_may_keep_the_perplexity_and_change_the_answers(tmp_path):
    file = questions(tmp_path, 60)
    runs = [
        member(tmp_path / "a", "./m", "fp32", "R" * 30 + "w" * 30, file, **SMALL),
        member(tmp_path / "b", "./m", "nf4", "w" * 6 + "R" * 29 + "w" * 25, file, **SMALL),
    ]
    texts = perplexity(
        tmp_path / "p", subject("m", "fp32", 1.0), subject("m", "nf4", 1.004),
        pairs=[{"first": "m fp32", "second": "m nf4",
                "eval_loss": {"value": -0.01, "low": -0.02, "high": -0.005}}],
    )  # fmt: skip
    _, found, _ = family(*runs, texts)
    (flips,) = found["flips"]
    assert (flips["label"], flips["lost"], flips["won"], flips["n"]) == ("nf4", 6, 5, 60)
    assert flips["perplexity"]["value"] == pytest.approx(1.01005)
    words = "nf4 has a perplexity of stories 1.0 % above that of fp32, but 11 of 60 answers to"
    assert f"{words} gsm8k change (6 lost, 5 won)" in flat(shown(*runs, texts))


def test_two_tasks_of_one_member_are_one_row_with_two_figures(tmp_path):
    """And their speeds are those of two loads, of which a table shows one."""
    first, second = questions(tmp_path, 60), questions(tmp_path, 40, "other.jsonl")
    runs = [
        member(tmp_path / f"{name}{n}", "./m", name, pattern * 20, file, **SMALL)
        for name in ("fp32", "int8")
        for n, (pattern, file) in enumerate((("RRw", first), ("Rw", second)))
    ]
    _, found, _ = family(*runs)
    keys = [one["key"] for one in found["columns"] if one["figure"] == "task_solved"]
    assert len(found["rows"]) == 2
    assert keys == ["task_solved:gsm8k", "task_solved:gsm8k:2"]
    values = [by_label(found)["int8"]["figures"][key]["value"] for key in keys]
    assert values == [40 / 60, 20 / 40]
    assert all(len(places) == 2 for key in keys for places in ranks(found, key))
    (note,) = [note for note in found["notes"] if note.startswith("gsm8k was asked in 2 ways")]
    assert "samples 60" in note
    assert "samples 40" in note


def test_other_examples_do_not_compare(tmp_path):
    file = questions(tmp_path, 60)
    shots = questions(tmp_path, 12, "shots.jsonl")
    text = shots.read_text().replace("what is", "how much is")
    shots.write_text(text)
    plain = member(tmp_path / "a", "./m", "fp32", "R" * 40 + "w" * 20, file, **SMALL)
    other = member(tmp_path / "b", "./m", "int8", "R" * 10 + "w" * 50, file, **SMALL)
    edit(other / "settings.json", "config", shots=2, shots_file=str(shots))
    settings = json.loads((other / "settings.json").read_text())
    task = settings["dataset"]["task"] | {"shots": 2}
    edit(other / "settings.json", "dataset", task=task)
    report(other)
    _, found, _ = family(plain, other)
    keys = [one["key"] for one in found["columns"] if one["figure"] == "task_solved"]
    assert len(keys) == 2
    assert ranks(found, keys[0]) == ranks(found, keys[1]) == []
    (note,) = [note for note in found["notes"] if "ways" in note]
    assert "shots 0 (fp32)" in note
    assert "shots 2 (int8)" in note


def test_a_second_run_of_the_same_is_named_and_left_out(tmp_path):
    file = questions(tmp_path, 60)
    one = member(tmp_path / "a", "./m", "fp32", "R" * 40 + "w" * 20, file, **SMALL)
    again = member(tmp_path / "b", "./m", "fp32", "R" * 10 + "w" * 50, file, **SMALL)
    other = member(tmp_path / "c", "./m", "int8", "R" * 30 + "w" * 30, file, **SMALL)
    _, found, _ = family(one, again, other)
    assert by_label(found)["fp32"]["figures"]["task_solved:gsm8k"]["value"] == 40 / 60
    (note,) = [note for note in found["notes"] if note.startswith("gsm8k solved of fp32")]
    assert str(one) in note
    assert f"left out: {again}" in note


def test_perplexities_of_other_tokenizers_do_not_rank_but_bits_per_byte_do(tmp_path):
    other = subject("b", "fp32", 1.2) | {"tokenizer": "fedcba9876543210"}
    texts = perplexity(tmp_path / "p", subject("a", "fp32", 1.0), other)
    code, found, _ = family(texts)
    assert code == 0
    assert ranks(found, "text_perplexity:stories") == []
    assert ranks(found, "bits_per_byte:stories") == [{"a fp32": 1, "b fp32": 2}]
    assert any("different tokenizers" in note for note in found["notes"])
    assert any(note.startswith("no answers are known") for note in found["notes"])


# ---- sizes


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """A size up buys a quarter of the questions; four bits cost a few of them."""
    place = tmp_path_factory.mktemp("sizes")
    file = questions(place, 80)
    rights = {("./small", "fp32"): 20, ("./small", "nf4"): 18, ("./large", "fp32"): 48,
              ("./large", "nf4"): 44}  # fmt: skip
    runs = [
        member(place / f"{number}", model, variant, "R" * right + "w" * (80 - right), file,
               **(SMALL if "small" in model else LARGE))
        for number, ((model, variant), right) in enumerate(rights.items())
    ]  # fmt: skip
    weights = {"fp32": 4 * MIB, "nf4": MIB}
    texts = perplexity(
        place / "p",
        *(subject(model, variant, bits, weights=weights[variant] * (2 if model == "large" else 1),
                  parameters=(40 if model == "large" else 10) * 1_000_000)
          for model, variant, bits in (("large", "nf4", 1.03), ("small", "fp32", 1.3),
                                       ("small", "nf4", 1.4), ("large", "fp32", 1.0))),
    )  # fmt: skip
    folders = [*reversed(runs), texts]
    return family(*folders)[1], shown(*folders), shown(*folders, width=50)


def test_members_stand_by_size_then_by_precision(sizes):
    found, _, _ = sizes
    assert [row["label"] for row in found["rows"]] == [
        "small fp32", "small nf4", "large fp32", "large nf4",
    ]  # fmt: skip
    assert [row["reference"] for row in found["rows"]] == ["", "small fp32", "", "large fp32"]


def test_a_size_up_is_set_against_a_precision_down(sizes):
    found, _, _ = sizes
    steps = {(one["kind"], one["of"], one["to"]): one for one in found["steps"]
             if one["figure"] == "task_solved:gsm8k"}  # fmt: skip
    up = steps["size", "small fp32", "large fp32"]
    assert (up["call"], up["change"]["value"]) == ("better", pytest.approx(28 / 80))
    down = steps["precision", "large fp32", "large nf4"]
    assert (down["call"], down["change"]["value"]) == ("tie", pytest.approx(-4 / 80))
    assert steps["trade", "small fp32", "large nf4"]["call"] == "better"
    said = flat(sizes[1])
    assert "a size up (small fp32 to large fp32) buys 35.0 points (" in said
    assert "a precision down (large fp32 to large nf4) moves it by -5.0 points" in said
    by = "large nf4 is decidedly better than small fp32 by bits per byte of stories; gsm8k solved"
    assert f"{by}, with less memory for its weights (2 MiB against 4 MiB)" in said


def test_figures_that_put_all_in_one_order_say_so_with_their_p_value(sizes):
    found, _, _ = sizes
    both = ("bits_per_byte:stories", "task_solved:gsm8k")
    (one,) = [one for one in found["agreements"] if (one["figure"], one["other"]) == both]
    assert one["order"] == {
        "tau": pytest.approx(1.0), "n": 4, "p_value": pytest.approx(2 / 24),
        "least_p": pytest.approx(2 / 24),
    }  # fmt: skip
    said = "bits per byte of stories does not show how the 4 members do at other figures"
    assert said in flat(sizes[1])


def test_the_page_draws_a_line_for_each_precision(sizes):
    found, _, _ = sizes
    page = (load(found["folder"]).folder / "family.html").read_text()
    assert "Quality against size" in page
    assert "Answers against bits per byte of stories" in page
    assert page.count('role="img"') == 4  # two pictures at two widths
    assert "parameters, M" in page
    assert "<script" not in page


# ---- ROUGE, conditions, forms


def test_rouge_is_kept_of_the_members_own_reference(tmp_path):
    file = dataset(tmp_path)
    runs = [
        answered(tmp_path / "a", "./m", "fp32", answers(), file),
        answered(tmp_path / "b", "./m", "int8", answers(COSTLY), file),
        answered(tmp_path / "c", "./n", "fp32", answers(COSTLY), file),
    ]
    _, found, _ = family(*runs)
    of = by_label(found)
    key = "rouge_ratio:questions.jsonl"
    assert of["m fp32"]["figures"][key]["value"] == of["n fp32"]["figures"][key]["value"] == 1.0
    assert of["m int8"]["figures"][key]["value"] < 1.0
    assert ranks(found, key) == [{"m fp32": 1, "m int8": 2}]  # not beside another's reference
    assert len(ranks(found, "rougeL:questions.jsonl")[0]) == 3
    assert of["m int8"]["figures"][key]["n"] == N
    assert ANSWER != COSTLY


def test_a_gate_tells_its_runs_but_not_its_control(tmp_path):
    file = questions(tmp_path, 60)
    runs = [member(tmp_path / v, "./m", v, "R" * 30 + "w" * 30, file, **SMALL)
            for v in ("fp32", "int8")]  # fmt: skip
    study = tmp_path / "gate"
    study.mkdir()
    names = ["gsm8k: reference", "gsm8k: candidate 1: int8", "gsm8k: control"]
    again = member(tmp_path / "again", "./m", "fp32", "w" * 60, file, **SMALL)
    for run, name in zip((*runs, again), ("one", "two", "three"), strict=True):
        run.rename(study / name)
    rows = [{"cell": cell, "run": run} for cell, run in
            zip(names, ("one", "two", "three"), strict=True)]  # fmt: skip
    (study / "study.json").write_text(json.dumps({"kind": "gate"}))
    (study / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, found, said = family(study)
    assert [row["label"] for row in found["rows"]] == ["fp32", "int8"], said
    assert found["twice"] == []


def test_a_family_without_its_questions_stands_by_the_marks_of_its_runs(tmp_path):
    file = questions(tmp_path, 60)
    runs = [
        member(tmp_path / "a", "./m", "fp32", "R" * 30 + "w" * 30, file, **SMALL),
        member(tmp_path / "b", "./m", "int8", "R" * 20 + "w" * 40, file, **SMALL),
    ]
    file.unlink()
    _, found, said = family(*runs)
    values = [row["figures"]["task_solved:gsm8k"]["value"] for row in found["rows"]]
    assert values == [30 / 60, 20 / 60], said
    assert (found["flips"][0]["lost"], found["flips"][0]["won"]) == (10, 0)


def test_every_form_has_a_row_for_each_member(iterations, tmp_path):
    words = ["family", *map(str, iterations), "--output-dir", str(tmp_path), "--format"]
    done = CliRunner().invoke(app, [*words, "csv"])
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["member"] for row in rows] == ["v3.0 fp32", "v3.5 fp32"]
    assert float(rows[0]["task_solved:gsm8k"]) == 33 / 60
    assert rows[0]["disk_bytes"] == ""
    done = CliRunner().invoke(app, [*words, "markdown"])
    assert re.search(r"\| v3.0 fp32 \| 10.0 \| - \| - \|", done.stdout)


def test_a_program_gets_the_same(iterations, tmp_path):
    found = by_api(*iterations, output_dir=tmp_path)
    assert (found.kind, found.exit_code) == ("family", 0)
    again = load(found.folder)
    assert list(again.result) == list(found.result)
    assert "v3.5 fp32" in again.csv()
    assert repr(again).endswith("2 rows>")


def test_a_narrow_screen_shows_every_figure(sizes):
    for line in sizes[2].splitlines():
        assert len(line) <= 50 or line.startswith(("family:", "note:"))


def test_names_that_strangers_gave_are_shown_and_never_run(tmp_path):
    names = ["<img src=x onerror=alert(1)>", "=cmd|x", "a\x1b[31m[/bold]"]
    texts = perplexity(
        tmp_path / "p",
        *(subject(name, "fp32", bits) for name, bits in zip(names, (1.0, 1.1, 1.2), strict=True)),
    )
    _, found, _ = family(texts)
    page = (load(found["folder"]).folder / "family.html").read_text()
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "\x1b" not in shown(texts) + page


# ---- what cannot be


def said_of(*folders):
    code, found, said = family(*folders)
    assert code == 2, said
    assert found is None
    return next(line for line in said.splitlines() if line.startswith("error:"))


def test_no_folder_is_refused():
    done = CliRunner().invoke(app, ["family"])
    assert done.exit_code == 2
    assert "no folder is named" in done.stderr


def test_what_is_no_run_is_named(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("x")
    assert "it holds a.txt" in said_of(tmp_path / "notes")
    assert "no such file or folder" in said_of(tmp_path / "nope")


def test_one_member_alone_is_no_family(tmp_path):
    texts = perplexity(tmp_path / "p", subject("m", "fp32", 1.0))
    assert "these folders tell of fp32 of m alone" in said_of(texts)


def test_a_damaged_file_is_a_sentence(tmp_path):
    texts = perplexity(tmp_path / "p", subject("m", "fp32", 1.0), subject("m", "int8", 1.0))
    (texts / "perplexity.json").write_text('{"schema": "touchstone.perplexity/2", "subj')
    assert "its perplexity.json is damaged" in said_of(texts)


def test_two_models_of_one_name_are_told_apart_by_the_user(tmp_path):
    file = questions(tmp_path, 60)
    runs = [
        member(tmp_path / f"{n}", f"./{n}/model", "fp32", "R" * right + "w" * (60 - right), file,
               files_digest=f"digest-{n}", **SMALL)
        for n, right in (("a", 30), ("b", 40))
    ]  # fmt: skip
    error = said_of(*runs)
    assert "two models are called model: they have other weight files" in error
    assert f"Name them: model-a={runs[0]} model-b={runs[1]}." in error
    _, found, _ = family(f"v1={runs[0]}", f"v2={runs[1]}")
    assert [row["label"] for row in found["rows"]] == ["v1 fp32", "v2 fp32"]


def test_a_run_that_is_not_valid_has_no_figure_and_says_why(tmp_path):
    file = questions(tmp_path, 60)
    runs = [member(tmp_path / v, "./m", v, "R" * 30 + "w" * 30, file, **SMALL)
            for v in ("fp32", "int8", "nf4")]  # fmt: skip
    settings = json.loads((runs[2] / "settings.json").read_text())
    settings["run"]["num_samples"] = 61
    (runs[2] / "settings.json").write_text(json.dumps(settings))
    report(runs[2])
    _, found, _ = family(*runs)
    row = by_label(found)["nf4"]
    assert "task_solved:gsm8k" not in row["figures"]
    assert row["problems"]
    assert any(note.startswith("nf4: ") for note in found["notes"])


def test_a_family_among_the_folders_is_left_out(iterations, tmp_path):
    made = by_api(*iterations, output_dir=tmp_path / "made")
    code, found, _ = family(*iterations, made.folder)
    assert code == 0
    assert any("is a family itself" in note for note in found["notes"])


def test_a_family_cannot_be_resumed_and_is_no_run(iterations, tmp_path):
    made = by_api(*iterations, output_dir=tmp_path)
    for command, words in (
        ("resume", "there is nothing to resume"),
        ("report", "family of models"),
    ):
        done = CliRunner().invoke(app, [command, str(made.folder)])
        assert done.exit_code == 2
        assert words in done.stderr


def test_what_a_tool_found_stands_beside(tmp_path):
    figures = [{"task": "gsm8k", "metric": "exact_match", "value": value, "stderr": 0.02, "n": 200,
                "higher_is_better": True} for value in (0.6, 0.4)]  # fmt: skip
    rows = [{"label": label, "folder": label, "figures": [figure]}
            for label, figure in zip(("fp32", "nf4"), figures, strict=True)]  # fmt: skip
    place = tmp_path / "evaluated"
    place.mkdir()
    (place / "evaluate.json").write_text(json.dumps(
        {"tool": "lm-eval", "version": "0.4.13", "tasks": ["gsm8k"], "options": [], "model": "./m",
         "started_at": "2026-11-28T00:00:00+00:00", "rows": rows}))  # fmt: skip
    _, found, said = family(place)
    (key,) = [one["key"] for one in found["columns"]]
    assert key == "evaluated:gsm8k exact_match by lm-eval", said
    assert ranks(found, key) == [{"fp32": 1, "nf4": 2}]


def test_a_gate_on_the_same_runs_says_the_same_of_flips(tmp_path):
    """The gate is older: its counts are the oracle."""
    file = questions(tmp_path, 60)
    runs = [
        member(tmp_path / "runs", "./m", "fp32", "R" * 30 + "w" * 30, file, **SMALL),
        member(tmp_path / "runs", "./m", "int8", "w" * 9 + "R" * 24 + "w" * 27, file, **SMALL),
    ]
    _, gated, _ = invoke(*runs, flags=["--target", "99"])
    counts = gated["tasks"][0]["rows"][0]["paired"]
    _, found, _ = family(*runs)
    (flips,) = found["flips"]
    ours = {name: flips[name] for name in ("lost", "won", "p_value")}
    assert ours == {"lost": counts["only_reference"], "won": counts["only_candidate"],
                    "p_value": pytest.approx(counts["p_value"])}  # fmt: skip
