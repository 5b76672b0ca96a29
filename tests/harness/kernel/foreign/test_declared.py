"""Is a value of another type than its schema's found, with its place, and nothing else refused?"""

from __future__ import annotations

import copy
import json
import shutil
from functools import reduce

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine import runlog
from harness.kernel.errors import BadInput
from harness.kernel.foreign import declared, raw
from harness.schema import SCHEMAS

RUN = ["run", "--scenario", "server", "--sut", "simulated", "--clock", "virtual"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("declared")
    assert CliRunner().invoke(app, [*RUN, "--output-dir", str(place)]).exit_code == 0
    (folder,) = place.iterdir()
    return folder


@pytest.mark.parametrize("name", ["settings", "environment", "result", "scores"])
def test_what_a_run_writes_is_as_declared(run, name):
    assert declared.mistake(json.loads((run / f"{name}.json").read_text()), name) is None


@pytest.mark.parametrize(
    ("of", "value", "place", "fine"),
    [
        ("settings", [], "", "an object"),
        ("settings", {"dataset": {"name": 7}}, "dataset.name", "a text"),
        ("settings", {"run": {"seeds": {"qsl": True}}}, "run.seeds.qsl", "a whole number"),
        ("settings", {"run": {"num_samples": 2**64}}, "run.num_samples", "a whole number"),
        ("settings", {"run": {"mode": "both"}}, "run.mode", "one of performance, accuracy"),
        ("environment", {"git": "x"}, "git", "an object or null"),
        ("environment", {"untested": [{"package": None}]}, "untested[0].package", "a text"),
        ("environment", {"variables": {"OMP_X": {}}}, "variables.OMP_X", "a text"),
        ("environment", {"python": "\ud800"}, "python", "a text"),
        ("result", {"verdicts": [{"measured": "1"}]}, "verdicts[0].measured", "a number or null"),
    ],
)
def test_a_value_of_another_type_is_found_with_its_place(of, value, place, fine):
    found = declared.mistake(value, of)
    assert (found.place, found.fine) == (place, fine)
    with pytest.raises(BadInput, match=r"^reading it: .* is .*; expected .*Restore the file"):
        declared.hold(value, of, "reading it")


def test_fields_that_are_absent_or_unknown_are_no_matter():
    """Older versions lack some, newer ones have more."""
    for name in set(SCHEMAS) - {"verdicts"}:  # a list
        assert declared.mistake({"of tomorrow": [1]}, name) is None
    assert declared.mistake({"git": None, "python": "3.11"}, "environment") is None


def test_no_keyword_of_our_schemas_is_overlooked():
    """One that `declared` does not know would be a check that nobody makes."""
    known = {
        "type", "enum", "const", "anyOf", "items", "properties", "additionalProperties", "$ref",
        "$defs",
    }  # fmt: skip
    silent = {"description", "unit", "required", "default", "title", "$schema", "format"}
    bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "patternProperties"}

    def words(part):
        if isinstance(part, list):
            return set().union(*map(words, part))
        if not isinstance(part, dict):
            return set()
        found = set(part) - {"properties", "$defs", "patternProperties"}
        for name in ("properties", "$defs", "patternProperties"):
            found |= {name} if name in part else set()
            found |= set().union(*map(words, part.get(name, {}).values()))
        inner = [part[name] for name in ("items", "additionalProperties", "anyOf") if name in part]
        return found | words(inner)

    assert set().union(*map(words, SCHEMAS.values())) <= known | silent | bounds


def test_what_is_nested_beyond_reason_is_refused_before_anybody_walks_it():
    deep = reduce(lambda value, _: {"x": [value]}, range(5_000), 0)
    with pytest.raises(BadInput, match="more than 100 deep"):
        declared.hold(deep, "settings", "reading it")


# ---- through the doors


def changed(run, place, name, change):
    """A copy of the run in which a JSON file was changed."""
    folder = shutil.copytree(run, place / "it")
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("settings.json", lambda d: d["run"].update(min_queries="x"), "run.min_queries is 'x'"),
        ("settings.json", lambda d: d["dataset"].pop("name"), "dataset.name is missing"),
        ("settings.json", lambda d: d.update(dataset=[]), "dataset is []"),
        ("environment.json", lambda d: d.update(untested=["a"]), "untested[0] is 'a'"),
        ("environment.json", lambda d: d.update(git=True), "git is True"),
    ],
)
@pytest.mark.parametrize("command", ["report", "audit"])
def test_a_folder_with_a_wrong_value_is_refused_with_its_name(
    run, tmp_path, command, name, change, words
):
    folder = changed(run, tmp_path, name, change)
    done = CliRunner().invoke(app, [command, str(folder)])
    assert done.exit_code == 2
    assert words in done.stderr
    assert name in done.stderr


def spoiled(run, place, spoil):
    """A copy of the run's raw records in which `spoil` changed (table, meta)."""
    table = pq.read_table(run / "samples.parquet")
    meta = json.loads(table.schema.metadata[b"touchstone.run"])
    table, meta = spoil(table, copy.deepcopy(meta))
    table = table.replace_schema_metadata({b"touchstone.run": json.dumps(meta)})
    pq.write_table(table, place / "samples.parquet")
    return place


def in_column(name, values):
    def spoil(table, meta):
        at = table.column_names.index(name)
        return table.set_column(at, name, pa.array(values(len(table)))), meta

    return spoil


def in_meta(change):
    def spoil(table, meta):
        change(meta)
        return table, meta

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        in_column("due_ns", lambda n: ["x"] * n),
        in_column("done_ns", lambda n: [None] * n),
        in_column("completion_rank", lambda n: [1.5] * n),
        in_column("token_ids", lambda n: [["x"]] * n),
        in_column("token_ids", lambda n: [[1, None]] * n),
        in_column("token_ns", lambda n: [7] * n),
        in_column("error", lambda n: [7] * n),
        in_meta(lambda meta: meta.update(end="nothing")),
        in_meta(lambda meta: meta.update(end_reason=7)),
        in_meta(lambda meta: meta.update(timed_out="x")),
        in_meta(lambda meta: meta.update(timed_out={"silent": "x"})),
        in_meta(lambda meta: meta.update(anomalies=[[0, "kind"]])),
        in_meta(lambda meta: meta.update(anomalies=[[0, 1, 2]])),
        in_meta(lambda meta: meta["facts"].update(notes="abc", missing=["a"])),
        in_meta(lambda meta: meta["facts"].update(sut="x")),
        in_meta(lambda meta: meta["facts"].update(memory={"rss_peak_bytes": "x"})),
        in_meta(lambda meta: meta["facts"].update(evaluation={"tokens": "x"})),
        in_meta(lambda meta: meta["facts"].update(run_id=None)),
        in_meta(lambda meta: meta["facts"].update(of_tomorrow=1)),
    ],
)
def test_raw_records_that_no_recorder_writes_are_refused(run, tmp_path, spoil):
    with pytest.raises(BadInput):
        runlog.read_log(spoiled(run, tmp_path, spoil))


@pytest.mark.parametrize(
    ("name", "value"), [("query_id", 2**30), ("index", -1), ("finish", 99), ("finish", -1)]
)
def test_numbers_that_would_cost_gigabytes_or_an_index_are_refused(run, tmp_path, name, value):
    folder = changed(run, tmp_path, "settings.json", lambda data: None)
    spoiled(run, folder, in_column(name, lambda n: [value] * n))
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 2
    assert f"samples.parquet: {name} goes from {value} to {value}" in done.stderr


def test_raw_records_as_they_were_are_read(run, tmp_path):
    log, facts = runlog.read_log(spoiled(run, tmp_path, lambda table, meta: (table, meta)))
    assert len(log) >= 8
    assert facts.run_id == run.name
    raw.check_columns(pq.read_table(run / "samples.parquet").slice(0, 0), ("index",))
