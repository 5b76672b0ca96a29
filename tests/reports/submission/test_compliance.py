"""Do the folders of the compliance tests say what the checker reads, and is a page that does not
hold told apart?
"""

from __future__ import annotations

import hashlib
import json

import pytest

from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.compliance import Lengths, Outputs, Quality, compliance, files
from reports.submission.places import Place
from reports.submission.rules import ROUNDS
from tests.package_helpers import replaced

LLAMA = Place("closed", "Acme", "box-1", "llama3.1-8b", "Server")
GPT_OSS = Place("closed", "Acme", "box-1", "gpt-oss-120b", "Server")
LOGS = {DETAIL: b"detail\n", SUMMARY: b"summary\n"}


def answer(ids=(5, 6, 2), first=None, count=None, sample=0):
    def words(tokens):
        return "".join(token.to_bytes(4, "little").hex().upper() for token in tokens)

    return {
        "seq_id": sample,
        "qsl_idx": sample,
        "data": words(ids),
        "token_data": words(ids[:1] if first is None else first),
        "token_count": len(ids) if count is None else count,
    }


def log(*answers):
    return json.dumps([answer(sample=i) if a is None else a for i, a in enumerate(answers)])


def tree_of(place, *findings, answers=None):
    text = log(None, None) if answers is None else answers
    found = {}
    for finding in findings:
        for name, content in files(finding, LOGS | {ACCURACY: text.encode()}).items():
            found[f"{place.results}/{finding.name}/{name}"] = content
    return found


def found(tree, place=LLAMA):
    benchmark = ROUNDS["v6.1"].benchmarks[place.benchmark]
    return [(p.path.removeprefix(f"{place.results}/"), p.what, p.seen)
            for p in compliance(tree, place, benchmark)]  # fmt: skip


GOOD = Outputs(first_token=True, eos=True, length=True)
PAGE = f"{LLAMA.results}/TEST06/verify_accuracy.txt"
QUALITY, LENGTHS = Quality(62.5, 60.698), Lengths(6396, 1278.2, 1150.38, 1406.02)


# ---- what is written


def test_test06_is_three_lines_and_the_whole_log():
    made = files(GOOD, LOGS | {ACCURACY: b"[]"})
    assert made == {
        "verify_accuracy.txt": (
            "First token check pass: True\nEOS check pass: True\nSample length check pass: True\n"
            "TEST06 verification complete\n"
        ),
        f"accuracy/{ACCURACY}": "[]",
    }


def test_offline_skips_the_first_token_and_a_failure_is_written_as_one():
    skipped = Outputs(first_token=None, eos=True, length=True)
    assert skipped.passed
    assert skipped.page().startswith("First token check pass: Skipped\n")
    failed = Outputs(first_token=True, eos=False, length=True)
    assert not failed.passed
    assert failed.page().splitlines()[1::2] == [
        "EOS check pass: False",
        "TEST06 verification failed",
    ]


def test_the_other_tests_say_pass_or_fail_and_keep_cut_logs_with_their_hash():
    long = b"x" * 20_000
    made = files(QUALITY, LOGS | {ACCURACY: long})
    assert made["verify_accuracy.txt"].splitlines() == [
        "'exact_match': 62.5000",
        "Accuracy threshold: 60.698",
        "TEST PASS",
    ]
    assert len(made[f"accuracy/{ACCURACY}"]) <= 10240
    assert made["accuracy/accuracy.txt"] == f"hash={hashlib.sha256(long).hexdigest()}\n"
    assert made[f"performance/run_1/{DETAIL}"] == "detail\n"
    lengths = files(LENGTHS, LOGS | {ACCURACY: b"[]"})["verify_output_len.txt"]
    assert "Mean output tokens: 1278.20\n" in lengths
    assert lengths.endswith("TEST PASS\n")


@pytest.mark.parametrize(
    "finding",
    [
        Quality(60.69, 60.698),
        Quality(None, 60.698),
        Lengths(6396, 1150.37, 1150.38, 1406.02),
        Lengths(6396, 1406.03, 1150.38, 1406.02),
        Lengths(0, 0.0, 0.0, 1.0),
    ],
)
def test_what_misses_its_bound_fails(finding):
    assert not finding.passed
    assert finding.page().endswith("TEST FAIL\n")


# ---- what is checked


def test_what_was_written_of_a_good_run_has_no_problems():
    assert found(tree_of(LLAMA, GOOD)) == []
    assert found(tree_of(GPT_OSS, QUALITY, LENGTHS), GPT_OSS) == []


@pytest.mark.parametrize(
    ("change", "what", "seen"),
    [
        (replaced(PAGE, "", None), "missing; the closed division needs it", True),
        (replaced(PAGE, "(?s).+", ""), "no line 'First token check pass: True'", True),
        (replaced(PAGE, "EOS check pass: True", "EOS check pass: False"),
         "EOS check pass: False", True),
        (replaced(PAGE, "length check pass: True", "length check pass: true"),
         "Sample length check pass: true", True),
        (replaced(PAGE, "First", "\udcff"), "not UTF-8", True),
        (replaced(PAGE, "EOS check pass: True", "EOS check pass: True\nEOS check pass: False"),
         "it says both 'EOS check pass: True' and 'EOS check pass: False'", False),
        (replaced(PAGE, "token check pass: True", "token check pass: Skipped"),
         "First token check pass: Skipped, which is for offline alone", False),
        (replaced(PAGE, "complete", "failed"), "TEST06 verification failed", False),
    ],
)  # fmt: skip
def test_a_page_of_test06_is_read(change, what, seen):
    tree = change(tree_of(LLAMA, GOOD))
    assert [(p, w, s) for p, w, s in found(tree) if w == what] == [
        ("TEST06/verify_accuracy.txt", what, seen)
    ]


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        (log(), "no answer was logged"),
        (log(None, answer(first=(7,), sample=1)), "that of their ids: 1"),
        (log(answer(count=4)), "that of their ids: 0"),
        ("[", "no accuracy log (JSONDecodeError: "),
        ('[{"data": ""}]', "no accuracy log (KeyError: "),
    ],
)
def test_the_log_beside_the_page_bears_it_out(answers, what):
    ((path, said, seen),) = found(tree_of(LLAMA, GOOD, answers=answers))
    assert (path, seen) == (f"TEST06/accuracy/{ACCURACY}", False)
    assert what in said


def test_a_log_of_offline_has_no_first_tokens():
    row = answer()
    del row["token_data"]
    offline = LLAMA._replace(scenario="Offline")
    skipped = Outputs(first_token=None, eos=True, length=True)
    assert found(tree_of(offline, skipped, answers=json.dumps([row])), offline) == []


@pytest.mark.parametrize(
    ("change", "what", "seen"),
    [
        (lambda text: None, "missing; the closed division needs it", True),
        (lambda text: "", "no line TEST PASS: {} was not passed", True),
        (lambda text: text.replace("PASS", "FAIL"), "no line TEST PASS: {} was not passed", True),
        (lambda text: text + "TEST FAIL\n", "it says both TEST PASS and TEST FAIL", False),
    ],
)
@pytest.mark.parametrize(
    ("test", "page"), [("TEST07", "verify_accuracy.txt"), ("TEST09", "verify_output_len.txt")]
)
def test_the_pages_of_test07_and_test09_are_read(test, page, change, what, seen):
    tree = tree_of(GPT_OSS, QUALITY, LENGTHS)
    path = f"{GPT_OSS.results}/{test}/{page}"
    text = change(tree[path])
    tree = {name: content for name, content in tree.items() if name != path}
    tree |= {} if text is None else {path: text}
    assert found(tree, GPT_OSS) == [(f"{test}/{page}", what.format(test), seen)]


def test_logs_that_are_not_there_are_missed():
    tree = tree_of(GPT_OSS, QUALITY, LENGTHS)
    pages = {path: text for path, text in tree.items() if "verify_" in path}
    told = found(pages, GPT_OSS)
    assert len(told) == 6
    assert {(what, seen) for _, what, seen in told} == {("missing", False)}
    alone = {PAGE: GOOD.page()}
    assert found(alone) == [(f"TEST06/accuracy/{ACCURACY}", "missing", False)]


def test_the_edge_benchmark_needs_no_test():
    assert ROUNDS["v6.1"].benchmarks["llama3.1-8b-edge"].tests == ()
