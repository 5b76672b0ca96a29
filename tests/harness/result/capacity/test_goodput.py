"""How many requests kept what their users want, and how many users was that?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.errors import BadInput
from harness.options.lists.slo import limits_ns, parse_slo, slo_of
from harness.options.settings import load_config
from harness.result.capacity.goodput import capacity, goodput, kept_by
from harness.running.session import Run
from tests.scenario_helpers import MS, Row, hand_log

TWO = Row(due=0, ttft=10, latency=30, ids=(5, 6, 2))  # TPOT 10 ms


def of(rows, **limits_ms):
    return goodput(hand_log(rows), {name: ms * MS for name, ms in limits_ms.items()}, "--slo")


def test_a_request_is_good_if_it_keeps_every_objective():
    slow = Row(due=10, ttft=200, latency=220)
    dragging = Row(due=20, ttft=10, latency=130)
    found = of([TWO, slow, dragging, TWO], ttft=100, tpot=20)
    assert (found["kept"], found["n"]) == (2, 4)
    assert found["share_by"] == {"ttft": 0.75, "tpot": 0.75}
    assert found["requests_per_s"]["value"] == pytest.approx(2 / 0.230)
    assert found["tokens_per_s"] == pytest.approx(6 / 0.230)


def test_who_failed_or_never_came_back_keeps_nothing():
    failed = Row(finish="error", error="broken")
    lost = Row(ttft=None, latency=None)
    assert of([TWO, failed, lost], latency=1000)["kept"] == 1


def test_an_answer_of_one_token_has_no_time_per_token_to_break():
    one = Row(ttft=10, latency=10, ids=(2,))
    assert kept_by(hand_log([one, TWO]), "tpot", MS).tolist() == [True, False]


def test_without_objectives_there_is_no_goodput():
    assert goodput(hand_log([TWO]), {}, "") == {}
    assert goodput(hand_log([]), {"ttft": 1}, "--slo") == {}


def test_users_are_rate_times_latency():
    """Little: every 10 ms a request that is open for 50 ms makes five of them."""
    rows = [Row(due=10 * i, ttft=10, latency=50, ids=(3, 4, 5, 6, 2)) for i in range(1000)]
    found = capacity(hand_log(rows))
    assert found["users"]["value"] == pytest.approx(5, rel=0.02)
    assert found["users"]["low"] <= 5 <= found["users"]["high"]
    assert found["queries_per_s"] * found["latency_ms"] / 1e3 == pytest.approx(5, rel=0.02)
    assert found["tokens_per_s_per_user"] == pytest.approx(100)


SCENARIOS = ["multi-stream", "offline", "server", "single-stream"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_goodput_and_open_loops_have_users(tmp_path, scenario):
    flags = {"scenario": scenario, "sut": "simulated", "clock": "virtual", "slo": "tpot:5ms"}
    flags |= {"output_dir": tmp_path, "min_queries": 8, "sut_options": {"tokens": 4}}
    with Run(load_config(flags), lambda text: None, progress=False) as made:
        found = made.execute()
    assert found.goodput["slo"] == {"tpot_ms": 5.0}
    assert found.goodput["share"]["value"] == 1.0
    assert bool(found.capacity) == (scenario == "server")
    assert found.missing == []


def test_objectives_change_no_verdict(tmp_path):
    flags = {"scenario": "server", "sut": "simulated", "clock": "virtual", "slo": "ttft:1ms"}
    with Run(load_config(flags | {"output_dir": tmp_path}), print, progress=False) as made:
        found = made.execute()
    assert (found.status, found.goodput["kept"]) == ("VALID", 0)


@given(st.dictionaries(st.sampled_from(["latency", "tpot", "ttft"]), st.integers(1, 10**7)))
def test_objectives_are_read_as_they_are_written(limits_us):
    if not limits_us:
        return
    text = ",".join(f"{name}:{us / 1e3!r}ms" for name, us in limits_us.items())
    assert limits_ns(text) == pytest.approx({name: us * 1e3 for name, us in limits_us.items()})
    assert parse_slo(parse_slo(text)) == parse_slo(text)


WRONG = ["", "ttft", "ttft:2", "ttft:-1s", "itl:2s", "ttft:1s,ttft:2s", "ttft:0s", "ttft:1s,"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_objective_is_refused_in_a_sentence(text):
    with pytest.raises(BadInput, match="such as ttft:2s,tpot:200ms"):
        slo_of(text)
    with pytest.raises(BadInput, match="--slo"):
        load_config({"scenario": "offline", "sut": "simulated", "slo": text})
