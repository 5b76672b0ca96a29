"""Is the tree what MLCommons' checker reads, filled with what the runs say and nothing else? Is a
bad one told apart?
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from harness import profiles
from harness.errors import BadInput
from harness.session import Run as HarnessRun
from harness.settings import load_config, run_settings
from reports import package as packages
from reports.mlperf_logs import ACCURACY, DETAIL, SUMMARY
from reports.package import check_folder, package
from reports.package_check import UNSEEN, problems, read_tree, scores_in
from reports.package_rules import ROUNDS
from reports.package_texts import accuracy_txt, config_toml, truncated, user_conf

PLACE = "open/Acme/results/box-1/llama3.1-8b/Server"
SCORES = {
    "rouge1": 38.7792,
    "rouge2": 15.9075,
    "rougeL": 24.4957,
    "rougeLsum": 35.793,
    "gen_len": 8167644.0,
}
KNOWN = {
    "status": "available",
    "system_type": "datacenter",
    "host_processors_per_node": 1,
    "host_processor_core_count": 2,
    "host_memory_configuration": "2 x 16 GB",
    "host_storage_capacity": "1 TB",
    "host_storage_type": "NVMe",
    "host_networking": "Ethernet",
    "host_network_card_count": 1,
    "host_networking_topology": "none",
    "cooling": "air",
    "retraining": "no",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A performance and an accuracy run of the simulated SUT at full length, dressed as runs of a
    model on the CPU.
    """
    folders = {}
    for mode in ("performance", "accuracy"):
        flags = {
            "scenario": "server",
            "sut": "simulated",
            "clock": "virtual",
            "profile": "llama3.1-8b",
            "target_qps": 20,
            "num_samples": 13368,
            "mode": mode,
            "output_dir": tmp_path_factory.mktemp(mode),
        }
        with HarnessRun(load_config(flags), lambda _: None, progress=False) as run:
            run.execute()
        folders[mode] = run.folder
        edit(run.folder, _as_local)
        detail = run.folder / DETAIL
        detail.write_text(
            detail.read_text().replace('"Touchstone simulated"', '"Touchstone local tiny fp32"')
        )
    return folders


def _as_local(result):
    result |= {"sut": "local", "model": "/home/somebody/tiny", "variant": "fp32"}
    result["sut_facts"] = {
        "model": "/home/somebody/tiny",
        "device": "cpu",
        "notes": ["its weights were tied"],
    }
    result["accuracy"] |= SCORES
    result["environment"]["variables"] = {"OMP_NUM_THREADS": "2", "CUDA_HOME": "/opt/cuda"}


def edit(folder, change):
    """Change a result.json by the function `change`."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    change(result)
    path.write_text(json.dumps(result))


@pytest.fixture
def runs(made, tmp_path):
    """Fresh copies of the two folders, for a test to spoil."""
    return tuple(
        Path(shutil.copytree(made[mode], tmp_path / mode)) for mode in ("performance", "accuracy")
    )


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "known.json"
    path.write_text(json.dumps(KNOWN))
    return path


@pytest.fixture
def pack(runs, known, tmp_path):
    def call(**changes):
        timed, scored = runs
        given = {"accuracy_run": scored, "system_json": known} | changes
        return package(timed, tmp_path / "out", "Acme", "box-1", **given)

    return call


@pytest.fixture
def clean(pack):
    """A tree without problems, as a mapping."""
    return read_tree(pack().root)


def test_a_complete_package_has_no_problems_and_every_file_in_its_place(pack):
    made = pack()
    assert made.problems == []
    assert check_folder(made.root) == []
    assert sorted(read_tree(made.root)) == sorted(
        [
            "open/Acme/systems/box-1.json",
            *(
                f"open/Acme/src/box-1/llama3.1-8b/Server/{n}"
                for n in ("README.md", "performance.toml", "accuracy.toml")
            ),
            *(f"{PLACE}/{n}" for n in ("README.md", "measurements.json", "user.conf")),
            *(f"{PLACE}/performance/run_1/{n}" for n in (DETAIL, SUMMARY)),
            *(f"{PLACE}/accuracy/{n}" for n in (DETAIL, SUMMARY, ACCURACY, "accuracy.txt")),
        ]
    )


def test_the_logs_are_those_of_the_runs_and_the_hash_is_of_the_whole_accuracy_log(clean, runs):
    timed, scored = runs
    assert clean[f"{PLACE}/performance/run_1/{DETAIL}"] == (timed / DETAIL).read_text()
    assert clean[f"{PLACE}/accuracy/{DETAIL}"] == (scored / DETAIL).read_text()
    whole = (scored / ACCURACY).read_bytes()
    text = clean[f"{PLACE}/accuracy/accuracy.txt"]
    assert text.splitlines()[-1] == f"hash={hashlib.sha256(whole).hexdigest()}"
    assert text.startswith("'rouge1': 38.7792\n'rouge2': 15.9075\n")
    assert "'gen_len': 8167644\n" in text
    assert scores_in(text) == SCORES | {"tokens_per_sample": 32.0}
    cut = clean[f"{PLACE}/accuracy/{ACCURACY}"].encode()
    assert len(cut) <= 10240 < len(whole)
    assert whole.startswith(cut[:4096])
    assert whole.endswith(cut[-4096:])


def test_a_short_accuracy_log_is_not_cut_and_nothing_undefined_is_a_score():
    assert truncated(b"[\n]\n") == "[\n]\n"
    assert len(truncated(b"x" * 10240)) == 10240
    assert len(truncated(b"x" * 10241)) < 10240
    assert scores_in(
        accuracy_txt({"rouge1": float("nan"), "rouge2": 1.0, "perplexity": 3.0}, b"")
    ) == {"rouge2": 1.0}


def test_what_the_machine_cannot_tell_is_empty_and_named(pack):
    made = pack(system_json=None)
    fields = json.loads((made.root / "open/Acme/systems/box-1.json").read_text())
    empty = {
        "status",
        "system_type",
        "cooling",
        "host_networking",
        "host_storage_type",
        "host_processors_per_node",
    }
    assert all(fields[key] == "" for key in empty)
    told, about_weights = made.problems
    assert told.startswith("open/Acme/systems/box-1.json: fill in ")
    assert empty <= set(re.split(r"[ ,]+", told))
    assert about_weights == f"{PLACE}/measurements.json: fill in retraining"


def test_the_system_is_described_by_the_run_and_the_user_wins(pack, known):
    known.write_text(
        json.dumps(KNOWN | {"operating_system": "Ours 1", "boot_firmware_version": "7"})
    )
    fields = json.loads((pack().root / "open/Acme/systems/box-1.json").read_text())
    assert len(fields) == 36
    assert (fields["operating_system"], fields["boot_firmware_version"]) == ("Ours 1", "7")
    assert (fields["host_processors_per_node"], fields["accelerators_per_node"]) == (
        "1",
        "0",
    )  # a number 0 counts as empty
    assert fields["accelerator_model_name"] == "N/A"
    assert "retraining" not in fields
    assert fields["framework"].startswith("torch ")
    assert "OMP_NUM_THREADS=2" in fields["sw_notes"]


def test_the_gpu_of_the_run_is_described(pack, runs):
    def on_gpu(result):
        result["sut_facts"]["device"] = "cuda:1"
        names = ("A", "B")
        result["environment"]["gpus"] = [
            {"name": n, "memory_bytes": 80 * 2**30, "driver": "555.1"} for n in names
        ]

    edit(runs[0], on_gpu)
    made = pack()
    fields = json.loads((made.root / "open/Acme/systems/box-1.json").read_text())
    assert (fields["accelerators_per_node"], fields["accelerator_model_name"]) == ("1", "B")
    assert fields["accelerator_memory_capacity"] == "80.0 GiB"
    assert "NVIDIA driver 555.1" in fields["other_software_stack"]
    assert "accelerator_interconnect" in made.problems[0]


def test_a_system_elsewhere_is_not_described_by_this_machine(pack, runs):
    for run in runs:
        edit(run, lambda result: result.update(sut="openai"))
    fields = json.loads((pack(system_json=None).root / "open/Acme/systems/box-1.json").read_text())
    assert {key for key, value in fields.items() if value} == {
        "division",
        "submitter",
        "system_name",
    }


def test_nothing_in_the_tree_tells_where_on_the_machine_things_were(clean):
    assert not [
        path
        for path, text in clean.items()
        if "/home/" in text or "/tmp/" in text or "/opt/" in text
    ]
    measured = json.loads(clean[f"{PLACE}/measurements.json"])
    assert measured["starting_weights_filename"] == "tiny"
    assert measured["weight_transformations"] == "loaded as fp32; its weights were tied"


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
@pytest.mark.parametrize("issue", ["equal", "unique", "same", "random"])
def test_user_conf_reads_back_as_the_same_run(scenario, issue, tmp_path):
    own = {
        "percentile": 97.5,
        "min_duration": 601.0,
        "issue": issue,
        "same_index": 3 if issue == "same" else 0,
    }
    own |= {"max_duration": 900.0, "max_queries": 90_000} if scenario != "offline" else {}
    own |= {"accuracy_samples": 50} if scenario == "server" else {}
    flags = {"scenario": scenario, "sut": "simulated", "profile": "llama3.1-8b"}
    wanted = run_settings(load_config(flags | own | {"target_qps": 3.5}), 13368, 3.5)
    path = tmp_path / "user.conf"
    path.write_text(
        user_conf({"run_id": "r", "profile": "llama3.1-8b", "settings": {"run": asdict(wanted)}})
    )
    config = load_config({"scenario": scenario, "sut": "simulated", "user_conf": path})
    again = asdict(run_settings(config, 13368, config.target_qps))
    kept = {"max_new_tokens"}  # not LoadGen's business
    if scenario in ("single-stream", "multi-stream", "offline"):
        kept |= {"ttft_limit_ns", "tpot_limit_ns", "lag_limit_ns"}  # limits of the server scenario
    if scenario == "offline":
        kept |= {"percentile"}
    assert again.pop("target_qps") == pytest.approx(3.5, rel=1e-9)
    expected = asdict(wanted)
    assert {k: v for k, v in again.items() if k not in kept} == {
        k: expected[k] for k in again if k not in kept
    }


@pytest.mark.parametrize(
    "own",
    [
        {"target_latency": 5.0},
        {"target_latency": 5.0, "infer_tokens": 69},
        {"accuracy_log_target": 10, "accuracy_log_seed": 5},
    ],
)
def test_user_conf_keeps_a_whole_latency_inferred_tokens_and_the_logged_sample(own, tmp_path):
    flags = {"scenario": "server", "sut": "simulated", "target_qps": 2.0}
    wanted = run_settings(load_config(flags | own), 100, 2.0)
    path = tmp_path / "user.conf"
    path.write_text(
        user_conf({"run_id": "r", "profile": "quick", "settings": {"run": asdict(wanted)}})
    )
    again = run_settings(
        load_config({"scenario": "server", "sut": "simulated", "user_conf": path}), 100, 2.0
    )
    names = (
        "use_tokens",
        "target_latency_ns",
        "inferred_tokens_per_sample",
        "accuracy_log_target",
        "accuracy_log_seed",
    )
    assert [getattr(again, name) for name in names] == [getattr(wanted, name) for name in names]


def test_user_conf_has_whole_milliseconds_and_the_flag_before_the_limits(clean):
    lines = clean[f"{PLACE}/user.conf"].splitlines()
    assert lines[1] == "*.Server.use_token_latencies = 1"  # LoadGen reads the limits only after it
    assert {
        "*.Server.target_qps = 20",
        "*.Server.ttft_latency = 2000",
        "*.Server.min_duration = 600000",
    } <= set(lines)


def test_the_settings_in_src_run_again(clean, tmp_path):
    path = tmp_path / "again.toml"
    path.write_text(clean["open/Acme/src/box-1/llama3.1-8b/Server/accuracy.toml"])
    config = load_config({}, path)
    assert (config.mode, config.profile, config.target_qps, config.seeds) == (
        "accuracy",
        "llama3.1-8b",
        20.0,
        "v6.1",
    )
    options = {"ttft_ms": 5.5, "name": 'a "b"'}
    settings = {
        "config": {"sut_options": options, "dataset": "/a/b.jsonl"},
        "run": {"target_qps": 2.0},
    }
    text = config_toml({"mode": "accuracy", "settings": settings})
    assert text.splitlines() == [
        'sut_options = { "ttft_ms" = 5.5, "name" = "a \\"b\\"" }',
        'dataset = "b.jsonl"',
        'mode = "accuracy"',
        "target_qps = 2.0",
    ]


def test_the_pages_say_what_was_run(clean, runs):
    page = clean[f"{PLACE}/README.md"]
    assert "| status | VALID: every condition holds |" in page
    assert "| p99 limits | TTFT 2000 ms, TPOT 100 ms |" in page
    assert "| rouge1 | 38.7792 |" in page
    assert "written by touchstone" in page
    source = clean["open/Acme/src/box-1/llama3.1-8b/Server/README.md"]
    assert all(run.name in source for run in runs)
    assert "commit " in source


def test_touchstones_own_logs_are_told_apart_from_loadgens(pack, runs):
    assert "LoadGen itself" in pack().notes[0]
    detail = runs[0] / DETAIL
    detail.write_text(
        re.sub('"touchstone [^"]*"', '"6.0.17 @ d6147c7eb7"', detail.read_text(), count=1)
    )
    assert packages.notes(packages.read(runs[0])) == []


# ---- which runs are taken


def test_the_accuracy_run_inside_the_run_folder_is_found(pack, runs):
    timed, scored = runs
    with pytest.raises(BadInput, match="no accuracy run; RUN/accuracy, or --accuracy-run"):
        pack(accuracy_run=None)
    scored.rename(timed / "accuracy")
    assert pack(accuracy_run=None).problems == []


def test_an_invalid_run_is_refused_with_its_reason_unless_it_is_allowed(pack, runs, tmp_path):
    edit(runs[0], lambda result: result.update(status="INVALID", status_reason="failed: ttft_p99"))
    with pytest.raises(BadInput, match=r"INVALID \(failed: ttft_p99\); a VALID run"):
        pack()
    assert not (tmp_path / "out").exists()
    assert pack(allow_invalid=True).place.is_dir()


def test_the_modes_must_be_right(pack, runs):
    with pytest.raises(BadInput, match="a run in performance mode; one in accuracy mode"):
        pack(accuracy_run=runs[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.update(variant="int8"), "variant 'fp32' and 'int8'"),
        (lambda r: r.update(model="other"), "model"),
        (lambda r: r.update(dataset="news"), "dataset 'none' and 'news'"),
        (lambda r: r["settings"]["dataset"].update(sha256="1"), "dataset's hash '' and '1'"),
        (lambda r: r.update(scenario="offline"), "scenario 'server' and 'offline'"),
        (lambda r: r["settings"]["run"]["seeds"].update(schedule=7), "schedule seed"),
    ],
)
def test_two_runs_of_different_things_are_refused(pack, runs, change, words):
    edit(runs[1], change)
    with pytest.raises(
        BadInput, match=re.escape("they differ in " + words.split(" ")[0])
    ) as caught:
        pack()
    assert words in str(caught.value)


def test_gpt_oss_has_another_dataset_for_accuracy(runs):
    timed, scored = (packages.read(run) for run in runs)
    scored.result["dataset"] = "another"
    packages.check(timed, scored, "gpt-oss-120b")
    with pytest.raises(BadInput, match="dataset"):
        packages.check(timed, scored, "llama3.1-8b")


def test_logs_of_another_run_and_unfinished_folders_are_refused(pack, runs):
    edit(runs[0], lambda result: result.update(run_id="another"))
    with pytest.raises(BadInput, match=r"mlperf_log_detail\.txt is of run"):
        pack()
    (runs[0] / SUMMARY).unlink()
    with pytest.raises(BadInput, match=r"its mlperf_log_summary\.txt is missing"):
        pack()
    (runs[0] / "result.json").write_text("[]")
    (runs[0] / SUMMARY).write_text("")
    with pytest.raises(BadInput, match="of another kind"):
        pack()
    (runs[0] / "result.json").write_text("{")
    with pytest.raises(BadInput, match=r"its result\.json is damaged"):
        pack()


# ---- where it goes


@pytest.mark.parametrize(
    ("profile", "scenario", "benchmark", "place"),
    [
        ("llama3.1-8b", "server", None, ("llama3.1-8b", "Server")),
        ("llama3.1-8b-interactive", "server", None, ("llama3.1-8b", "Interactive")),
        ("llama2-70b-interactive", "server", None, ("llama2-70b-99.9", "Interactive")),
        ("llama2-70b", "offline", "llama2-70b-99.9", ("llama2-70b-99.9", "Offline")),
        ("llama3.1-8b-edge", "single-stream", None, ("llama3.1-8b-edge", "SingleStream")),
        ("mlperf", "multi-stream", "deepseek-r1", ("deepseek-r1", "MultiStream")),
    ],
)
def test_profiles_have_benchmarks_and_interactive_is_a_scenario(
    profile, scenario, benchmark, place
):
    result = {"run_id": "r", "profile": profile, "scenario": scenario}
    assert packages.place_of(result, "open", "Acme", "box", benchmark, "v6.1")[3:] == place


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"profile": "quick"},
            "profile quick is no benchmark of MLPerf; --benchmark NAME: llama2-70b-99.9",
        ),
        ({"benchmark": "llama3.1-8b-egde"}, "Did you mean 'llama3.1-8b-edge'"),
        (
            {"benchmark": "deepseek-r1"},
            "--benchmark deepseek-r1: the run is of profile llama3.1-8b",
        ),
        ({"profile": "mixtral-8x7b"}, "benchmark of v6.1: 'mixtral-8x7b' is not known"),
        ({"division": "opne"}, "Did you mean 'open'"),
        ({"submitter": "../else"}, "--submitter: '../else'"),
        ({"system": ""}, "--system: ''"),
        ({"version": "v1"}, "round: 'v1' is not known"),
    ],
)
def test_names_that_cannot_be_are_refused(changes, words):
    given = {
        "division": "open",
        "submitter": "Acme",
        "system": "box",
        "benchmark": None,
        "version": "v6.1",
    } | changes
    result = {"run_id": "r", "profile": given.pop("profile", "llama3.1-8b"), "scenario": "server"}
    with pytest.raises(BadInput, match=re.escape(words)):
        packages.place_of(result, **given)


def test_what_is_there_is_never_overwritten(pack):
    made = pack()
    before = read_tree(made.root)
    with pytest.raises(BadInput, match="it is there already; a new place"):
        pack()
    assert read_tree(made.root) == before


def test_a_source_folder_in_the_way_leaves_no_half_written_tree(pack, tmp_path):
    obstacle = tmp_path / "out/open/Acme/src/box-1/llama3.1-8b/Server/accuracy.toml"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("mine")
    with pytest.raises(BadInput, match=r"accuracy\.toml: it is there already"):
        pack()
    assert list(read_tree(tmp_path / "out")) == [obstacle.relative_to(tmp_path / "out").as_posix()]
    obstacle.unlink()
    assert pack().problems == []


def test_a_second_benchmark_joins_and_a_description_completed_by_hand_stays(pack, known):
    made = pack(system_json=None)
    path = made.root / "open/Acme/systems/box-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cooling": "liquid"}))
    by_hand = path.read_text()
    shutil.rmtree(made.place)
    shutil.rmtree(made.root / "open/Acme/src")
    with pytest.raises(BadInput, match="it is there already, with another status"):
        pack()
    pack(system_json=None)
    assert path.read_text() == by_hand


def test_a_bad_system_file_is_a_sentence(pack, known):
    for text in ("[]", "{", '{"a": '):
        known.write_text(text)
        with pytest.raises(BadInput, match="--system-json"):
            pack()


# ---- the strict checker


def replaced(path, pattern, new):
    """A tree with one file changed (`new` None: gone)."""

    def change(tree):
        if new is None:
            return {name: text for name, text in tree.items() if name != path}
        text, n = re.subn(pattern, new, tree[path])
        assert n, f"{pattern} is not in {path}"
        return tree | {path: text}

    return change


TIMED, SCORED, SYSTEM = (
    f"{PLACE}/performance/run_1/{DETAIL}",
    f"{PLACE}/accuracy/{DETAIL}",
    "open/Acme/systems/box-1.json",
)


def value(key, new, path=TIMED):
    return replaced(path, f'("key": "{key}", "value": )[^,]+', rf"\g<1>{new}")


FIRST = r'(?s)"is_error": false(.*)'
REFUSED = {
    "qsl_rng_seed is 1, not": value("effective_qsl_rng_seed", 1),
    "effective_performance_sample_count is 13367; at least 13368": value(
        "effective_performance_sample_count", 13367
    ),
    "effective_min_duration_ms is 599999": value("effective_min_duration_ms", 599999),
    "early stopping was not met": value("early_stopping_met", "false"),
    "use_token_latencies is off": value("requested_use_token_latencies", "false"),
    "is 2000 ms; Server needs less than 2000": value(
        "result_first_token_99.00_percentile_latency_ns", 2_000_000_000
    ),
    "per_output_token_99.00_percentile_ns is 100": value(
        "result_time_per_output_token_99.00_percentile_ns", 100_000_000
    ),
    "effective_target_latency_ns is above 20 s": value(
        "effective_target_latency_ns", 20_000_000_001
    ),
    "result_completed_tokens_per_second is missing": replaced(
        TIMED, "result_completed_tokens_per_second", "x"
    ),
    "a Offline run in the folder Server": value("effective_scenario", '"Offline"'),
    "no log event": replaced(TIMED, '"qsl_name", "value": ', '"qsl_name", "value": "'),
    f"{TIMED}: missing": replaced(TIMED, "", None),
    "13367 samples; the dataset has 13368": value("effective_accuracy_sample_count", 13367, SCORED),
    "accuracy/mlperf_log_detail.txt: errors in the log: 1,": replaced(
        SCORED, FIRST, r'"is_error": true\1'
    ),
    f"{SCORED}: missing": replaced(SCORED, "", None),
    f"{ACCURACY}: missing": replaced(f"{PLACE}/accuracy/{ACCURACY}", "", None),
    "bytes; at most 10240": replaced(f"{PLACE}/accuracy/{ACCURACY}", r"\.\.\.", "." * 9999),
    "accuracy.txt: missing": replaced(f"{PLACE}/accuracy/accuracy.txt", "", None),
    "user.conf: missing or empty": replaced(f"{PLACE}/user.conf", r"(?s).+", ""),
    "README.md: missing or empty": replaced(f"{PLACE}/README.md", "", None),
    "measurements.json: missing": replaced(f"{PLACE}/measurements.json", "", None),
    "fill in retraining": replaced(
        f"{PLACE}/measurements.json", '"retraining": "no"', '"retraining": ""'
    ),
    "fill in cooling": replaced(SYSTEM, '"air"', '""'),
    "without cooling": replaced(SYSTEM, '"cooling"', '"colling"'),
    "status is 'soon'": replaced(SYSTEM, '"available"', '"soon"'),
    "submitter is 'Other'": replaced(SYSTEM, '"Acme"', '"Other"'),
    f"{SYSTEM}: missing": replaced(SYSTEM, "", None),
    f"{SYSTEM}: no JSON": replaced(SYSTEM, "{", ""),
    "src: missing": lambda tree: {path: text for path, text in tree.items() if "/src/" not in path},
    "there is no result": lambda tree: {SYSTEM: tree[SYSTEM]},
}
LET_PASS = {
    "the run is INVALID": value("result_validity", '"INVALID"'),
    "the mode is AccuracyOnly, not PerformanceOnly": value("effective_test_mode", '"AccuracyOnly"'),
    "the mode is PerformanceOnly, not AccuracyOnly": value(
        "effective_test_mode", '"PerformanceOnly"', SCORED
    ),
    "result_min_duration_met is false": value("result_min_duration_met", "false"),
    "result_min_queries_met is false": value("result_min_queries_met", "false"),
    "run_1/mlperf_log_detail.txt: errors in the log: 1,": replaced(
        TIMED, FIRST, r'"is_error": true\1'
    ),
    "not issued equally often": value("effective_sample_concatenate_permutation", "false"),
    "performance_issue_same is on": value("effective_performance_issue_same", "true"),
    "mlperf_log_summary.txt: missing": replaced(f"{PLACE}/performance/run_1/{SUMMARY}", "", None),
    "the system under test was simulated": replaced(
        TIMED, "Touchstone local", "Touchstone simulated"
    ),
    "no rouge1": replaced(f"{PLACE}/accuracy/accuracy.txt", "'rouge1'", "'rogue1'"),
    "no line hash=": replaced(f"{PLACE}/accuracy/accuracy.txt", "hash=", "#"),
}


@pytest.mark.parametrize("sentence", [*REFUSED, *LET_PASS])
def test_every_fault_is_found_and_told_from_what_the_official_checker_lets_pass(clean, sentence):
    change = REFUSED.get(sentence) or LET_PASS[sentence]
    found = [text for text in problems(change(clean)) if sentence in text]
    assert len(found) == 1, problems(change(clean))
    assert found[0].endswith(UNSEEN) == (sentence in LET_PASS)


def moved(tree, old, new):
    return {path.replace(old, new): text for path, text in tree.items()}


def test_interactive_runs_meet_the_interactive_limits(clean):
    tree = moved(clean, "/Server/", "/Interactive/")
    assert problems(tree) == []
    path = TIMED.replace("/Server/", "/Interactive/")
    slow = value("result_first_token_99.00_percentile_latency_ns", 500_000_000, path)(tree)
    (found,) = problems(slow)
    assert "is 500 ms; Interactive needs less than 500 ms" in found
    assert found.endswith(UNSEEN)
    slower = value("result_first_token_99.00_percentile_latency_ns", 2_000_000_000, path)(tree)
    assert not problems(slower)[0].endswith(UNSEEN)


def test_the_closed_division_asks_for_more(clean):
    tree = moved(clean, "open/", "closed/") | {
        "closed/Acme/systems/box-1.json": clean[SYSTEM].replace('"open"', '"closed"')
    }
    place = PLACE.replace("open/", "closed/")
    assert problems(tree) == [
        f"{place}/TEST06/verify_accuracy.txt: missing; the closed division needs it",
        "closed/Acme/results/box-1/llama3.1-8b: without Offline",
    ]
    low = replaced(f"{place}/accuracy/accuracy.txt", "38.7792", "38.3")(tree)
    assert any("rouge1 is 38.3; it must be 38.391408 to inf" in text for text in problems(low))
    long = replaced(f"{place}/accuracy/accuracy.txt", "8167644", "9000000")(tree)
    assert any("gen_len is 9e+06" in text for text in problems(long))


def test_another_round_has_other_seeds_and_benchmarks(clean):
    assert all("rng_seed" in text for text in problems(clean, "v6.0"))
    assert len(problems(clean, "v6.0")) == 3
    dropped = moved(clean, "llama3.1-8b", "llama3.1-405b")
    assert "is no benchmark of v6.1" in problems(dropped)[0]
    with pytest.raises(BadInput, match=r"round: 'v5\.0' is not known"):
        problems(clean, "v5.0")


def test_the_table_and_the_profiles_tell_the_same_story():
    for name, round_ in ROUNDS.items():
        assert round_.seeds == (
            profiles.SEEDS[name].qsl,
            profiles.SEEDS[name].sample_index,
            profiles.SEEDS[name].schedule,
        )
        for benchmark, rules in round_.benchmarks.items():
            key = re.sub(r"-99(\.9)?$", "", benchmark)
            assert profiles.TABLE[key].performance_samples == rules.samples
            for scenario, (ttft_ms, tpot_ms) in rules.limits_ms.items():
                profile = profiles.TABLE[key if scenario == "Server" else f"{key}-interactive"]
                assert (profile.ttft_limit_s * 1e3, profile.tpot_limit_s * 1e3) == (
                    ttft_ms,
                    tpot_ms,
                )


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        check_folder(tmp_path / "none")
