"""What a comparison may say of its figures: a lead only where the data decide it, and the gate's
word on what a variant keeps.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from accuracy.ranking import Losses, lead, losses_beside, pace_of, rates_beside, scores_beside
from accuracy.resampling import Estimate
from harness.result.publish import publish
from harness.study.comparison import compare
from harness.study.comparison.evidence import Evidence
from reports.pages import compare as page
from tests.harness.study.comparison.test_compare import MIB, row
from tests.harness.study.gating.test_gate import ANSWER, COSTLY, N, answers, dataset, invoke, make

ANSWERS = 200


def losses(nats, spread=0.3, seed=1, tokens=40):
    """Answers of 40 tokens, each at about so many nats a token."""
    per_token = np.random.default_rng(seed).normal(nats, spread, ANSWERS)
    counts = np.full(ANSWERS, tokens)
    return Losses(np.arange(ANSWERS), per_token * counts, counts)


def above(known, nats, spread=0.0, seed=2):
    """The same answers, so much harder for another model, more or less."""
    rise = np.random.default_rng(seed).normal(nats, spread, ANSWERS)
    return replace(known, nll_nats=known.nll_nats + rise * known.tokens)


def of(known):
    return float(known.nll_nats.sum() / known.tokens.sum())


def compared(rows, evidence=()):
    extra = {"interrupted": False, "not_run": [], "folder": "runs/c"}
    return compare.compare(rows, evidence) | extra


def steady(tokens=400, seconds=10.0, jitter=0.0, seed=1):
    """The moments at which tokens came."""
    gaps = np.random.default_rng(seed).normal(1.0, jitter, tokens).clip(0.05)
    return pace_of((np.cumsum(gaps) * seconds * 1e9 / gaps.sum()).astype(np.int64))


# ---- ranking


def beside(low, high):
    return lambda name, best: Estimate((low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("low", "high", "tied"), [(0.9, 0.99, ()), (0.9, 1.0, ("b",)), (0.97, 1.02, ("b",))]
)
def test_what_the_interval_does_not_decide_is_a_tie(low, high, tied):
    found = lead({"a": 10.0, "b": 9.0, "c": None}, beside(low, high), largest=True, equality=1.0)
    assert (found.best, found.tied, found.judged) == ("a", tied, True)
    assert found.decided == (None if tied else "a")


def test_equal_figures_are_a_tie_whatever_is_known_of_chance():
    found = lead({"a": 5.0, "b": 5.0}, lambda name, best: None, largest=False, equality=0.0)
    assert (found.best, found.tied, found.judged) == ("a", ("b",), True)


def test_an_interval_of_too_few_is_a_tie_and_none_at_all_leaves_the_figure_alone():
    few = lead({"a": 5.0, "b": 6.0}, lambda *_: Estimate(1.0), largest=False, equality=0.0)
    assert few.tied == ("b",)
    alone = lead({"a": 5.0, "b": 6.0}, lambda *_: None, largest=False, equality=0.0)
    assert (alone.decided, alone.judged) == ("a", False)


def test_nothing_beside_nothing_is_no_tie():
    zeros = {"a": 0.0, "b": 0.0}
    assert lead(zeros, beside(0, 0), largest=True, equality=0.0) is None
    assert lead(zeros, beside(0, 0), largest=False, equality=0.0).tied == ("b",)


def test_a_single_figure_leads_nobody():
    assert lead({"a": 5.0, "b": None}, beside(0, 1), largest=True, equality=1.0) is None


def test_losses_are_compared_answer_by_answer():
    """They spread by 0.3 nats from answer to answer, and yet 0.01 nats between the two are sure."""
    ours = losses(3.0)
    theirs = above(ours, 0.01, spread=0.02)
    found = losses_beside(theirs, ours)
    assert found.low == pytest.approx(0.01 - 2.0 * 0.02 / ANSWERS**0.5, abs=0.002)
    assert 0 < found.low < found.value < found.high < 0.015
    other = losses_beside(losses(3.0, seed=5), ours)
    assert other.low < 0 < other.high


def test_losses_of_other_tokens_do_not_compare():
    assert losses_beside(losses(3.0), losses(3.0, tokens=41)) is None
    assert losses_beside(losses(3.0), replace(losses(3.0), index=np.arange(ANSWERS) + 500)) is None


def test_scores_are_compared_question_by_question():
    scores = np.random.default_rng(1).uniform(0, 100, 300)
    found = scores_beside(scores - 0.5, scores)
    assert found == pytest.approx((-0.5, -0.5, -0.5))


def test_a_rate_is_compared_part_by_part():
    """Twice the speed, each part of the tokens twice as fast: there is no doubt about it."""
    assert rates_beside(steady(seconds=5.0), steady(seconds=10.0)) == pytest.approx((2.0, 2.0, 2.0))
    found = rates_beside(steady(jitter=0.6, seed=3), steady(jitter=0.6, seed=4))
    assert found.low < 1.0 < found.high
    assert found.value == pytest.approx(1.0)


def test_a_rate_counts_the_tokens_of_either_run():
    assert rates_beside(steady(800), steady(400)).value == pytest.approx(2.0)


def test_a_run_of_fewer_tokens_than_parts_is_too_short_to_tell():
    short, enough = (pace_of(np.arange(1, n) * 10**9) for n in (20, 21))
    assert enough.seconds.tolist() == [1.0] * 20
    assert rates_beside(short, enough) == (None, None, None)
    rows = [row(), row("bf16", tokens_per_s=300.0)]
    assert compared(rows, [Evidence(pace=short)] * 2)["verdict"]["fastest"] is None


# ---- what the comparison says


def test_two_identical_models_are_a_tie_in_everything():
    known = Evidence(losses(3.0), None, steady(jitter=0.2))
    found = compared([row(), row("fp32", model="m")], [known, known])
    assert {name: found["verdict"][name] for name in ("fastest", "smallest", "best")} == {
        "fastest": None,
        "smallest": None,
        "best": None,
    }
    assert page.sentences(found)[:3] == [
        "fastest: a tie of fp32 #1, 100 tokens/s and fp32 #2, 100 tokens/s",
        "smallest: a tie of fp32 #1, 512 MiB and fp32 #2, 512 MiB",
        "best: a tie of fp32 #1, loss 3.0000 and fp32 #2, loss 3.0000",
    ]


def test_a_loss_that_chance_explains_makes_nobody_the_best():
    ours = losses(3.0)
    theirs = above(ours, -0.002, spread=0.05)
    rows = [row(eval_loss=of(ours)), row("int8-quanto", eval_loss=of(theirs))]
    found = compared(rows, [Evidence(ours), Evidence(theirs)])
    assert found["verdict"]["best"] is None
    assert found["verdict"]["leads"]["best"]["tied"] == ["fp32"]
    (sentence,) = [words for words in page.sentences(found) if words.startswith("best")]
    assert sentence.startswith("best: a tie of int8-quanto, loss ")
    assert "and fp32, loss" in sentence


def test_a_loss_that_is_lower_for_sure_is_the_best():
    ours = losses(3.0)
    theirs = above(ours, -0.02, spread=0.05)
    rows = [row(eval_loss=of(ours)), row("lora", eval_loss=of(theirs))]
    found = compared(rows, [Evidence(ours), Evidence(theirs)])
    assert found["verdict"]["best"] == "lora"
    (sentence,) = [words for words in page.sentences(found) if words.startswith("best")]
    assert "; the next, fp32, is 0.0" in sentence
    assert sentence.endswith("higher")


def test_speeds_that_vary_more_than_they_differ_are_a_tie():
    rows = [row(), row("bf16", tokens_per_s=101.0)]
    shaky = [Evidence(pace=steady(jitter=0.6, seed=s)) for s in (3, 4)]
    assert compared(rows, shaky)["verdict"]["fastest"] is None
    sure = [Evidence(pace=steady(seconds=10.1)), Evidence(pace=steady(seconds=10.0))]
    found = compared(rows, sure)
    assert found["verdict"]["fastest"] == "bf16"
    assert page.sentences(found)[0] == (
        "fastest: bf16, 101 tokens/s, 1.01x of fp32; the next, fp32, has 0.99x to 0.99x of that"
    )


def test_figures_without_evidence_stand_alone_and_it_says_so():
    words = page.sentences(compared([row(), row("bf16", tokens_per_s=150.0, eval_loss=2.9)]))
    assert words[0] == "fastest: bf16, 150 tokens/s, 1.50x of fp32, by the figure alone"
    assert words[2] == "best: bf16, loss 2.9000, by the figure alone"


def test_losses_per_token_of_different_tokenizers_are_not_ranked():
    rows = [row(), row(model="n", eval_loss=1.0, tokenizer="u", rougeL=29.0)]
    found = compared(rows)
    assert (found["verdict"]["best_by"], found["verdict"]["best"]) == ("rougeL", "m fp32")
    assert any(words.startswith("losses are not ranked") for words in page.sentences(found))


def test_losses_on_other_data_are_not_paired():
    """The first answers of two datasets may have as many tokens as one another."""
    ours = losses(3.0)
    theirs = above(ours, -0.02, spread=0.05)
    other = {"scenario": "offline", "dataset": "mixed 12345678", "samples": "200"}
    rows = [row(eval_loss=of(ours)), row("lora", eval_loss=of(theirs), conditions=other)]
    found = compared(rows, [Evidence(ours), Evidence(theirs)])
    assert found["verdict"]["leads"]["best"]["others"] == {}
    assert not found["verdict"]["leads"]["best"]["judged"]


def test_one_variant_alone_is_no_ranking():
    found = compared([row(weights_bytes=90 * MIB)])
    assert page.sentences(found) == []


# ---- the gate's word


def published(*folders):
    for folder in folders:
        publish(folder, page=False)
    return folders


def run_compare(tmp_path, *folders):
    series = compare.series(folders, {"output_dir": tmp_path / "out"}, None)
    return compare.run(series, lambda text: None, lambda row: None)[0]


def cut(text, words):
    return [" ".join(answer.split()[:words]) for answer in answers(text)]


@pytest.mark.parametrize(
    ("texts", "tokens", "words"),
    [
        (answers(), 8, ("PASS", "PASS")),
        (answers(), 6, ("FAIL", "FAIL")),  # the length rule: 75 % of the tokens
        (answers(COSTLY), 8, ("FAIL", "FAIL")),
        ([COSTLY.format(0), *answers()[1:]], 8, ("UNDECIDED", "UNDECIDED")),
    ],
)
def test_compare_says_what_the_gate_says(tmp_path, texts, tokens, words):
    file = dataset(tmp_path)
    reference = make(tmp_path, answers(), file=file)
    candidate = make(tmp_path, texts, "lora", file, tokens=tokens)
    _, judged, _ = invoke(reference, candidate)
    (gated,) = judged["rows"]
    published(reference, candidate)
    found = run_compare(tmp_path, reference, candidate)
    ours = found["rows"][1]
    verdicts = gated["readings"]["dataset"]["verdicts"]
    assert (ours["keeps_99"], ours["keeps_99.9"]) == words
    assert words == (verdicts["99"]["status"], verdicts["99.9"]["status"])
    assert ours["keeps_reasons"]["99.9"] == gated["reason"]
    ratios = {ratio["name"]: ratio["value"] for ratio in gated["readings"]["dataset"]["ratios"]}
    assert ours["tokens_ratio"] == ratios["tokens"]
    assert ours["rouge_ratio"] == min(ratios[kind] for kind in ("rouge1", "rouge2", "rougeL"))
    assert found["rows"][0]["keeps_99"] is None


def test_a_variant_that_the_length_rule_fails_is_not_said_to_keep_anything(tmp_path):
    file = dataset(tmp_path)
    folders = published(
        make(tmp_path, answers(), file=file), make(tmp_path, answers(), "lora", file, tokens=6)
    )
    found = run_compare(tmp_path, *folders)
    verdict = found["verdict"]
    assert verdict["rouge_kept"] == {"99.9": [], "99": []}
    assert verdict["rouge_lost"] == ["lora"]
    assert page.sentences(found)[-2:] == [
        f"{share} % of fp32 kept: lora FAIL, tokens per sample 75.00 % (75.00 to 75.00) misses"
        " 90 to 110 %"
        for share in ("99.9", "99")
    ]


def test_answers_that_are_not_there_any_more_are_not_judged(tmp_path):
    file = dataset(tmp_path)
    folders = published(
        make(tmp_path, answers(), file=file), make(tmp_path, answers(), "bf16", file)
    )
    file.write_text('{"prompt": "another"}\n')
    found = run_compare(tmp_path, *folders)
    assert found["rows"][1]["keeps_99"] is None
    assert (
        "no verdict on keeping the ROUGE of fp32: the dataset has moved or changed"
        in page.sentences(found)[-1]
    )


def test_rouge_without_an_evaluation_is_compared_question_by_question(tmp_path):
    file = dataset(tmp_path)
    worse = [ANSWER.format(i).replace("alpha", "omega") for i in range(N)]
    folders = published(make(tmp_path, answers(), file=file), make(tmp_path, worse, "nf4", file))
    found = run_compare(tmp_path, *folders)
    assert (found["verdict"]["best_by"], found["verdict"]["best"]) == ("rougeL", "fp32")
    assert found["verdict"]["leads"]["best"]["judged"]


def test_answers_that_rouge_cannot_read_make_nobody_the_best_and_the_reason_is_told(tmp_path):
    file = dataset(tmp_path)
    chinese = [f"第{i}题的答案是巴黎。" for i in range(N)]
    rows = [{"prompt": f"q {i}", "reference": text} for i, text in enumerate(chinese)]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    folders = published(
        make(tmp_path, chinese, file=file), make(tmp_path, ["我不知道。"] * N, "int8", file)
    )
    found = run_compare(tmp_path, *folders)
    row = found["rows"][1]
    assert (row["rougeL"], row["rouge_ratio"], found["verdict"]["best"]) == (None, None, None)
    assert row["keeps_99"] == row["keeps_99.9"] == "UNDECIDED"
    assert "ROUGE cannot read 40 of 40" in row["keeps_reasons"]["99"]
    assert any("ROUGE cannot read 40 of 40" in words for words in page.sentences(found))
