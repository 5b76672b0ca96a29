"""A driver that stands still again and again: is it blamed, and not the system?"""

import json
import time

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.clock import RealClock
from scenarios import uncertainty
from sut.simulated import Simulated

STALL_S, EVERY_S = 0.06, 0.2
HERE = __name__


class Apart(Simulated):
    """The same in a process of its own."""

    isolated, uses_dataset = True, False
    evidence = frozenset(("ids", "counts"))


class AtOnce(Simulated):
    """Tells its first token when it tells all the others."""

    isolated = uses_dataset = False
    evidence, real_time = frozenset(("ids", "counts")), ""

    def __init__(self, clock, **options):
        super().__init__(clock, per_token_ms=0.0, **options)


@pytest.fixture
def stalled(monkeypatch):
    """The driver stands still before it listens, as one that was stopped or got no processor."""
    wait, state = RealClock.wait, {"next_s": 0.0}

    def late(self, until_ns):
        if time.perf_counter() > state["next_s"]:
            time.sleep(STALL_S)
            state["next_s"] = time.perf_counter() + EVERY_S
        return wait(self, until_ns)

    monkeypatch.setattr(RealClock, "wait", late)
    monkeypatch.setattr(uncertainty, "ERROR_SHARE", 0.10)


def run(folder, *words):
    command = ["run", "--output-dir", str(folder), "--json", "--warmup", "0", *words]
    ran = CliRunner().invoke(app, command)
    result = json.loads(ran.stdout.splitlines()[-1])
    return ran, result, {verdict["rule"]: verdict for verdict in result["verdicts"]}


OPTIONS = ("--scenario", "single-stream", "--sut-option", "ttft_ms=20",
           "--sut-option", "per_token_ms=2", "--sut-option", "tokens=4")  # fmt: skip


@pytest.mark.parametrize("sut", ["simulated", f"{HERE}:Apart"])
def test_a_driver_that_stood_still_takes_the_blame(sut, stalled, tmp_path):
    """In the driver's own process timers are late, from another one messages are."""
    ran, result, found = run(tmp_path, *OPTIONS, "--sut", sut)
    assert (ran.exit_code, result["status"]) == (1, "INVALID")
    assert (found["driver_error"]["status"], found["driver_lag"]["status"]) == ("FAIL", "PASS")
    latency, error = result["latency"]["latency_ms"], result["driver_error"]["latency_ms"]
    assert latency["p90"] > 60 > latency["p90"] - error["p90"] > 20
    assert result["driver"]["error_percent"] == found["driver_error"]["measured"] > 20
    assert "free a core for the driver" in ran.stderr
    assert "±p90" in ran.stderr
    (folder,) = tmp_path.iterdir()
    assert "±p90" in (folder / "report.html").read_text()
    again = CliRunner().invoke(app, ["report", str(folder), "--json"])
    assert json.loads(again.stdout)["driver_error"] == result["driver_error"]


def test_every_run_in_real_time_tells_its_own_error(tmp_path):
    _, result, found = run(tmp_path, *OPTIONS, "--sut", "simulated", "--min-queries", "8")
    assert {"driver_error", "foreign_load"} <= found.keys()
    assert set(result["driver_error"]) == {"ttft_ms", "tpot_ms", "itl_ms", "latency_ms"}
    assert 0 <= result["driver_error"]["ttft_ms"]["p50"] < result["latency"]["ttft_ms"]["p50"]


def test_on_a_virtual_clock_nothing_of_this_exists(tmp_path):
    _, result, found = run(tmp_path, *OPTIONS, "--sut", "simulated", "--clock", "virtual")
    assert not found.keys() & {"driver_error", "foreign_load"}
    assert (result["driver_error"], result["load"]) == ({}, {})
    assert result["driver"]["error_percent"] is None


# ---- answers that come whole


@pytest.mark.parametrize("tokens", [4, 32])
def test_answers_that_come_whole_pass_no_limit_of_tpot(tokens, tmp_path):
    words = ("--scenario", "server", "--target-qps", "20", "--clock", "virtual")
    ran, result, found = run(
        tmp_path, *words, "--sut", f"{HERE}:AtOnce", "--in-process",
        "--sut-option", f"tokens={tokens}",
    )  # fmt: skip
    assert (ran.exit_code, result["status"]) == (0, "VALID")
    assert {found[rule]["status"] for rule in ("tpot_p90", "tpot_early_stopping")} == {"SKIPPED"}
    assert found["tpot_p90"]["measured"] is None
    assert "every answer came whole" in found["tpot_p90"]["detail"]
    assert "--target-latency" in found["tpot_p90"]["remedy"]
    assert found["streamed"]["status"] == "SKIPPED"
    assert result["status_reason"] == (
        "every other condition holds; tpot_p90, tpot_early_stopping could not be judged"
    )
    assert result["official_lacks"] == ["profile", "tpot_p90", "tpot_early_stopping"]
    for name in ("tpot_ms", "itl_ms"):
        assert (result["latency"][name]["n"], result["latency"][name]["p90"]) == (0, None)
