"""Who is better, and is it more than chance: pairs, places, ties."""

import math
import time

import numpy as np
import pytest

from accuracy.likelihood.figures import corpus
from accuracy.likelihood.models import comparable, gain
from accuracy.likelihood.ranking import decided, pairs, ranked
from accuracy.resampling import NOTHING, Estimate, negative
from harness.kernel.errors import BadInput
from tests.perplexity_helpers import better, drawn, scored, texts

# ---- the rule


@pytest.mark.parametrize(
    ("less", "decision"),
    [
        (Estimate(-1.0, -2.0, -0.1), "better"),
        (Estimate(1.0, 0.1, 2.0), "worse"),
        (Estimate(-1.0, -2.0, 0.0), "tie"),
        (Estimate(0.1, -0.1, 0.3), "tie"),
        (Estimate(0.0, 0.0, 0.0), "same"),
        (Estimate(-1.0), "open"),
        (NOTHING, "open"),
    ],
)
def test_the_interval_decides(less, decision):
    opposite = {"better": "worse", "worse": "better"}
    assert decided(less) == decision
    assert decided(less, more_is_better=True) == opposite.get(decision, decision)
    assert decided(negative(less)) == opposite.get(decision, decision)


# ---- pairs


def test_a_pair_is_the_paired_difference_of_its_two_models():
    small = drawn(40, 60)
    models = {"a": small, "b": better(small, 0.97), "c": better(small, 0.9, seed=8)}
    found = {(pair.first, pair.second): pair for pair in pairs(models)}
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    for (first, second), pair in found.items():
        a, b = corpus(models[first]), corpus(models[second])
        loss, bits = a.loss_nats.value - b.loss_nats.value, pair.eval_loss.value / 4 / math.log(2)
        assert pair.eval_loss.value == pytest.approx(loss, abs=1e-12)
        assert pair.bits_per_byte.value == pytest.approx(bits, abs=1e-12)
        right = a.accuracy.value - b.accuracy.value
        assert pair.token_accuracy.value == pytest.approx(right, abs=1e-12)
        assert pair.mean_kld == NOTHING


def test_the_interval_of_a_pair_is_that_of_a_plain_paired_bootstrap():
    small = drawn(30, 40)
    (pair,) = pairs({"a": small, "b": better(small, 0.99)})
    nats = np.array([[t.nll_nats.sum(dtype=np.float64) for t in m]
                     for m in (small, better(small, 0.99))])  # fmt: skip
    tokens = np.array([len(t) for t in small])
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(4000):
        rows = rng.integers(30, size=30)
        draws.append((nats[0, rows].sum() - nats[1, rows].sum()) / tokens[rows].sum())
    low, high = np.quantile(draws, [0.0225, 0.9775])  # as much further out as 30 texts ask for
    width = high - low
    assert pair.eval_loss.low == pytest.approx(low, abs=0.06 * width)
    assert pair.eval_loss.high == pytest.approx(high, abs=0.06 * width)


def test_a_copy_is_the_same_and_a_near_copy_is_not():
    small = drawn(12, 30)
    (pair,) = pairs({"a": small, "b": list(small)})
    assert pair.eval_loss == pair.bits_per_byte == pair.token_accuracy == (0, 0, 0)
    near = [scored(t.nll_nats.copy(), t.text_id) for t in small]
    near[3].nll_nats[2] += 0.25
    (pair,) = pairs({"a": small, "b": near})
    assert pair.eval_loss.value < 0
    assert decided(pair.eval_loss) == "tie"  # one token of one text


def test_across_tokenizers_a_pair_has_bits_per_byte_only():
    ours = [scored([2.0] * 6, f"t{i}", num_bytes=24) for i in range(6)]
    theirs = [scored([3.0 + i / 9] * 3, f"t{i}", num_bytes=24) for i in range(6)]
    (pair,) = pairs({"a": ours, "b": theirs})
    assert pair.eval_loss == pair.token_accuracy == NOTHING
    less = corpus(ours).bits_per_byte.value - corpus(theirs).bits_per_byte.value
    assert pair.bits_per_byte.value == pytest.approx(less)
    assert pair.bits_per_byte.low < less < pair.bits_per_byte.high


def test_divergences_are_paired_too():
    small = drawn(20, 30)
    klds = {"b": [np.full(len(t), 0.1 + 0.01 * i) for i, t in enumerate(small)],
            "c": [np.full(len(t), 0.2 + 0.01 * i) for i, t in enumerate(small)]}  # fmt: skip
    found = {(p.first, p.second): p for p in pairs(dict.fromkeys("abc", small), klds)}
    assert found["a", "b"].mean_kld == NOTHING
    assert found["b", "c"].mean_kld == pytest.approx((-0.1, -0.1, -0.1))


def test_a_text_that_one_could_not_score_is_left_out_and_few_texts_stay_open():
    (pair,) = pairs({"a": texts([[1.0], [2.0]]), "b": texts([[], [3.0]])})
    assert (pair.eval_loss, decided(pair.eval_loss)) == (Estimate(-1.0), "open")
    assert pairs({"a": texts([[1.0]])}) == pairs({}) == []
    assert pairs({"a": texts([[]]), "b": texts([[]])}) == []


# ---- places


def test_models_of_one_tokenizer_may_be_ranked_by_perplexity():
    small = drawn(20, 30)
    models = {"small": small, "big": better(small, 0.9), "middle": better(small, 0.95)}
    found = ranked(models, dict.fromkeys(models, "x"), "perplexity")
    assert [row.model for row in found] == ["big", "middle", "small"]
    assert found[0].behind is None
    assert found[1].behind.low > 0
    assert [row.place for row in found] == [1, 2, 3]
    assert comparable(dict.fromkeys(models, "x")).per_token


def test_across_tokenizers_perplexity_is_refused_with_the_reason_and_bits_are_not():
    small = drawn(20, 30)
    coarse = [
        scored(text.nll_nats[: len(text) // 2] * 1.9, text.text_id, num_bytes=text.num_bytes)
        for text in small
    ]
    models, tokenizers = {"fine": small, "coarse": coarse}, {"fine": "x", "coarse": "y"}
    verdict = comparable(tokenizers)
    assert (verdict.per_token, verdict.groups) == (False, [["fine"], ["coarse"]])
    with pytest.raises(BadInput, match="Bits per byte counts the same bytes for all"):
        ranked(models, tokenizers, "perplexity")
    by_bits = ranked(models, tokenizers, "bits_per_byte")
    assert [row.model for row in by_bits] == ["coarse", "fine"]
    assert corpus(coarse).perplexity.value > corpus(small).perplexity.value


def test_a_ranking_needs_the_same_texts_and_something_scored():
    with pytest.raises(BadInput, match="'t1' on the second"):
        ranked(
            {"a": texts([[1.0]]), "b": texts([[1.0], [2.0]])}, {"a": "x", "b": "x"}, "bits_per_byte"
        )
    with pytest.raises(BadInput, match="a has nothing scored"):
        ranked({"a": texts([[]])}, {"a": "x"}, "perplexity")
    assert ranked({}, {}, "perplexity") == []


def test_what_the_interval_does_not_decide_shares_a_place_and_all_are_held_against_the_first():
    small = drawn(20, 30)
    models = {
        "worst": better(small, 1.4), "first": small, "near": better(small, 1.0, seed=5),
        "copy": list(small),
    }  # fmt: skip
    rows = {row.model: row for row in ranked(models, dict.fromkeys(models, "x"), "perplexity")}
    figures = {model: corpus(scores).loss_nats.value for model, scores in models.items()}
    order = sorted(figures, key=figures.get)
    assert list(rows) == order
    assert rows["worst"].place == 4
    assert {rows[model].place for model in ("first", "near", "copy")} == {1}
    assert set(rows["first"].tied_with) == {"near", "copy"}
    assert rows["worst"].tied_with == ()
    for model in order[1:]:
        worth = negative(gain(models[order[0]], models[model]).loss_nats)
        assert rows[model].behind == pytest.approx(worth, abs=1e-12)
        assert rows[model].ratio.value == pytest.approx(
            math.exp(figures[model] - figures[order[0]])
        )
    assert rows["worst"].decision == "worse"


def test_a_tie_may_lie_between_two_that_are_told_apart():
    """A and B, B and C within chance; A and C not."""
    rng = np.random.default_rng(4)
    base = rng.exponential(3, (20, 40))
    noise = rng.normal(0, 1, (20, 1))
    middle = base * (1 + 0.004) + 0.3 * noise / np.abs(noise).max()
    models = {"a": texts(base), "b": texts(middle), "c": texts(base * 1.03)}
    rows = {row.model: row for row in ranked(models, dict.fromkeys("abc", "x"), "perplexity")}
    assert "c" not in rows["a"].tied_with
    assert "b" in rows["a"].tied_with
    assert rows["c"].place > 1
    assert rows["a"].place == rows["b"].place == 1


def test_below_five_texts_nobody_is_put_behind_anybody():
    models = {"a": texts([[1.0]] * 4), "b": texts([[3.0]] * 4)}
    rows = ranked(models, dict.fromkeys(models, "x"), "perplexity")
    assert [row.place for row in rows] == [1, 1]
    assert rows[1].decision == "open"


def test_noise_is_seldom_called_better():
    """Of models that are equally good on average, about one pair in twenty is."""
    decisions = []
    for trial in range(200):
        rng = np.random.default_rng(trial)
        base = rng.exponential(3, (15, 30))
        one, other = (base * rng.lognormal(0, 0.3, base.shape) for _ in range(2))
        (pair,) = pairs({"a": texts(one), "b": texts(other)})
        decisions.append(decided(pair.eval_loss))
    assert sum(decision != "tie" for decision in decisions) <= 20


def test_sixty_six_pairs_of_a_thousand_texts_take_seconds_at_most():
    small = drawn(1000, 30)
    models = {f"m{i}": better(small, 1 - i / 100, seed=i) for i in range(12)}
    start = time.thread_time()
    assert len(pairs(models)) == 66
    assert time.thread_time() - start < 8
