"""Does a turn wait for the answer before it, and carry what was said before it?"""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.engine import runlog
from harness.kernel.errors import BadInput
from harness.loads.conversations import read_conversations
from tests.command_line import run

SIMULATED = "--scenario server --sut simulated --clock virtual --min-duration 0"


def sharegpt(folder, conversations, turns, more=""):
    rows = [
        {
            "conversations": [
                {"from": who, "value": f"{who} {turn} of {number}{more}"}
                for turn in range(1 + number % turns)
                for who in ("human", "gpt")
            ]
        }
        for number in range(conversations)
    ]
    file = folder / "talks.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def first_turns(talks):
    return set(talks.starts[:-1].tolist())


def test_history_is_all_that_was_said_before(tmp_path):
    talks, samples, _ = read_conversations(str(sharegpt(tmp_path, 3, 3)), 32, None)
    assert talks.starts.tolist() == [0, 1, 3, 6]
    last = samples[5]
    assert last.prompt == "human 2 of 2"
    assert [role for role, _ in last.history] == ["user", "assistant"] * 2
    assert last.history[3] == ("assistant", "gpt 1 of 2")
    assert last.reference == "gpt 2 of 2"
    assert {sample.group for sample in samples[3:]} == {2}


def test_other_shapes_are_read(tmp_path):
    file = tmp_path / "talks.jsonl"
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Why?")]
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in said]},
        {"session_id": "x", "turns": [{"text": "One"}, {"text": "Two", "delay": 1500}]},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    talks, samples, _ = read_conversations(str(file), 32, None)
    assert [sample.prompt for sample in samples] == ["Hi", "Why?", "One", "Two"]
    assert samples[1].history == tuple(said[:3])
    assert talks.think_ns.tolist() == [-1, -1, -1, 1_500_000_000]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"text": "x"}, "its columns are text"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "objects with role and content"),
        ({"turns": [{"text": "x", "delay": -1}]}, "delay"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user says anything"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_line(tmp_path, row, told):
    file = tmp_path / "talks.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(BadInput, match=told) as refused:
        read_conversations(str(file), 32, None)
    assert "line 1" in str(refused.value)


@pytest.mark.parametrize("options", ["", "--sut-option slots=1 --sut-option ttft_ms=400"])
def test_a_turn_goes_once_the_answer_has_come_and_was_thought_about(tmp_path, options):
    file = sharegpt(tmp_path, 60, 4)
    words = f"--load conversations:{file}@700ms --target-qps 4 --min-queries 100 {options}"
    run(f"{SIMULATED} {words}", tmp_path / "runs", code=0 if not options else 1)
    talks, _, _ = read_conversations(str(file), 32, None)
    (folder,) = (tmp_path / "runs").iterdir()
    log, _ = runlog.read_log(folder)
    assert len(log) >= 100
    assert (np.diff(log.issued_ns) >= 0).all()
    starts, waited, open_turn = first_turns(talks), 0, {}
    for row, index in enumerate(log.index.tolist()):
        if index not in starts:
            before = open_turn.pop(index - 1)
            assert log.due_ns[row] == log.done_ns[before] + 700_000_000
            waited += 1
        open_turn[index] = row
    assert waited > 30


def test_the_rate_of_queries_is_the_one_that_was_asked_for(tmp_path):
    file = sharegpt(tmp_path, 50, 5)
    words = f"--load conversations:{file} --target-qps 10 --min-queries 3000"
    result, _ = run(f"{SIMULATED} {words}", tmp_path / "runs")
    assert result["throughput"]["samples_per_s"] == pytest.approx(10, rel=0.12)


def test_a_maximum_ends_conversations_too(tmp_path):
    file = sharegpt(tmp_path, 30, 4)
    words = f"--load conversations:{file} --target-qps 4 --min-queries 70 --max-queries 80"
    result, _ = run(f"{SIMULATED} {words}", tmp_path / "runs")
    assert 70 <= result["counts"]["samples"] <= 80


def test_workers_of_a_server_wait_for_answers_and_send_history(golden, tmp_path):
    golden.set(ttft_ms=5, per_token_ms=1, tokens=4, prefix_cache=True)
    file = sharegpt(tmp_path, 40, 3, " in many words" * 10)
    words = (
        f"--base-url {golden.url} --scenario server --load conversations:{file}@30ms"
        " --target-qps 40 --min-queries 70 --min-duration 0 --warmup 1 --max-new-tokens 8"
    )
    result, _ = run(words, tmp_path / "runs", code=None)
    talks, _, _ = read_conversations(str(file), 32, None)
    (folder,) = (tmp_path / "runs").iterdir()
    log, _ = runlog.read_log(folder)
    assert result["counts"]["completed"] == len(log) >= 70
    starts, open_turn, waited = first_turns(talks), {}, 0
    for row, index in enumerate(log.index.tolist()):
        if index not in starts:
            thought_ns = log.due_ns[row] - log.done_ns[open_turn.pop(index - 1)]
            assert 30_000_000 <= thought_ns < 31_000_000
            waited += 1
        open_turn[index] = row
    assert waited > 20
    cached = [seen.cached_tokens for i, seen in log.seen.items() if int(log.index[i]) not in starts]
    assert sum(one > 0 for one in cached) > len(cached) / 2, "a turn's beginning is known"
