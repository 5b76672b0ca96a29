"""The GPU's benchmark over tiny shapes on the CPU, and what becomes of parts that break."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.bench.gpu import command, parts, table, wanted
from tests.bench.gpu.shapes import Setup

DRY = Setup("cpu", True, "")


def broken(setup):
    yield "engine.tokens_per_s.1", 400.0
    raise RuntimeError("CUDA error: an illegal memory access\nwas encountered")


@pytest.fixture
def words(tmp_path):
    names = ("engine-8B", "generate-8B", "harness-1B", "same-smollm2", "variant-int8")
    only = [word for name in names for word in ("--only", name)]
    return ["--device", "cpu", "--tiny", *only, "--output", str(tmp_path / "gpu.md")]


def test_a_dry_run_fills_the_table_and_one_broken_part_takes_no_other(
    words, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(parts.PARTS, "variant-int8", parts.Part("8B", 9.0, broken))
    assert command.main(words) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["missing"] == {
        "variant-int8": "RuntimeError: CUDA error: an illegal memory access"
    }
    measured = {row["what"].strip() for row in found["rows"] if row["ratio"] is not None}
    assert measured >= {
        "8B bf16, decode step, 1 row: ours, limit",
        "1 row: eager lean step, limit",
        "1B bf16, offline: the scenario, its engine bare",
        "1B bf16, server at 70 %: TPOT p99, p50",
        "8B bf16, windows of 1,024: scoring, bare forward pass",
        "SmolLM2 fp32, greedy answers: those of generate or near ties, all",
    }
    assert {row["met"] for row in found["rows"]} == {None}, "tiny shapes meet and miss nothing"
    page = (tmp_path / "gpu.md").read_text()
    assert "these figures say nothing" in page
    assert "- not measured, variant-int8: RuntimeError" in page
    assert page.strip() in capsys.readouterr().out


def test_what_no_time_is_left_for_is_named(words, tmp_path):
    assert command.main([*words, "--budget", "1"]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert set(found["missing"].values()) == {"the time was over"}
    assert found["figures"] == {}


def test_a_machine_without_a_gpu_gets_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(command, "_has_gpu", lambda: False)
    with pytest.raises(SystemExit):
        command.main([])
    assert "torch sees no GPU here" in capsys.readouterr().err


@dataclass
class Shell:
    """A part's process: a shell script in the place of Python."""

    executable: str


def process(tmp_path, monkeypatch, script):
    file = tmp_path / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(parts, "sys", Shell(str(file)))


def test_what_a_part_told_before_it_died_is_kept(tmp_path, monkeypatch):
    script = (
        """echo 'Loading weights'; echo '["step_ms.1", 7.5]'; echo 'CUDA is gone' >&2; exit 3"""
    )
    process(tmp_path, monkeypatch, script)
    found, why = parts.apart("engine-8B", DRY, 30.0)
    assert (found, why) == ({"8B.step_ms.1": 7.5}, "CUDA is gone")


def test_a_part_that_hangs_is_killed_and_keeps_its_figures(tmp_path, monkeypatch):
    process(tmp_path, monkeypatch, """echo '["step_ms.1", 7.5]'; exec sleep 60""")
    found, why = parts.apart("engine-8B", DRY, 0.5)
    assert (found, why) == ({"8B.step_ms.1": 7.5}, "it took more than 0.5 s")


FIGURES = {
    "8B.step_ms.1": 7.7, "8B.limit_ms.1": 5.3, "8B.step_ms.8": 15.0, "8B.limit_ms.8": 5.4,
    "8B.engine.tokens_per_s.8": 900.0, "8B.generate.tokens_per_s.8": 200.0,
    "8B.fp32.tokens_per_s": 500.0, "8B.bf16.tokens_per_s": 900.0, "8B.path": "graph lean",
    "8B.copy_bytes_per_s": 3.03e12,
    "smollm2.questions": 50, "smollm2.same": 48, "smollm2.near_ties": 2, "smollm2.different": 0,
}  # fmt: skip


def verdicts(figures=FIGURES):
    return {row.what: row.met for row in wanted.rows(figures)}


def test_rows_are_judged_by_their_ratio():
    found = verdicts()
    assert found["8B bf16, decode step, 1 row: ours, limit"] is True
    assert found["8B bf16, decode step, 8 rows: ours, limit"] is False
    assert found["8B bf16, first pass, 8 at once: ours, generate"] is True
    assert found["8B, 8 at once: bf16, fp32"] is True
    assert found["8B, 8 at once: fp8, bf16"] is None, "nobody measured it"
    assert found["SmolLM2 fp32, greedy answers: those of generate or near ties, all"] is True
    assert not verdicts(FIGURES | {"smollm2.same": 47})[
        "SmolLM2 fp32, greedy answers: those of generate or near ties, all"
    ]


def test_every_row_names_figures_that_a_part_makes():
    names = {name for one in wanted.WANTED for name in (one.ours, one.other)}
    assert {name.partition(".")[0] for name in names} <= {
        part.prefix for part in parts.PARTS.values()
    }
    variants = {name.split(".")[1] for name in names if name.count(".") == 2 and "tokens" in name}
    assert variants >= set(parts.VARIANTS)


def test_the_table_says_where_it_was_measured():
    facts = {"date": "2026-11-27", "device": "NVIDIA H100, 80 GiB"}
    outcome = table.Outcome(facts, FIGURES, {"same-smollm2": "no model"}, wanted.rows(FIGURES), 9.0)
    page = table.markdown(outcome)
    assert outcome.missed
    assert "Measured: date 2026-11-27, device NVIDIA H100, 80 GiB; 9 s." in page
    assert (
        "| ok | 8B bf16, decode step, 1 row: ours, limit | 7.7 | 5.3 | ms | 1.45x | at most 1.5x |"
        in page
    )
    assert "| MISSED | 8B bf16, decode step, 8 rows: ours, limit |" in page
    assert "a copy moves 3,030.0 GB/s" in page
    assert "- 8B: decode steps are graph lean" in page
