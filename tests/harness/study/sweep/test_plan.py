"""Which runs does a plan make, and what is wrong with one, in a sentence?"""

from __future__ import annotations

import pytest

from harness.kernel.errors import BadInput
from harness.study.sweep.plan import plan_of
from harness.study.sweep.points import planned

FIXED = '[fixed]\nscenario = "server"\nsut = "simulated"\nclock = "virtual"\n'


def plan(tmp_path, text, flags=(), **asked):
    file = tmp_path / "plan.toml"
    file.write_text(FIXED + text)
    return plan_of(dict(flags), file, **asked)


def labels(made):
    return [point.name for point in planned(made).points]


def test_every_combination_of_lists_and_what_goes_together(tmp_path):
    text = (
        '[sweep]\ntarget-qps = "5,10"\n[zip]\nmax_concurrency = [8, 32]\nmax_queries = [100, 200]'
    )
    assert labels(plan(tmp_path, text)) == [
        "target-qps=5 max-concurrency=8 max-queries=100",
        "target-qps=5 max-concurrency=32 max-queries=200",
        "target-qps=10 max-concurrency=8 max-queries=100",
        "target-qps=10 max-concurrency=32 max-queries=200",
    ]


def test_what_no_flag_takes_as_a_list_is_one_in_a_plan(tmp_path):
    text = (
        '[sweep]\nseeds = ["1,2,3", "4,5,6"]\nsut_options = [{slots = 4}, {slots = 8, ttft_ms = 1}]'
    )
    made = planned(plan(tmp_path, text))
    assert [point.name for point in made.points] == [
        "seeds=1,2,3 slots=4",
        "seeds=1,2,3 slots=8,ttft_ms=1",
        "seeds=4,5,6 slots=4",
        "seeds=4,5,6 slots=8,ttft_ms=1",
    ]
    assert [cell.config.sut_options["slots"] for cell in made.cells] == [4, 8, 4, 8]


def test_a_flag_takes_the_place_of_whatever_the_plan_says(tmp_path):
    text = '[sweep]\ntarget_qps = "5,10"\nmax_concurrency = [8, 32]'
    assert labels(plan(tmp_path, text, {"target_qps": "7"})) == [
        "max-concurrency=8",
        "max-concurrency=32",
    ]
    together = plan(tmp_path, text, {"max_concurrency": "1..2"}, zipped=True)
    assert together.together == {"max_concurrency": ["1", "2"]}


def test_repeats_are_rounds_in_an_order_that_the_seed_decides(tmp_path):
    text = '[sweep]\ntarget_qps = "1..8"\n[study]\nrepeats = 3'
    first, again = planned(plan(tmp_path, text)), planned(plan(tmp_path, text))
    other = planned(plan(tmp_path, text, order_seed=2))
    assert first.places == again.places
    order = [place for place, _ in first.places.values()]
    rounds = [order[i : i + 8] for i in range(0, 24, 8)]
    assert all(sorted(each) == list(range(8)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 3, "each round has an order of its own"
    assert order != [place for place, _ in other.places.values()]
    assert [repeat for _, repeat in first.places.values()] == [0] * 8 + [1] * 8 + [2] * 8


def test_a_combination_that_contradicts_itself_is_a_row_and_the_others_are_run():
    flags = {"scenario": "server", "sut": "simulated,local", "max_concurrency": "8,auto"}
    made = planned(plan_of(flags | {"replicas": "1,2"}))
    refused = [point.name for point in made.points if point.refused]
    assert refused == [
        "simulated replicas=2 max-concurrency=8".replace(" replicas=2 max-concurrency=8", x)
        for x in (" max-concurrency=8 replicas=2", " max-concurrency=auto replicas=2")
    ]
    assert len(made.cells) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[swep]\n", "section: 'swep' is not known; known: fixed, study, sweep, zip. Did you mean"),
        ("[sweep]\ntarget_qp = [1]", "Did you mean 'target_qps'?"),
        ("[study]\nrepeat = 2", "Did you mean 'repeats'?"),
        ("[study]\nrepeats = 0", "it is 0; expected a whole number of at least 1"),
        ("[sweep]\ntarget_qps = []", "the list of target_qps is empty"),
        ("[sweep]\ntarget_qps = '2,4..8'", "show no step"),
        ("[sweep]\nscenario = ['server']", "scenario stands in [fixed] and in [sweep]"),
        ("[zip]\ntarget_qps = [1, 2]\nmax_queries = [3]", "need as many values each"),
        ("[sweep]\ntarget_qps = '1..200'\nmax_queries = '1..200'", "the lists make 40,000 runs"),
        ("[sweep]\ntarget_qps = [5, 0]", "--target-qps is 0: it must be above 0"),
        ("[sweep]\nvariant = ['fp32', 'int8']", "the simulated SUT has no variants"),
        ("", "nothing to sweep is named"),
        ("[sweep]\ntarget_qps = [1, 2", "it is not TOML"),
    ],
)
def test_a_wrong_plan_is_a_sentence(tmp_path, text, words):
    with pytest.raises(BadInput) as refused:
        planned(plan(tmp_path, text))
    assert words in str(refused.value)


def test_secrets_are_not_in_names(tmp_path):
    text = '[sweep]\nsut_options = [{api_key = "abcdefgh1"}, {api_key = "abcdefgh2"}]'
    made = plan(tmp_path, text)._replace(fixed={"scenario": "server", "sut": "tests.cheats:x"})
    with pytest.raises(BadInput):
        planned(made)
    from harness.study.cells import label_of

    for values in made.chosen:
        assert "abcdefgh" not in label_of(values, ["sut_options"])
