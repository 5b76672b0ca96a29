"""Who is chosen, how sure that is, and what would change it: figures in, an answer out."""

from __future__ import annotations

import numpy as np
import pytest

from accuracy.resampling import Estimate
from harness.cost.uncertain import measured
from harness.study.decide.answer import answer
from harness.study.decide.choice import choose, surely_worse
from harness.study.decide.known.facts import statistic_of
from harness.study.decide.known.judged import judge
from harness.study.decide.known.quality import Quality
from harness.study.decide.known.standing import Standing
from harness.study.decide.wishes.wanted import Asked, wanted
from reports.pages.decide import page, sentences
from tests.bench.decide import tallies

GIB = 2.0**30


def standing(asked, label, quality=None, **figures):
    """A deployment whose figures are (value, low, high), or a value without an interval."""
    one = Standing(label, "fp32")
    for name, figure in figures.items():
        ends = figure if isinstance(figure, tuple) else (figure, None, None)
        one.figures[name] = measured(Estimate(*ends), label, name)
    if quality is not None:
        one.quality = quality
        one.figures["rouge"] = measured(quality.kept, label, "rouge")
    one.runs["speed"] = None  # measured, somewhere
    one.judged = judge(asked.requirements, one.figures, one.quality, {})
    return one


def exact(value):
    return value, value, value


ASKED = wanted(Asked("memory<=8GiB", "tokens_per_s"))


def three():
    return [
        standing(ASKED, "fp32", memory=exact(10 * GIB), tokens_per_s=(300.0, 290.0, 310.0)),
        standing(ASKED, "bf16", memory=exact(6 * GIB), tokens_per_s=(100.0, 90.0, 110.0)),
        standing(ASKED, "int8", memory=exact(4 * GIB), tokens_per_s=(120.0, 110.0, 130.0)),
    ]


def test_the_best_of_those_that_keep_every_requirement_is_chosen():
    found = choose(three(), ASKED.objective)
    assert found.answer.label == "int8"
    assert found.runner_up.label == "bf16"


def test_how_sure_is_how_often_chance_would_choose_the_same():
    found = choose(three(), ASKED.objective)
    # two normal figures, 20 apart, each with a standard error of 10 / 1.96
    expected = 0.997
    assert found.sure == pytest.approx(expected, abs=0.003)
    assert sum(found.shares.values()) == pytest.approx(1.0)


def test_equal_figures_are_chosen_as_often():
    pair = [standing(ASKED, name, memory=exact(GIB), tokens_per_s=(100.0, 90.0, 110.0))
            for name in ("a", "b")]  # fmt: skip
    assert choose(pair, ASKED.objective).sure == pytest.approx(0.5, abs=0.03)


def test_a_requirement_that_is_open_makes_the_answer_unsure():
    asked = wanted(Asked("rouge>=99%", "tokens_per_s"))
    kept = Quality(Estimate(1.0, 0.98, 1.02), "UNDECIDED", "it may be either", 800)
    found = choose(
        [
            standing(asked, "bf16", kept, tokens_per_s=(120.0, 119.0, 121.0)),
            standing(asked, "fp32", Quality(Estimate(1.0, 1.0, 1.0), "PASS"),
                     tokens_per_s=(100.0, 99.0, 101.0)),
        ],
        asked.objective,
    )  # fmt: skip
    assert found.answer.label == "bf16"
    assert found.sure == pytest.approx(0.84, abs=0.02)  # one standard error above the limit
    assert found.shares["fp32"] == pytest.approx(0.16, abs=0.02)


def test_the_gates_fail_counts_even_where_rouge_is_kept():
    asked = wanted(Asked("rouge>=99%", "tokens_per_s"))
    short = Quality(Estimate(1.2, 1.1, 1.3), "FAIL", "the answers are 80 % as long")
    found = choose([standing(asked, "lora", short, tokens_per_s=exact(9.0))], asked.objective)
    assert found.answer is None


def test_what_has_no_figure_is_not_chosen():
    one = standing(ASKED, "a", tokens_per_s=exact(9.0))
    assert choose([one], ASKED.objective).answer is None
    assert one.judged[0].status == "UNKNOWN"


def test_only_what_chance_cannot_turn_round_is_surely_worse():
    fp32, bf16, int8 = three()
    assert surely_worse(bf16, fp32, ASKED.objective)
    assert not surely_worse(bf16, int8, ASKED.objective)


def test_answers_are_right_as_often_as_they_say():
    """The same of 2,000 decisions: python -m tests.bench decide."""
    for tally in tallies(150):
        error = 3 * np.sqrt(0.25 / tally.decisions)
        assert tally.right == pytest.approx(tally.sure, abs=error + 0.02)


# ---- words


@pytest.fixture
def decided(monkeypatch):
    monkeypatch.setattr("harness.study.decide.answer._differences", lambda *_: [])
    monkeypatch.setattr("harness.study.decide.answer._limits_beside", lambda *_: [])
    monkeypatch.setattr(Standing, "row", {"variant": "v", "model": "m"})

    def decide(standings, asked=ASKED):
        for one in standings:
            one.runs = {}
        found = answer(standings, asked)
        for one, standing_ in zip(found["candidates"], standings, strict=True):
            one["status"] = "FITS" if standing_.fits else "MISSES"
        return found | {"interrupted": False, "folder": "runs/d"}

    return decide


def test_the_answer_says_which_and_what_would_change_it(decided):
    found = decided(three())
    assert sentences.answer(found) == (
        "Deploy int8. Its speed, 120 tokens/s (110 to 130), is the highest of the 2 that keep"
        " every requirement."
    )
    assert sentences.changes(found) == [
        "fp32 would be the answer (300 tokens/s (290 to 310)) if it kept memory<=8GiB"
        " (peak memory 10 GiB).",
        "The next is bf16 (100 tokens/s (90 to 110)): it would have to be 20 % higher to win.",
        "Kept by the least: memory<=8GiB, peak memory 4 GiB, 50 % to spare.",
    ]


def test_an_interrupted_decision_says_that_it_is_none_yet(decided):
    found = decided(three())
    assert sentences.doubts(found) == []
    (said,) = sentences.doubts(found | {"interrupted": True})
    assert said.startswith("Not finished: the measurements were interrupted")


def test_nothing_fits_and_the_nearest_says_what_it_misses(decided):
    asked = wanted(Asked("memory<=2GiB", "tokens_per_s"))
    found = decided([standing(asked, "fp32", memory=exact(10 * GIB), tokens_per_s=exact(3.0)),
                     standing(asked, "int8", memory=exact(3 * GIB), tokens_per_s=exact(1.0))],
                    asked)  # fmt: skip
    assert found["answer"] is None
    assert sentences.answer(found) == (
        "Nothing fits: no deployment keeps every requirement. The nearest is int8, which misses"
        " memory<=2GiB (peak memory 3 GiB)."
    )


def test_servers_and_costs_are_in_the_sentence(decided):
    asked = wanted(Asked("", None, "usd_per_hour",
                         {"price_per_hour": "2.5", "need_qps": 500.0}))  # fmt: skip
    one = standing(asked, "int8", valid_qps=exact(25.0))
    one.figures |= {"servers": measured(Estimate(20.0, 19.0, 22.0), "s"),
                    "usd_per_hour": measured(Estimate(50.0, 47.5, 55.0), "s"),
                    "usd_per_million_tokens_needed": measured(Estimate(0.5, 0.4, 0.6), "t"),
                    }  # fmt: skip
    said = sentences.answer(decided([one], asked))
    assert said.startswith(
        "Deploy int8 on 20 servers (19 to 22), which carry 500 queries/s (each up to 25"
        " queries/s), for 50.00 USD an hour (47.50 to 55.00) or 0.5 USD per million output"
        " tokens (0.4 to 0.6)."
    )


def test_the_page_shows_hostile_names_as_text(decided):
    found = decided([standing(ASKED, "<script>alert(1)</script>\u202e", memory=exact(GIB),
                              tokens_per_s=exact(3.0))])  # fmt: skip
    shown = page.render(found)
    assert "<script>" not in shown
    assert "\u202e" not in shown


# ---- percentiles of a run


def test_a_percentile_of_independent_values_has_about_their_binomial_interval():
    values = np.random.default_rng(5).exponential(1.0, 20_000)
    value, low, high = statistic_of(values, "p90")
    error = np.sqrt(0.9 * 0.1 / 20_000) / 0.1  # over the density at the percentile
    assert value == pytest.approx(np.log(10), abs=4 * error)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.6)
    assert low < value < high


def test_values_that_lean_on_one_another_have_a_wider_interval():
    rng = np.random.default_rng(5)
    alone = rng.normal(10, 1, 4_000)
    waves = 10 + np.repeat(rng.normal(0, 1, 40), 100) + rng.normal(0, 0.1, 4_000)
    narrow, wide = (statistic_of(values, "p90") for values in (alone, waves))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_few_values_have_no_interval():
    assert statistic_of(np.arange(30.0), "p50") == (15.0, None, None)
    assert statistic_of(np.arange(0.0), "p50").value is None


# ---- which is best


def priced_and_scored():
    asked = wanted(Asked("rouge>=90%", "tokens_per_s"))

    def kept(share):
        return Quality(Estimate(share, share - 0.01, share + 0.01), "PASS", "", None)

    made = [
        ("fp32", 1.0, 100.0, 7.0),
        ("bf16", 0.99, 250.0, 3.0),
        ("int8", 0.95, 150.0, 5.0),
    ]  # fmt: skip
    return asked, [
        standing(
            asked, name, kept(share), memory=exact(GIB), ttft_p99=(0.2, 0.19, 0.21),
            tokens_per_s=(speed, speed - 5, speed + 5),
            usd_per_million_tokens=(usd, usd - 0.1, usd + 0.1),
        )
        for name, share, speed, usd in made
    ]  # fmt: skip


def test_a_decision_shows_quality_against_cost_and_who_is_beaten(decided):
    asked, all_three = priced_and_scored()
    found = decided(all_three, asked)
    fronts = {one["against"]: one for one in found["best"]["fronts"]}
    front = fronts["usd_per_million_tokens"]
    assert (front["quality"], front["labels"]) == ("rouge_ratio", ["bf16", "fp32"])
    assert front["dominated"] == [{"label": "int8", "by": "bf16", "sure": True}]
    shown = page.render(found)
    assert "ROUGE kept against cost" in shown
    assert "Grey: beaten in both: int8 by bf16" in shown
    assert "bf16 is first by tokens/s, cost" in shown
    values = {row["label"]: row["figures"] for row in found["best"]["rows"]}
    assert values["bf16"]["ttft_p99_ms"] == pytest.approx(200)
    assert values["bf16"]["peak_bytes"] == GIB


def test_one_deployment_is_no_best(decided):
    found = decided([standing(ASKED, "int8", memory=exact(GIB), tokens_per_s=exact(3.0))])
    assert found["best"] == {}
    assert "Which is best" not in page.render(found)
