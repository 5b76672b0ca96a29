"""Are traces read as those who published them write them, and replayed as they were?"""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from harness.kernel.errors import BadInput
from harness.loads.traces import read_trace
from scenarios.loads import load_of
from tests.command_line import run

BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
60,GPT-4,300,0,300,API log
118,GPT-4,417,276,693,Conversation log
"""
AZURE_2023 = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:16:01.0000000,879,55
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 02:00:00.017335+02:00,2399,6
"""
MOONCAKE = [
    {"timestamp": 0, "input_length": 1300, "output_length": 5, "hash_ids": [46, 47, 48]},
    {"timestamp": 3052, "input_length": 1200, "output_length": 26, "hash_ids": [46, 47, 2366]},
]


def written(folder, name, text):
    file = folder / name
    file.write_text(text)
    return str(file)


def test_burstgpt_is_read_and_failures_are_counted(tmp_path):
    trace, facts = read_trace(written(tmp_path, "burst.csv", BURST))
    assert trace.due_ns.tolist() == [0, 40_000_000_000, 113_000_000_000]
    assert trace.input_tokens.tolist() == [472, 1087, 417]
    assert trace.output_tokens.tolist() == [18, 230, 276]
    assert (facts["format"], facts["without_answer"]) == ("BurstGPT", 1)


def test_azures_dates_are_read_to_the_tick(tmp_path):
    trace, _ = read_trace(written(tmp_path, "azure.csv", AZURE_2023))
    assert trace.due_ns.tolist() == [0, 4_314_579_000, 14_319_410_000]
    trace, _ = read_trace(written(tmp_path, "later.csv", AZURE_2024))
    assert trace.due_ns.tolist() == [0, 7_405_000]


def test_mooncakes_blocks_are_read(tmp_path):
    text = "\n".join(map(json.dumps, MOONCAKE))
    trace, _ = read_trace(written(tmp_path, "moon.jsonl", text))
    assert trace.due_ns.tolist() == [0, 3_052_000_000]
    assert list(trace.blocks) == [(46, 47, 48), (46, 47, 2366)]


def test_a_window_is_replayed_faster(tmp_path):
    file = written(tmp_path, "burst.csv", BURST)
    trace, _ = read_trace(file)
    part = load_of(f"trace:{file}@4x@30s..2m").replayed(trace)
    assert part.due_ns.tolist() == [0, 18_250_000_000]
    assert part.output_tokens.tolist() == [230, 276]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no rows"),
        ("a,b\n1,2\n", "its columns are a, b"),
        (BURST.replace("45,ChatGPT", "soon,ChatGPT"), "line 3"),
        (BURST.replace("1087", "-4"), "line 3"),
        ("Timestamp,Request tokens,Response tokens\n1,2,0\n", "no request in it has an answer"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(tmp_path, text, told):
    with pytest.raises(BadInput, match=told):
        read_trace(written(tmp_path, "bad.csv", text))


def test_a_run_replays_a_trace(tmp_path):
    rng = np.random.default_rng(3)
    moments = np.cumsum(rng.exponential(2, 120)).round(2)
    rows = [f"{at},{rng.integers(10, 900)},{rng.integers(1, 60)}" for at in moments]
    text = "arrival_s,input_tokens,output_tokens\n" + "\n".join(rows)
    file = written(tmp_path, "own.csv", text)
    words = f"--scenario server --sut simulated --clock virtual --load trace:{file}@2x"
    result, _ = run(f"{words} --min-queries 100 --min-duration 0", tmp_path / "runs")
    assert result["status"] == "VALID"
    assert result["counts"]["samples"] == 120
    assert result["counts"]["tokens"] == sum(int(row.split(",")[2]) for row in rows)
    expected = (len(rows) - 1) / ((moments[-1] - moments[0]) / 2)
    assert result["throughput"]["scheduled_samples_per_s"] == pytest.approx(expected, rel=1e-3)
    assert result["settings"]["target_qps_origin"] == "the load's own"
    assert {row["name"] for row in result["division"]["differs"]} >= {"load"}
    assert result["loadgen_valid"] is None
    assert all(a <= b for a, b in pairwise(moments))


def test_an_empty_window_is_refused(tmp_path):
    file = written(tmp_path, "burst.csv", BURST)
    words = f"--scenario server --sut simulated --clock virtual --load trace:{file}@1h..2h"
    _, screen = run(words, tmp_path / "runs", code=2)
    assert "no request falls into the window" in screen
