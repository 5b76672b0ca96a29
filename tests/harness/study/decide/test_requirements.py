"""What may be required: figures, limits with units, and what cannot be meant."""

from __future__ import annotations

import pytest

from harness.kernel.errors import BadInput
from harness.kernel.words.judged import TABLE
from harness.kernel.words.measure import MEASURES, in_rows
from harness.study.decide.wishes.requirements import objective, requirements
from harness.study.decide.wishes.wanted import Asked, is_held, wanted


@pytest.mark.parametrize(
    ("text", "name", "sign", "limit"),
    [
        ("rouge>=99%", "rouge", ">=", 0.99),
        ("ttft_p99<=2s", "ttft_p99", "<=", 2.0),
        ("ttft_p99_ms < 200 ms", "ttft_p99", "<=", 0.2),
        ("tpot_p99.9<=0.5s", "tpot_p99.9", "<=", 0.5),
        ("memory<=8GiB", "memory", "<=", 8 * 2**30),
        ("peak_bytes<=8GB", "memory", "<=", 8e9),
        ("tokens_per_s>=1_000", "tokens_per_s", ">=", 1000),
        ("exact_match>=40", "exact_match", ">=", 40),
        ("usd_per_hour<=50", "usd_per_hour", "<=", 50),
        ("perplexity ≤ 1e2", "perplexity", "<=", 100),
    ],
)
def test_a_requirement_is_read(text, name, sign, limit):
    (found,) = requirements(text)
    assert (found.measure.name, found.sign) == (name, sign)
    assert found.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rogue>=99%", "'rogue' is not known.*Did you mean 'rouge'"),
        ("rouge>=0.99", "has no unit; expected one, such as %"),
        ("memory<=8", "has no unit; expected one, such as GiB, MiB"),
        ("memory<=8s", "'s' is no unit of memory; expected GiB"),
        ("ttft_p99<=2GiB", "'GiB' is no unit of ttft_p99; expected s, ms"),
        ("tokens_per_s>=100%", "'%' is no unit of tokens_per_s"),
        ("ttft_p100<=2s", "p100 is no percentile"),
        ("memory<=-8GiB", "the limit of 'memory<=-8GiB' is -8; expected 0 or more"),
        ("memory==8GiB", "asks for one exact value"),
        ("memory", "'memory' cannot be read"),
        ("memory<=much", "has no number as its limit"),
        ("memory<=8GiB, memory>=9GiB", "contradict each other"),
        ("rouge>=99%, rouge>=99.9%", "are two limits of one kind"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(text, words):
    with pytest.raises(BadInput, match=words):
        requirements(text)


def test_a_figure_is_sought_in_the_direction_that_is_better():
    with pytest.raises(BadInput, match="ttft_p99 is better when it is lower"):
        objective("ttft_p99", None, "tokens_per_s")
    with pytest.raises(BadInput, match="both --maximise and --minimise"):
        objective("tokens_per_s", "memory", "tokens_per_s")
    assert objective(None, None, "usd_per_hour").largest is False


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("servers<=20"), "servers is asked for; it needs --need-qps"),
        (Asked("", None, "usd_per_million_tokens"), "it needs --price-per-hour"),
        (Asked("ttft_p99<=2s, latency_p99<=10s"), "limits on latency and on TTFT or TPOT"),
    ],
)
def test_what_a_figure_needs_is_said(asked, words):
    with pytest.raises(BadInput, match=words):
        wanted(asked)


@pytest.mark.parametrize(
    ("require", "prices", "stages"),
    [
        ("", {}, ["speed"]),
        ("memory<=8GiB", {}, ["speed"]),
        ("rouge>=99%", {}, ["speed", "quality"]),
        ("ttft_p99<=2s, rouge>=99%", {}, ["speed", "quality", "rate"]),
        ("", {"price_per_hour": "2"}, ["speed"]),
        ("", {"price_per_hour": "2", "need_qps": 500.0}, ["rate"]),
        ("rouge>=99%", {"need_qps": 5.0, "price_per_hour": "2"}, ["quality", "rate"]),
    ],
)
def test_only_the_stages_that_an_answer_rests_on_are_needed(require, prices, stages):
    assert wanted(Asked(require, None, None, prices)).stages == stages


def test_latencies_become_the_limits_of_the_search_at_the_highest_percentile():
    found = wanted(Asked("ttft_p99<=2s, tpot_p90<=200ms, latency_mean<=9s"))
    assert found.limits() == {"ttft_limit": 2.0, "tpot_limit": 0.2, "percentile": 99.0}


def test_a_search_with_looser_limits_has_not_kept_a_requirement():
    (one,) = requirements("ttft_p99<=2s")
    limits = {"use_tokens": True, "ttft_limit_ns": 2_000_000_000, "percentile": 0.99}
    assert is_held(one, limits)
    assert not is_held(one, limits | {"percentile": 0.9})
    assert not is_held(one, limits | {"ttft_limit_ns": 3_000_000_000})
    assert not is_held(one, limits | {"use_tokens": False})


def test_a_figure_of_two_names_is_better_the_same_way():
    for one in MEASURES.values():
        if (known := in_rows(one.name)) is not None:
            assert one.better == TABLE[known[0]].better, one.name
    assert in_rows("ttft_p99") == ("ttft_p99_ms", 1e3)
    assert in_rows("ttft_p99.9") is None
