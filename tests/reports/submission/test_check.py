"""Is a bad tree told apart, and what the official checker refuses from what it lets pass?"""

from __future__ import annotations

import json
import re

import pytest

from harness.kernel.errors import BadInput
from harness.options import profiles
from reports.mlperf.files import ACCURACY
from reports.submission.check import problems
from reports.submission.places import read_tree
from reports.submission.rules import ROUNDS
from reports.submission.tree import check_folder
from tests.package_helpers import (
    ANSWERS,
    MEASURED,
    PLACE,
    SCORED,
    SCORES_FILE,
    SUMMARY_FILE,
    SYSTEM,
    TIMED,
    added,
    closed,
    field,
    moved,
    replaced,
    value,
)

FIRST = r'(?s)"is_error": false(.*)'
LATE = "result_first_token_99.00_percentile_latency_ns"
SLOW = "result_time_per_output_token_99.00_percentile_ns"
RATE = "result_completed_tokens_per_second"

REFUSED = {
    "qsl_rng_seed is 1, not": value("effective_qsl_rng_seed", 1),
    "effective_performance_sample_count is 13367; at least 13368": value(
        "effective_performance_sample_count", 13367
    ),
    "effective_min_duration_ms is 599999": value("effective_min_duration_ms", 599999),
    "early stopping was not met": value("early_stopping_met", "false"),
    "use_token_latencies is off": value("requested_use_token_latencies", "false"),
    "is 2000 ms; Server needs less than 2000": value(LATE, 2_000_000_000),
    "per_output_token_99.00_percentile_ns is 100": value(SLOW, 100_000_000),
    "effective_target_latency_ns is 20000000001; at most 20 s": value(
        "effective_target_latency_ns", 20_000_000_001
    ),
    f"{RATE} is missing": replaced(TIMED, RATE, "x"),
    f"{RATE} is not a number": value(RATE, '"12 a second"'),
    f"{RATE} is 0: a result of nothing": value(RATE, 0),
    "the log of a Offline run in the folder Server": value("effective_scenario", '"Offline"'),
    "line 12 is no log event": replaced(TIMED, '"qsl_name", "value": ', '"qsl_name", "value": "'),
    "line 1 is no log event": replaced(TIMED, "^", "a line of somebody's\n"),
    f"{TIMED}: not UTF-8": replaced(TIMED, "Touchstone local", "Touchstone \udcff"),
    f"{TIMED}: missing": replaced(TIMED, "", None),
    "13367 samples; the dataset has 13368": value("effective_accuracy_sample_count", 13367, SCORED),
    "accuracy/mlperf_log_detail.txt: errors in the log: 1,": replaced(
        SCORED, FIRST, r'"is_error": true\1'
    ),
    f"{SCORED}: missing": replaced(SCORED, "", None),
    f"{ACCURACY}: missing": replaced(ANSWERS, "", None),
    "bytes; at most 10240": replaced(ANSWERS, r"\.\.\.", "." * 9999),
    "accuracy.txt: missing": replaced(SCORES_FILE, "", None),
    "rouge1 is 38.7.792, which is not a number": replaced(SCORES_FILE, r"38\.7792", "38.7.792"),
    "user.conf: missing or empty": replaced(f"{PLACE}/user.conf", r"(?s).+", ""),
    "README.md: missing or empty": replaced(f"{PLACE}/README.md", "", None),
    "measurements.json: missing": replaced(MEASURED, "", None),
    "fill in retraining": field("retraining", "", MEASURED),
    "fill in cooling": field("cooling", ""),
    "without cooling": field("cooling", None),
    "status is 'soon'": field("status", "soon"),
    "system_type is 'Datacenter', not one of": field("system_type", "Datacenter"),
    "number_of_nodes is 'one', not a whole number": field("number_of_nodes", "one"),
    "number_of_nodes is '1.5', not a whole number": field("number_of_nodes", "1.5"),
    "accelerators_per_node is 'N/A', not a whole": field("accelerators_per_node", "N/A"),
    "hw_notes is 3, not a string": field("hw_notes", 3),
    "is_network is True; it must be a string": field("is_network", True),
    "without network_type, network_media": field("is_network", "false"),
    "submitter is 'Other'": field("submitter", "Other"),
    f"{SYSTEM}: missing": replaced(SYSTEM, "", None),
    f"{SYSTEM}: no JSON": replaced(SYSTEM, "{", ""),
    f"{SYSTEM}: not an object": replaced(SYSTEM, "(?s).+", "[]"),
    "src: missing": lambda tree: {path: tree[path] for path in tree if "/src/" not in path},
    "open/Other/results: missing": added("open/Other/systems/box.json", "{}"),
    "Server-2/README.md: missing or empty": added(f"{PLACE}-2/notes.txt", "x"),
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
    "mlperf_log_summary.txt: missing": replaced(SUMMARY_FILE, "", None),
    "says INVALID, the detail log VALID": replaced(SUMMARY_FILE, "is : VALID", "is : INVALID"),
    "the system under test was simulated": replaced(TIMED, "local tiny", "simulated tiny"),
    "result_validity: more than one line": replaced(
        TIMED, '(\n:::MLLOG {"key": "result_validity"[^\n]*)', r"\1\1"
    ),
    f"{RATE}: not a finite figure": value(RATE, -3),
    "no rouge1": replaced(SCORES_FILE, "'rouge1'", "'rogue1'"),
    "no gen_len": replaced(SCORES_FILE, "'gen_len': ", "'gen_len':  "),
    "rouge1 is there more than once, as 38.7792 and 40": replaced(
        SCORES_FILE, "hash", "'rouge1': 40\nhash"
    ),
    "no line hash=": replaced(SCORES_FILE, "hash=", "#"),
    "no result: <division>": lambda tree: {SYSTEM: tree[SYSTEM]},
}


@pytest.mark.parametrize("sentence", [*REFUSED, *LET_PASS])
def test_every_fault_is_found_and_told_from_what_the_official_checker_lets_pass(
    clean_tree, sentence
):
    change = REFUSED.get(sentence) or LET_PASS[sentence]
    found = [p for p in problems(change(clean_tree)) if sentence in str(p)]
    assert len(found) == 1, [str(p) for p in problems(change(clean_tree))]
    assert found[0].seen == (sentence in REFUSED)
    assert str(found[0]).endswith("(the official checker does not see this)") != found[0].seen


def test_a_score_counts_only_in_the_form_that_the_pattern_takes(clean_tree):
    quoted = replaced(SCORES_FILE, "'rouge1': 38.7792", "{'rouge1':   '38.7792', 'x': 1}")
    assert problems(quoted(clean_tree)) == []
    for spoiled in ("'gen_len': '8167644'", "'gen_len':8167644", '"gen_len": 8167644'):
        change = replaced(SCORES_FILE, "'gen_len': 8167644", spoiled)
        assert [p.what for p in problems(change(clean_tree))] == ["no gen_len"]


def test_line_ends_of_another_system_change_nothing(clean_tree):
    tree = {path: text.replace("\n", "\r\n") for path, text in clean_tree.items()}
    assert problems(tree) == []


def test_a_second_name_of_a_benchmark_is_the_benchmark(clean_tree):
    assert problems(moved(clean_tree, "llama3.1-8b", "llama3_1-8b")) == []
    own = moved(clean_tree, "llama3.1-8b", "my-llama")
    assert "my-llama is not a language model of v6.1" in problems(own)[0].what
    mapping = added("open/Acme/model_mapping.json", json.dumps({"my-llama": "llama3.1-8b"}))
    assert problems(mapping(own)) == []


def test_small_letters_are_a_scenario_too(clean_tree):
    assert problems(moved(clean_tree, "/Server/", "/server/")) == []
    assert "in the folder SERVER" in str(problems(moved(clean_tree, "/Server/", "/SERVER/"))[0])


def test_interactive_runs_meet_the_interactive_limits(clean_tree):
    tree = moved(clean_tree, "/Server/", "/Interactive/")
    assert problems(tree) == []
    path = TIMED.replace("/Server/", "/Interactive/")
    (found,) = problems(value(LATE, 500_000_000, path)(tree))
    assert "is 500 ms; Interactive needs less than 500 ms" in found.what
    assert not found.seen
    assert problems(value(LATE, 2_000_000_000, path)(tree))[0].seen


def test_the_closed_division_asks_for_more(clean_tree):
    tree = closed(clean_tree)
    scores = SCORES_FILE.replace("open/", "closed/")
    assert [str(p) for p in problems(tree)] == [
        f"{PLACE.replace('open/', 'closed/')}/TEST06/verify_accuracy.txt: missing; the closed"
        " division needs it",
        "closed/Acme/results/box-1/llama3.1-8b: without Offline",
    ]
    low = replaced(scores, "38.7792", "38.3")(tree)
    assert any("rouge1 is 38.3; it must be 38.391408 to inf" in p.what for p in problems(low))
    long = replaced(scores, "8167644", "9000000")(tree)
    assert any("gen_len is 9e+06" in p.what for p in problems(long))


def test_the_type_of_a_system_decides_which_benchmarks_it_may_have(clean_tree):
    tree = field("system_type", "edge", SYSTEM.replace("open/", "closed/"))(closed(clean_tree))
    words = "a benchmark of the datacenter suite; the system is of type edge"
    assert [p.what for p in problems(tree)][-1] == words
    for system_type in ("datacenter,edge", "edge,datacenter"):
        path = SYSTEM.replace("open/", "closed/")
        both = field("system_type", system_type, path)(closed(clean_tree))
        assert words not in [p.what for p in problems(both)]


def test_mixtral_has_no_interactive_scenario(clean_tree):
    (groups,) = ROUNDS["v6.0"].benchmarks["mixtral-8x7b"].scenarios[1:]
    assert groups == ("Server",)


NETWORK = (
    "network_type", "network_media", "network_rate", "nic_loadgen", "number_nic_loadgen",
    "net_software_stack_loadgen", "network_protocol", "number_connections", "nic_sut",
    "number_nic_sut", "net_software_stack_sut", "network_topology",
)  # fmt: skip


def test_the_network_division_has_fields_and_a_name_of_its_own(clean_tree):
    path = SYSTEM.replace("open/", "network/")
    system = json.loads(clean_tree[SYSTEM]) | {"division": "network", "is_network": "true"}
    tree = moved(clean_tree, "open/", "network/") | {path: json.dumps(system)}
    found = [str(p) for p in problems(tree)]
    assert f"{path}: without {', '.join(NETWORK)}" in found
    assert any(
        "sut_name is 'Touchstone local tiny fp32', without 'Network SUT'" in p for p in found
    )
    whole = tree | {path: json.dumps(system | dict.fromkeys(NETWORK, "x"))}
    timed = TIMED.replace("open/", "network/")
    whole = replaced(timed, "Touchstone local", "Touchstone Network SUT local")(whole)
    assert [p.what for p in problems(whole)] == [
        "missing; the network division needs it",  # TEST06
        "without Offline",
    ]


def test_another_round_has_other_seeds_and_benchmarks(clean_tree):
    assert all("rng_seed" in p.what for p in problems(clean_tree, "v6.0"))
    assert len(problems(clean_tree, "v6.0")) == 3
    dropped = moved(clean_tree, "llama3.1-8b", "llama3.1-405b")
    assert "is not a language model of v6.1" in problems(dropped)[0].what
    with pytest.raises(BadInput, match=r"round: 'v5\.0' is not known"):
        problems(clean_tree, "v5.0")


def test_the_table_and_the_profiles_tell_the_same_story():
    for name, round_ in ROUNDS.items():
        seeds = profiles.SEEDS[name]
        assert round_.seeds == (seeds.qsl, seeds.sample_index, seeds.schedule)
        for benchmark, rules in round_.benchmarks.items():
            key = re.sub(r"-99(\.9)?$", "", benchmark)
            profile = profiles.TABLE[key]
            assert profile.performance_samples == rules.samples
            assert profile.accuracy_samples == rules.accuracy_samples
            for scenario, (ttft_ms, tpot_ms) in rules.limits_ms.items():
                own = profiles.TABLE[key if scenario == "Server" else f"{key}-interactive"]
                assert (own.ttft_limit_s * 1e3, own.tpot_limit_s * 1e3) == (ttft_ms, tpot_ms)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="no such file or folder"):
        check_folder(tmp_path / "none")


def test_an_empty_folder_of_a_submitter_is_seen_on_disk(packed):
    root = packed().root
    (root / "open" / "Nobody" / "systems").mkdir(parents=True)
    assert "open/Nobody/systems/" in read_tree(root)
    assert [str(p) for p in check_folder(root)] == ["open/Nobody/results: missing"]
