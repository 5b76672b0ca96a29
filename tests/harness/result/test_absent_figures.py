"""Runs in which a figure cannot exist, as users meet them: limits without a figure, scores that say
nothing, answers that never came.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from sut.simulated import Simulated
from tests.harness.study.gating.test_gate import make
from tests.harness.study.gating.test_gate_shares import CHINESE, forty, questions


def harness(*words):
    """(exit code, result.json, what was said)."""
    ran = CliRunner().invoke(app, [*map(str, words), "--json"])
    result = json.loads(ran.stdout) if ran.stdout.startswith("{") else None
    return ran.exit_code, result, ran.stderr


def server(folder, *words):
    given = ("run", "--scenario", "server", "--clock", "virtual", "--target-qps", 5)
    return harness(*given, "--output-dir", folder, *words)


def verdicts(result):
    return {verdict["rule"]: verdict for verdict in result["verdicts"]}


def test_a_run_of_one_token_answers_is_valid_and_says_that_tpot_is_not_judged(tmp_path):
    code, result, said = server(tmp_path, "--sut", "simulated", "--max-new-tokens", 1)
    assert (code, result["status"], result["loadgen_valid"]) == (0, "VALID", True)
    found = verdicts(result)
    assert found["ttft_p90"]["status"] == "PASS"
    assert found["tpot_p90"]["status"] == found["tpot_early_stopping"]["status"] == "SKIPPED"
    assert found["tpot_p90"]["detail"].endswith("--max-new-tokens is 1")
    assert "more queries" not in found["tpot_early_stopping"]["detail"]
    assert "--target-latency" in said


def test_a_search_over_one_token_answers_finds_its_peak(tmp_path):
    words = ("--sut", "simulated", "--max-new-tokens", 1, "--mode", "find-peak")
    code, result, _ = server(tmp_path, *words, "--sut-option", "ttft_ms=400")
    assert (code, result["status"]) == (0, "VALID")
    assert 30 < result["result"]["value"] < 60  # 16 slots of 0.4 s


class Mute(Simulated):
    """Answers at once, with nothing."""

    def load(self, samples, sink):
        super().load(samples, Swallowing(sink))


class Whole(Simulated):
    """Sends an answer when it is complete, not its tokens."""

    def load(self, samples, sink):
        super().load(samples, Swallowing(sink, keeps=True))


class Swallowing:
    def __init__(self, sink, keeps=False):
        self.sink, self.keeps = sink, keeps

    def first_token(self, sample_id, token):
        """Tell nobody."""

    def tokens(self, sample_id, ids):
        """Tell nobody."""

    def complete(self, output):
        if not self.keeps:
            output.token_ids, output.reported_tokens = (), None
        elif output.token_ids is None:
            output.reported_tokens = 32
        self.sink.complete(output)


def factory(make_sut, evidence):
    def made(clock):
        return make_sut(clock)

    made.real_time = made.isolated = made.uses_dataset = False
    made.evidence = frozenset(evidence)
    return made


mute = factory(Mute, ("text", "counts"))
whole = factory(Whole, ("counts",))
HERE = __name__


def test_a_sut_that_does_not_stream_learns_both_ways_out(tmp_path):
    code, result, said = server(tmp_path, "--sut", f"{HERE}:whole", "--in-process")
    assert (code, result["status"]) == (1, "INVALID")
    found = verdicts(result)
    assert found["ttft_p90"]["detail"] == "no answer reported its first token"
    assert found["ttft_early_stopping"]["status"] == "SKIPPED"
    assert "report its first token" in said
    assert "--target-latency" in said
    again = ("--sut", f"{HERE}:whole", "--in-process", "--target-latency", "1s")
    assert server(tmp_path, *again)[:1] == (0,)


def test_a_search_that_no_rate_can_hold_names_the_figure_and_not_a_lower_rate(tmp_path):
    words = ("--sut", f"{HERE}:whole", "--in-process", "--mode", "find-peak")
    code, result, _ = server(tmp_path, *words)
    found = verdicts(result)["peak_bounded"]
    assert (code, found["status"]) == (1, "FAIL")
    assert "ttft_p90, no answer reported its first token" in found["detail"]
    assert "--target-latency" in found["remedy"]


def test_a_sut_that_answers_nothing_is_not_valid(tmp_path):
    words = ("--sut", f"{HERE}:mute", "--in-process", "--mode", "accuracy")
    code, result, _ = server(tmp_path, *words)
    assert (code, result["status"]) == (1, "INVALID")
    assert verdicts(result)["not_empty"]["status"] == "FAIL"


@pytest.mark.parametrize(("answers", "named"), [(forty(CHINESE), True), (["the cat"] * 40, False)])
def test_a_run_says_why_rouge_and_bleu_have_no_figure(answers, named, tmp_path):
    folder = make(tmp_path, answers, file=questions(tmp_path, answers))
    code, result, said = harness("report", folder)
    notes = " ".join(result["notes"])
    assert code == 0
    assert ("ROUGE cannot read 40 of 40 reference answers" in notes) == named
    assert ("rouge1" in result["accuracy"]) != named
    assert (result["accuracy"].get("multilingual_rouge1") == 100.0) == named
    assert "no bleu: 40 of 40 reference answers have fewer than 4 words" in notes
    if named:
        page = (Path(folder) / "report.html").read_text()
        assert "ROUGE cannot read 40 of 40" in page
        assert "ROUGE cannot read 40 of 40" in " ".join(said.split())
