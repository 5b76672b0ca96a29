"""`harness evaluate --with hf-evaluate`: metrics over the answers of finished runs, what is kept of
them, and what becomes of everything that can go wrong. (tests/clients has the real package.)
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from harness.cli import app
from harness.evaluators.answers import columns, metrics, paired, words
from harness.evaluators.answers.columns import Columns
from harness.kernel.errors import BadInput
from tests.harness.evaluators.fake_hf import environment, script
from tests.harness.schema.test_schema import check
from tests.harness.study.gating.test_gate import answers, bare, dataset, edit, make

N = 12
EXACT = "return {'exact': sum(p == r for p, r in zip(predictions, references)) / len(predictions)}"
# of all words together, so that long answers count for more
WORDS = """
same = [sum(w in r.split() for w in p.split()) for p, r in zip(predictions, references)]
return sum(same) / max(sum(len(p.split()) for p in predictions), 1)
"""
BODIES = {
    "exact": EXACT,
    "words": WORDS,
    "raises": "raise RuntimeError('not these\\nanswers')",
    "waits": "import time\ntime.sleep(600)",
    "nans": "return {'a': float('nan'), 'b': float('inf')}",
    "mixed": "return {'a': float('nan'), 'n': {'x': 1.5, 'y': [1, 2]}, 'w': 'yes', 'z': None}",
    "lists": "return {'length': [float(len(one)) for one in predictions]}",
    "text": "return 'good'",
    "leaves": "import os\nos._exit(0)",
    "fetches": "import urllib.request\nreturn urllib.request.urlopen('http://example.com/a')",
    "connects": "import socket\nreturn socket.socket().connect(('192.0.2.1', 80))",
    "options": "return {'k': float(options['k']), 'is_text': 1.0 * (options['t'] == 'en')}",
    "repeats": "return {'twice': 1 - len(set(predictions)) / len(predictions)}",
    "alone": "return {'n': len(predictions)} if len(predictions) > 1 else 1 / 0",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return environment(tmp_path_factory.mktemp("hf") / "venv")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A folder laid out as evaluate's repository."""
    place = tmp_path_factory.mktemp("clone")
    for name, body in BODIES.items():
        script(place / "metrics" / name / f"{name}.py", body)
    script(place / "metrics" / "numbers" / "numbers.py", EXACT, dtype="int32")
    script(place / "metrics" / "several" / "several.py", EXACT.replace("p == r", "[p] == r"),
           references="[kind]")  # fmt: skip
    script(place / "metrics" / "tokens" / "tokens.py", EXACT, references="kind")
    return place


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two runs of the same questions; the second has lost the end of every third answer, and one
    answer whole.
    """
    place = tmp_path_factory.mktemp("runs")
    file = dataset(place, N)
    shorter = [text[:20] if i % 3 == 0 else text for i, text in enumerate(answers(n=N))]
    shorter[1] = " "
    return [
        make(place, texts, name, file)
        for texts, name in ((answers(n=N), "fp32"), (shorter, "int8"))
    ]


@pytest.fixture
def evaluate(python, clone, tmp_path):
    """Score runs; return (exit code, what --json says, stderr)."""

    def call(tasks: str, *more: object):
        fixed = ["evaluate", "--with", "hf-evaluate", "--task", tasks, "--tool-path", clone]
        fixed += ["--tool-python", python, "--output-dir", tmp_path / "out", "--json", *more]
        done = CliRunner().invoke(app, list(map(str, fixed)))
        assert "Traceback" not in done.stderr
        return done.exit_code, json.loads(done.stdout or "{}"), done.stderr

    return call


def test_a_mean_is_compared_answer_by_answer(evaluate, runs):
    code, found, _ = evaluate("exact", *runs)
    assert code == 0
    reference, other = found["rows"]
    assert [row["label"] for row in found["rows"]] == ["fp32", "int8"]
    right = [float(i % 3 != 0 and i != 1) for i in range(N)]
    (figure,) = other["figures"]
    assert (figure["task"], figure["metric"], figure["n"]) == ("exact", "exact", N)
    assert figure["value"] == pytest.approx(statistics.fmean(right))
    assert figure["stderr"] == pytest.approx(statistics.stdev(right) / N**0.5)
    assert reference["figures"][0]["stderr"] == 0
    place = Path(found["folder"])
    kept = pq.read_table(place / other["folder"] / "answers.parquet").to_pylist()
    assert [row["value"] for row in kept] == right
    assert [row["index"] for row in kept] == list(range(N))
    line = found["lines"][1]
    assert line["difference"] == pytest.approx(statistics.fmean(right) - 1)
    assert -1 < line["low"] < line["difference"] < line["high"] < 0
    assert "loading exact" in (place / other["folder"] / "tool.log").read_text()
    check("evaluate", json.loads((place / "evaluate.json").read_text()))


def test_a_figure_of_all_answers_together_is_computed_over_drawn_ones(evaluate, runs):
    code, found, _ = evaluate("words", *runs)
    assert code == 0
    other = found["rows"][1]
    assert other["scored"]["means"] == []
    assert other["scored"]["drawn"] == {"words": 200}
    (figure,) = other["figures"]
    assert 0 < figure["stderr"] < 0.2
    drawn = pq.read_table(Path(found["folder"]) / other["folder"] / "draws.parquet")
    assert drawn.num_rows == 200
    assert statistics.stdev(drawn["value"].to_pylist()) == pytest.approx(figure["stderr"])


def test_what_differs_in_nothing_has_no_interval(evaluate, runs):
    code, found, _ = evaluate("exact", runs[0], runs[0])
    assert (code, found) == (2, {})  # the same run twice
    first, second = (evaluate("exact", runs[0])[1]["folder"] for _ in "ab")
    done = CliRunner().invoke(app, ["evaluate", first, second, "--json"])
    line = json.loads(done.stdout)["lines"][1]
    assert (done.exit_code, line["difference"], line["low"], line["high"]) == (0, 0, None, None)


def test_finished_evaluations_are_compared_answer_by_answer_too(evaluate, runs):
    whole = evaluate("exact,words", *runs)[1]
    folders = [evaluate("exact,words", run)[1]["folder"] for run in runs]
    done = CliRunner().invoke(app, ["evaluate", *folders, "--json"])
    assert done.exit_code == 0, done.stderr
    apart = json.loads(done.stdout)["lines"]
    keys = ("metric", "value", "difference", "low", "high")
    assert [[line[key] for key in keys] for line in apart] == [
        [line[key] for key in keys] for line in whole["lines"]
    ]
    assert all(line["low"] < line["high"] for line in apart if line["difference"])


def test_lists_and_nested_numbers_are_figures_and_the_rest_is_named(evaluate, runs):
    code, found, _ = evaluate("mixed,lists", runs[1])
    assert code == 0
    mixed, lists = found["rows"]
    assert [(one["metric"], one["value"]) for one in mixed["figures"]] == [("n.x", 1.5)]
    assert mixed["scored"]["left_out"] == {
        "a": "nan", "n.y": "a list of 2 numbers", "w": "no number", "z": "nothing",
    }  # fmt: skip
    assert [one["metric"] for one in lists["figures"]] == ["length (mean)"]
    assert lists["figures"][0]["stderr"] > 0
    assert lists["scored"]["empty"] == 1


def test_people_read_what_is_empty_and_what_was_left_out(python, clone, runs, tmp_path):
    words = ["evaluate", "--with", "hf-evaluate", "--task", "mixed,exact", "--tool-path", clone]
    words += ["--tool-python", python, "--output-dir", tmp_path, *runs]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.stderr
    assert "int8 by exact  DONE  1 figure" in done.stdout
    assert "int8: 1 of 12 answers is empty" in done.stdout
    assert done.stdout.count("mixed: left out: a (nan), w (no number)") == 1
    assert "with its 95 % interval, answer by answer" in " ".join(done.stdout.split())


def test_options_are_for_all_or_for_one(evaluate, runs):
    more = ("--", "t=en", "k=2", "options.k=3", "exact.k=4")
    code, found, _ = evaluate("options,exact", runs[0], *more)
    assert code == 0
    assert [one["value"] for one in found["rows"][0]["figures"]] == [3, 1]
    assert found["options"] == list(more[1:])


def test_references_have_the_shape_that_a_metric_declares(evaluate, runs):
    code, found, _ = evaluate("several", runs[0])
    assert (code, found["rows"][0]["figures"][0]["value"]) == (0, 1)
    assert (
        found["rows"][0]["scored"]["takes"] == "{predictions: string, references: list of string}"
    )


FAILING = {
    "raises": ["RuntimeError: not these answers"],
    "nans": ["has found no number: a is nan, b is inf"],
    "text": ["has found no number: text is no number"],
    "leaves": ["left no result file"],
    "fetches": ["it asked for example.com, and the network is closed to it"],
    "connects": ["it asked for 192.0.2.1, and the network is closed to it"],
    "numbers": ["wants int32 for predictions, and answers are texts"],
    "options": ["KeyError: 'k'"],
}


def test_metrics_that_fail_are_rows_and_the_others_go_on(evaluate, runs):
    code, found, said = evaluate(",".join((*FAILING, "exact")), runs[0])
    assert code == 4
    *failed, fine = found["rows"]
    assert (fine["status"], len(fine["figures"])) == ("DONE", 1)
    for row, (name, parts) in zip(failed, FAILING.items(), strict=True):
        assert (row["status"], row["figures"]) == ("FAILED", []), name
        assert not [part for part in parts if part not in row["reason"]], row["reason"]
        assert f"error: fp32 by {name}: " in said


def test_a_metric_that_never_ends_is_ended(evaluate, runs):
    code, found, _ = evaluate("waits,exact", runs[0], "--timeout", "4s")
    assert code == 4
    assert "longer than --timeout 4 s" in found["rows"][0]["reason"]
    assert found["rows"][1]["status"] == "DONE"


def test_why_a_standard_error_is_missing_is_said(evaluate, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    code, found, _ = evaluate("alone", make(folder, answers(n=4)))
    assert code == 0
    assert found["rows"][0]["figures"][0]["stderr"] is None
    assert found["rows"][0]["scored"]["why_no_error"] == "4 answers are too few to draw from"


def test_a_figure_that_the_drawing_changes_has_no_error(evaluate, runs):
    """All answers differ; of drawn ones about a third come twice."""
    code, found, _ = evaluate("repeats", runs[0])
    assert code == 0
    (row,) = found["rows"]
    assert (row["figures"][0]["value"], row["figures"][0]["stderr"]) == (0, None)
    assert "twice is 0.3" in row["scored"]["why_no_error"]


# what is asked: words of the answer
REFUSED = {
    "exact": ["the folders of finished runs are missing", "--mode accuracy"],
    "exact,exact RUN": ["exact is named twice"],
    "nowhere RUN": ["there is no such metric in", "in the cache", "git clone", "never fetched"],
    "./nowhere.py RUN": ["there is no such file"],
    ". RUN": ["it has no"],
    "exact RUN --variant int8": ["--variant: it is given", "starts no model"],
    "exact RUN --base-url http://a:1": ["--base-url: it is given"],
    "exact RUN -- bleu.k=3": ["no metric is called bleu", "--task names exact"],
    "exact RUN -- --limit": ["'--limit'", "NAME=VALUE"],
    "exact RUN nothing": ["nothing"],
    "exact RUN OTHER": ["its data", "were asked the same questions"],
    "exact UNREFERENCED": ["its dataset has no reference answers", "--reference-column"],
    "exact PERFORMANCE": ["it is a performance run"],
    "exact SILENT": ["gives no texts"],
    "PLAIN RUN": ["it defines no metric"],
    "exact RUN --tool-path PLACE": ["has no folder metrics", "git clone"],
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_made(
    line, evaluate, runs, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    (place / "plain.py").write_text("x = 1\n")
    named = {"PLAIN": str(place / "plain.py"), "PLACE": str(place), "RUN": str(runs[0])}
    if "OTHER" in line:
        named["OTHER"] = str(make(place, answers(n=N + 1)))
    if "UNREFERENCED" in line:
        file = dataset(place, N, with_answers=False)
        named["UNREFERENCED"] = str(make(place, answers(n=N), file=file))
    if "PERFORMANCE" in line:
        made = make(place, answers(n=N))
        edit(made / "settings.json", "run", mode="performance")
        named["PERFORMANCE"] = str(made)
    if "SILENT" in line:
        named["SILENT"] = str(bare(N, 8, ()))
    words_of = [named.get(word, word) for word in line.split()]
    code, _, said = evaluate(*words_of)
    assert code in (2, 3), said
    assert not [part for part in REFUSED[line] if part not in said], said
    assert not (tmp_path / "out").exists()


def test_a_metric_is_found_in_the_cache_of_evaluate(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_MODULES_CACHE", raising=False)
    modules = tmp_path / "modules" / "evaluate_modules" / "metrics"
    for folder in ("evaluate-metric--bleu", "somebody--bleu"):
        script(modules / folder / ("a" * 64) / "bleu.py", EXACT)
    found = metrics.find("bleu", "")
    assert (found.name, found.load, found.is_cached) == ("bleu", "bleu", True)
    assert metrics.find("somebody/bleu", "").script.parent.parent.name == "somebody--bleu"
    with pytest.raises(BadInput, match="there is no such metric"):
        metrics.find("nobody/bleu", "")


def test_words_are_runs_or_options(tmp_path):
    folders, options = words.apart(["runs/a", "lang=en", "m.k=[1, 2]", "./x=1"])
    assert (folders, options) == ([Path("runs/a"), Path("./x=1")], ("lang=en", "m.k=[1, 2]"))
    assert words.options_of("m", options, ["m"]) == {"lang": "en", "k": [1, 2]}
    assert words.options_of("n", options, ["m", "n"]) == {"lang": "en"}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=5, max_size=60))
def test_the_interval_holds_the_change_and_turns_with_it(pairs):
    ours, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    n, place = len(pairs), np.arange(len(pairs))
    first, other = (Columns(place, {"m": side}, {}) for side in (ours, theirs))
    change = float(np.mean(theirs - ours))
    there = paired.difference(first, other, "m", change, n)
    back = paired.difference(other, first, "m", -change, n)
    if np.ptp(theirs - ours) == 0:
        assert there.low is None
        return
    assert there.low <= change <= there.high
    assert (-back.high, -back.low) == pytest.approx((there.low, there.high), abs=0.05)


def test_paired_draws_say_more_than_two_errors():
    """Two runs that move together: their difference is known better than either of them."""
    draw = np.random.default_rng(1)
    shared = draw.normal(0, 1, 200)
    first, other = (
        Columns(np.empty(0, np.int64), {}, {"m": shared + draw.normal(0, 0.1, 200)}) for _ in "ab"
    )
    found = paired.difference(first, other, "m", 0.5, 30)
    assert found.low == pytest.approx(0.5 - 2.045 * 0.1 * 2**0.5, abs=0.05)
    assert paired.difference(first, other, "m", 0.5, 4).low is None


def test_columns_that_were_damaged_are_told(tmp_path):
    folder = tmp_path / "int8" / "exact"
    folder.mkdir(parents=True)
    columns.write(folder, [3, 5], {"m": [0.5, 1.0]}, {})
    (found,) = columns.kept(tmp_path).values()
    assert (found.questions.tolist(), found.alone["m"].tolist()) == ([3, 5], [0.5, 1.0])
    (folder / columns.ANSWERS).write_bytes(b"PAR1 no")
    with pytest.raises(BadInput, match="expected it as it was written"):
        columns.kept(tmp_path)
