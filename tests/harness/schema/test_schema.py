"""Is every field of every file that we write described, with its type and unit, and only those?

Real outputs of each scenario, mode and status are held against the JSON Schema files of the
package. A field that is not described fails, whether the schema would let it pass or not.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from accuracy.likelihood import scaling
from harness.cli import app
from harness.engine import environment, gpus, hardware, tested
from harness.likelihood import compared as perplexity_compared
from harness.likelihood import summary as perplexity_summary
from harness.options.settings import load_config
from harness.result import result
from harness.result.read import read_run
from harness.running.session import Run
from harness.schema import FOLDER, PAGE, SCHEMAS, files
from harness.schema.tables import FILES, STUDY_TABLES, TABLES
from harness.study.comparison import compare
from harness.study.comparison.evidence import gather
from harness.study.comparison.rows import row_of
from tests.harness.engine.test_hardware import disk, port
from tests.harness.likelihood.test_study import invoke as perplexity
from tests.harness.study.comparison.test_compare import compared, oom, row
from tests.harness.study.gating.test_gate import answers, invoke, make
from tests.nvml_helpers import install
from tests.scaling_helpers import SIZES, measured
from tests.variant_helpers import resized

MARKS = "scores.parquet"
LABELS = ("kind", "subject", "level", "group")  # of embedded tasks: columns beside the declared
PARTS = ("result", "settings", "environment", "verdicts", "memory", "scores")
VIRTUAL = {"sut": "simulated", "clock": "virtual", "num_samples": 80}
CASES = {
    **{
        f"{scenario} {mode}": {"scenario": scenario, "mode": mode}
        for scenario in ("single-stream", "multi-stream", "server", "offline")
        for mode in ("performance", "accuracy")
    },
    "submission": {"scenario": "server", "mode": "submission"},
    "find-peak": {"scenario": "server", "mode": "find-peak", "profile": "mlperf",
                  "target_qps": 60, "min_duration": 5, "min_queries": 500},
    "whole latency": {"scenario": "server", "target_latency": "2s"},
    "INVALID": {"scenario": "server", "sut_options": {"fault": "two_eos"}},
    "lost sample": {"scenario": "server", "sut_options": {"fault": "lost_sample"}},
    "ERROR": {"scenario": "server", "sut_options": {"fault": "crash"}},
    "INTERRUPTED": {"scenario": "server"},
    "contradictions": {"scenario": "server", "percentile": 99.9, "num_samples": 20},
    "issue": {"scenario": "single-stream", "issue": "same+equal", "infer_tokens": 10},
    "null": {"scenario": "single-stream", "sut": "null", "clock": "real"},
}  # fmt: skip
NOT_VALID = ("find-peak", "lost sample", "contradictions")  # too short, or a sample too few


def undocumented(schema, value, path="", root=None):
    """Yield the fields of a value that no property of the schema describes."""
    root = root or schema
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    for part in schema.get("anyOf", []):
        if value is not None and part.get("type") != "null":
            schema = part if "$ref" not in part else root["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    if isinstance(value, list):
        for item in value:
            yield from undocumented(schema.get("items", {}), item, f"{path}[]", root)
    if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        for name, item in value.items():
            described = schema.get("properties", {}).get(name)
            named = schema.get("additionalProperties")
            part = (
                described if described is not None else named if isinstance(named, dict) else None
            )
            if part is None:
                yield f"{path}.{name}".lstrip(".")
            else:
                yield from undocumented(part, item, f"{path}.{name}", root)


def check_study(place):
    """Hold study.json and the rows of a study against their schemas."""
    check("study", json.loads((place / "study.json").read_text()))
    rows = (place / "rows.jsonl").read_text().splitlines()
    assert rows
    for line in rows:
        check("rows", json.loads(line))


def check(name, value, is_whole=True):
    """Fail unless the value is as the schema file says, and wholly described there."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, "\n".join(errors[:5])
    if is_whole:
        assert not set(undocumented(schema, value))


def check_columns(path, columns):
    kinds = {column.name: column.kind for column in columns}
    for field in pq.read_schema(path):
        if path.name == MARKS and field.name in LABELS:
            continue
        kind = str(field.type).replace("element: ", "")
        assert kinds.get(field.name) == kind or kind == "null", f"{path.name}: {field}"


def check_folder(folder):
    """Every JSON file and table of a run folder, and of the runs inside it."""
    assert (folder / "result.json").is_file()
    for name in PARTS:
        check(name, json.loads((folder / f"{name}.json").read_text()))
    has_task = "task" in json.loads((folder / "result.json").read_text())
    assert (folder / MARKS).is_file() == has_task
    for name in TABLES.keys() - ({MARKS} if not has_task else set()):
        check_columns(folder / name, TABLES[name])
    for path in folder.iterdir():
        described = path.name in FILES or (path.is_dir() and path.name[:4] in ("step", "accu"))
        assert described, f"{path.name} is not described"
    if (folder / "find_peak.json").is_file():
        check("find_peak", json.loads((folder / "find_peak.json").read_text()))
    for inner in folder.glob("*/result.json"):
        check_folder(inner.parent)


@pytest.mark.parametrize("case", CASES)
def test_every_output_is_as_the_schema_says(case, tmp_path):
    config = load_config({**VIRTUAL, "output_dir": tmp_path, **CASES[case]})
    with Run(config, lambda text: None, progress=False) as run:
        if case == "INTERRUPTED":
            run.stop.request()
        found = run.execute().to_json()
    expected = case if case in ("INVALID", "ERROR", "INTERRUPTED") else "VALID"
    assert found["status"] == ("INVALID" if case in NOT_VALID else expected)
    check_folder(run.folder)


def test_a_run_of_a_model_with_an_evaluation_is_as_the_schema_says(tmp_path, tiny_llama):
    (tmp_path / "qa.jsonl").write_text('{"question": "a b c", "answer": "#### 3"}\n' * 5)
    flags = {"scenario": "offline", "model": str(tiny_llama), "dataset": str(tmp_path / "qa.jsonl")}
    flags |= {"max_new_tokens": 4, "min_queries": 3, "warmup": 1, "evaluate": True}
    flags |= {"num_samples": 3, "in_process": True}  # of 5: a subset
    with Run(load_config(flags | {"output_dir": tmp_path / "runs"}), print, False) as run:
        found = run.execute().to_json()
    assert found["accuracy"].keys() >= {"eval_loss", "gsm8k", "number_match"}
    assert found["settings"]["dataset"]["subset"]["taken"] == 3
    assert found["memory"]["evaluation_peak_bytes"]
    check_folder(run.folder)


@pytest.mark.parametrize("task", ["subjects", "word-problems"])
def test_a_run_of_a_task_is_as_the_schema_says(tmp_path, tiny_llama, task):
    flags = {"model": str(tiny_llama), "task": task, "num_samples": 4, "max_new_tokens": 4}
    flags |= {"warmup": 0, "in_process": True, "output_dir": tmp_path / "runs", "truncate": True}
    if task == "word-problems":
        flags |= {"attempts": 2, "temperature": 1.0}
    with Run(load_config(flags), print, False) as run:
        found = run.execute().to_json()
    assert (found["task"]["name"], found["task"]["n"]) == (task, 4)
    check_folder(run.folder)


@pytest.mark.parametrize("fault", ["", "unfinished"])
def test_a_run_of_a_server_is_as_the_schema_says(tmp_path, golden, fault):
    golden.set(tokens=4, queue_ms=1, prefix_cache=True, faults={"30": fault} if fault else {})
    asked = {"base_url": golden.url, "num_samples": 8, "max_new_tokens": 4, "warmup": 1}
    config = load_config(asked | {"scenario": "single-stream", "output_dir": tmp_path})
    with Run(config, lambda text: None, progress=False) as run:
        found = run.execute()
    assert bool(found.served["failures"]) == bool(fault)
    check_folder(run.folder)


def test_a_run_with_files_of_loadgen_is_as_the_schema_says(tmp_path):
    (tmp_path / "mlperf.conf").write_text("*.Server.target_latency = 100\n*.Server.new_key = 1\n")
    (tmp_path / "user.conf").write_text(
        "*.Server.target_qps = 20\n*.Server.target_qps = 10\n*.Offline.target_qps = 1\n"
        "*.Server.target_latency_percentile = 57\ngptj.Server.min_query_count = 5\n"
        "*.Server.min_duration = 1000\n"
    )
    (tmp_path / "audit.config").write_text("*.*.min_duration = 2000\n*.*.min_query_count = 9\n")
    files = [tmp_path / name for name in ("user.conf", "mlperf.conf", "audit.config")]
    flags = {**VIRTUAL, "scenario": "server", "user_conf": files, "output_dir": tmp_path}
    with Run(load_config(flags), lambda text: None, progress=False) as run:
        found = run.execute().to_json()
    read = found["settings"]["config"]["conf_files"]
    assert [file["kind"] for file in read] == ["mlperf", "user", "audit"]
    reasons = {line["reason"] for file in read for line in file["idle"]}
    assert reasons == {"not_read", "overridden", "other_scenario", "other_model", "later_file"}
    assert found["settings"]["config"]["loadgens_percentile"]
    check_folder(run.folder)


def test_a_run_with_missing_pieces_is_as_the_schema_says(tmp_path, monkeypatch):
    def broken(*_):
        raise ImportError("no such library")

    monkeypatch.setattr("accuracy.metrics.length.tokens_per_sample", broken)
    monkeypatch.setattr("accuracy.outputs.rules.eos", broken)
    config = load_config({**VIRTUAL, "scenario": "offline", "mode": "submission",
                          "output_dir": tmp_path})  # fmt: skip
    with Run(config, lambda text: None, progress=False) as run:
        found = run.execute().to_json()
    names = {(row["kind"], row["name"]) for row in found["missing"]}
    assert names == {("rule", "eos"), ("rule", "accuracy part: eos"),
                     ("score", "accuracy part: length")}  # fmt: skip
    assert {v["rule"] for v in found["verdicts"] if v["error"]} == {"eos", "accuracy part: eos"}
    check_folder(run.folder)


def test_a_run_of_the_official_loadgen_is_as_the_schema_says(tmp_path):
    pytest.importorskip("mlperf_loadgen", reason="the official LoadGen is not installed")
    flags = {"scenario": "offline", "sut": "simulated", "driver": "mlcommons", "min_queries": 8}
    config = load_config(flags | {"num_samples": 8, "output_dir": tmp_path})
    with Run(config, lambda text: None, progress=False) as run:
        found = run.execute().to_json()
    assert found["loadgen"]["result_validity"] in ("VALID", "INVALID")
    known = SCHEMAS["result"]["properties"]["loadgen"]["properties"]
    assert found["loadgen"].keys() > known.keys()  # LoadGen has figures of its own
    for name in PARTS[1:]:
        check(name, json.loads((run.folder / f"{name}.json").read_text()))
    check("result", found | {"loadgen": {name: found["loadgen"][name] for name in known}})


def test_a_comparison_is_as_the_schema_says(tmp_path):
    more = {"interrupted": False, "not_run": [], "folder": "x"}
    check("compare", compared(row("fp32"), row("bf16"), oom("int8")) | more)
    folders = []
    for fault in ("", "two_eos"):
        flags = {**VIRTUAL, "scenario": "server", "output_dir": tmp_path / "runs"}
        options = {"sut_options": {"fault": fault}} if fault else {}
        with Run(load_config(flags | options), lambda text: None, progress=False) as run:
            run.execute()
        folders.append(str(run.folder))
    done = CliRunner().invoke(app, ["compare", *folders, "--output-dir", str(tmp_path), "--json"])
    check("compare", json.loads(done.stdout.splitlines()[-1]))
    (place,) = tmp_path.glob("*_compare*")
    check("compare", json.loads((place / "compare.json").read_text()))


def test_a_sweep_is_as_the_schema_says(tmp_path):
    plan = '[sweep]\nsut_options = [{fault = "crash"}, {}]\ntarget_qps = [5, 10, 20]\n'
    (tmp_path / "plan.toml").write_text(plan + "[study]\nrepeats = 2\n")
    words = f"sweep {_SERVER} --plan {tmp_path / 'plan.toml'} --output-dir {tmp_path} --json"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 1
    check("sweep", json.loads(done.stdout.splitlines()[-1]))
    (place,) = tmp_path.glob("*_sweep*")
    check("sweep", json.loads((place / "sweep.json").read_text()))
    check_study(place)


_SERVER = "--scenario server --sut simulated --clock virtual --num-samples 50"


@pytest.mark.parametrize(
    "words",
    [
        f"compare {_SERVER} --target-qps 5,10",
        f"run {_SERVER} --mode submission --warmup 0",
        f"run {_SERVER} --mode find-peak --target-qps 300",
    ],
)
def test_a_study_is_as_the_schema_says(tmp_path, words):
    done = CliRunner().invoke(app, [*words.split(), "--output-dir", str(tmp_path)])
    assert done.exit_code in (0, 1), done.output
    (place,) = tmp_path.iterdir()
    check_study(place)


def test_a_gate_is_as_the_schema_says(tmp_path):
    texts = answers()
    worse = ["x", *texts[1:]]
    runs = [make(tmp_path, texts), make(tmp_path, texts, "bf16"), make(tmp_path, worse, "nf4")]
    check("gate", invoke(*runs)[1])


def test_what_a_comparison_keeps_is_as_the_schema_says(tmp_path):
    texts = answers()
    folders = [make(tmp_path, texts), make(tmp_path, ["x", *texts[1:]], "bf16")]
    built = [result.build(folder, read_run(folder)).to_json() for folder in folders]
    rows = [row_of(*pair) for pair in zip(built, folders, strict=True)]
    evidence = [gather(folder, "VALID", "") for folder in folders]
    more = {"interrupted": False, "not_run": [], "folder": "x"}
    found = compare.compare(rows, evidence) | more
    assert found["verdict"]["leads"]["best"]["others"]["bf16"]["low"] < 0
    assert found["rows"][1]["keeps_99"] == found["rows"][1]["keeps_99.9"] == "UNDECIDED"
    assert set(found["rows"][1]["keeps_reasons"]) == {"99", "99.9"}
    check("compare", found)


def test_a_measurement_of_perplexity_is_as_the_schema_says(tmp_path, tiny_llama):
    big = resized(tiny_llama, tmp_path / "big", num_hidden_layers=3)
    run = {"schema": "touchstone.result/1", "model": str(big), "variant": "fp32"}
    run |= {"accuracy": {"rougeL": 30.0}, "throughput": {"tokens_per_s": 9.0}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text(json.dumps(run))
    flags = ("--models", f"{tiny_llama},{big}", "--variants", "fp32,bf16", "--num-samples", "5")
    flags += ("--conditions", "sentences,instructions", "--beside", tmp_path / "run")
    code, found, said = perplexity(tmp_path / "study", *flags)
    assert code == 0, said
    check("perplexity", found)
    first, other = found["subjects"][0], found["subjects"][3]
    assert len(first["conditions"]) == 7
    assert first["figures"]["perplexity_low"]
    assert other["divergence"]["mean_kld"]
    assert found["dataset"]["subset"]["taken"] == 5
    assert found["pairs"]
    assert found["ranking"]
    assert found["scaling"]["families"]
    assert found["gains"]["tokens"]
    assert "rougeL" in found["subjects"][2]["beside"]
    folder = Path(found["folder"])
    check("environment", json.loads((folder / "environment.json").read_text()))
    tables = [folder / "texts.parquet", *folder.glob("*/tokens.parquet")]
    for path in tables:
        check_columns(path, STUDY_TABLES[path.name])
    assert len(tables) == 5


def test_a_measurement_that_broke_is_as_the_schema_says(tmp_path, tiny_llama):
    """Of two tokenizers and a model that cannot be read."""
    for name in ("other", "broken"):
        shutil.copytree(tiny_llama, tmp_path / name)
    text = (tmp_path / "other" / "tokenizer.json").read_text()
    (tmp_path / "other" / "tokenizer.json").write_text(text.replace('"sky"', '"ski"'))
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    models = f"{tiny_llama},{tmp_path / 'other'},{tmp_path / 'broken'}"
    code, found, _ = perplexity(tmp_path / "run", "--models", models, "--reference", tiny_llama)
    assert code == 1
    assert [row["status"] for row in found["subjects"]] == ["DONE", "DONE", "ERROR"]
    assert "refused" in found["subjects"][1]["divergence"]
    assert found["ranking"][0]["by"] == "bits_per_byte"
    check("perplexity", found)


@pytest.mark.parametrize("by", ["loss_nats", "bits_per_byte"])
def test_a_law_of_size_is_as_the_schema_says(by):
    family = SCHEMAS["perplexity"]["properties"]["scaling"]["properties"]["families"]["items"]
    losses = measured(SIZES, [20 * size**-0.1 for size in SIZES])
    law = perplexity_summary._plain(perplexity_compared._law(scaling.fit(losses), by))
    schema = {**family["properties"]["law"], "$defs": SCHEMAS["perplexity"]["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(law)
    assert not set(undocumented(schema, law))


def test_a_server_with_gpus_is_as_the_schema_says(tmp_path, monkeypatch):
    disk(tmp_path, "nvme0n1", "nvme", device__model="PM1733", queue__rotational=0)
    (port(tmp_path, "eth0", "0000:3b:00.0") / "speed").write_text("25000\n")
    found = environment.describe()
    found["machine"] |= hardware.describe(tmp_path)
    install(monkeypatch, {"name": "GPU"}, {"name": "GPU"})
    found["gpus"], found["nvml_problem"] = gpus.describe()
    install(monkeypatch, {"name": "GPU"}, refuse={"nvmlDeviceGetHandleByIndex": "GPU_IS_LOST"})
    found["gpus"] += gpus.describe()[0]
    found["untested"] = [one._asdict() for one in tested.untested({"numpy": "99.0"})]
    assert found["machine"]["disks"]
    assert found["machine"]["network_cards"]
    assert found["untested"]
    check("environment", found)


def test_a_field_that_is_not_described_is_found(tmp_path):
    config = load_config({**VIRTUAL, "scenario": "server", "output_dir": tmp_path})
    with Run(config, lambda text: None, progress=False) as run:
        found = run.execute().to_json()
    found["sut_facts"]["colour"] = "blue"
    found["verdicts"][0]["mood"] = 1
    left = set(undocumented(SCHEMAS["result"], found))
    assert left == {"sut_facts.colour", "verdicts[].mood"}
    with pytest.raises(AssertionError, match="mood"):
        check("result", found)


def test_files_and_page_are_those_of_the_declarations():
    """Else run: python -m harness.schema."""
    for path, content in files().items():
        assert path.read_text(encoding="utf-8") == content, path.name
    assert PAGE.is_file()
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{n}.schema.json" for n in SCHEMAS}


def test_every_field_has_a_meaning_and_every_figure_a_unit_or_none_to_have():
    def walk(part, path):
        for name, field in part.get("properties", {}).items():
            assert field.get("description", "").endswith("."), f"{path}.{name}"
            yield f"{path}.{name}", field
            yield from walk(field, f"{path}.{name}")
            yield from walk(field.get("items") or {}, f"{path}.{name}[]")

    for name, schema in SCHEMAS.items():
        fields = list(walk(schema, name))
        assert fields or "items" in schema
        for path, field in fields:
            ending = path.rsplit("_", 1)[-1]
            unit = {"ms": "ms", "ns": "ns", "bytes": "B", "us": "us"}.get(ending)
            is_figure = set(field.get("type", [])) & {"number", "integer"} or field.get("type") in (
                "number", "integer")  # fmt: skip
            assert unit is None or not is_figure or field.get("unit") == unit, path
