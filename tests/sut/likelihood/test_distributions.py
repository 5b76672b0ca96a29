"""The compact divergence against the exact one, and both against float64: on tiny models and on
drawn distributions.
"""

from __future__ import annotations

import copy
import random
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.kernel.errors import BadInput
from sut.likelihood import distributions, scoring
from sut.likelihood.distributions import compare, exact, load, record, recorded_tokens, save
from sut.likelihood.forward import output_layer
from sut.likelihood.scoring import Settings, Text

VOCABULARY = 12_000  # 138 tokens kept and 19 drawn


def made_llama(vocabulary=64, noise=0.0, spread=0.3):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    for parameter in model.parameters():
        parameter += noise * torch.randn_like(parameter)
    return model


def made_texts(count=9, vocabulary=64):
    draw = random.Random(5)
    return [
        Text([draw.randrange(vocabulary) for _ in range(2 + 7 * i % 40)], 1 + i % 2)
        for i in range(count)
    ]


@torch.inference_mode()
def directly(reference, variant, text):
    """KL, losses and first choices of a text's scored tokens, in float64."""
    ids, rows = torch.tensor([text.ids]), slice(text.first - 1, -1)
    p, q = (
        model.double()(input_ids=ids).logits[0, rows].log_softmax(-1)
        for model in (reference, variant)
    )
    targets = ids[0, text.first :, None]
    kld = (p.exp() * (p - q)).sum(-1)
    nll = [-each.gather(-1, targets)[:, 0] for each in (p, q)]
    return kld.numpy(), nll[0].numpy(), nll[1].numpy(), (p.argmax(-1) == q.argmax(-1)).numpy()


def in_order(found):
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def together(found, name):
    return np.concatenate([getattr(each, name) for each in found])


@pytest.fixture(scope="module")
def pair():
    return made_llama(), made_llama(noise=0.02)


@pytest.fixture(scope="module")
def large_pair():
    return made_llama(VOCABULARY, spread=0.7), made_llama(VOCABULARY, noise=0.02, spread=0.7)


# ---- exact


def test_exact_figures_equal_a_direct_float64_computation(pair):
    texts = made_texts()
    found = in_order(exact(*pair, texts))
    reference, variant = made_llama(), made_llama(noise=0.02)
    for text, each in zip(texts, found, strict=True):
        kld, nll_reference, nll_variant, same_top = directly(reference, variant, text)
        np.testing.assert_allclose(each.kld, kld, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(each.nll_reference, nll_reference, rtol=1e-5)
        np.testing.assert_allclose(each.nll_variant, nll_variant, rtol=1e-5)
        np.testing.assert_array_equal(each.same_top, same_top)
        assert np.array_equal(each.kld_low, each.kld)
        assert np.array_equal(each.kld_high, each.kld)


def test_a_small_vocabulary_is_recorded_whole_and_compared_exactly(pair):
    texts = made_texts()
    recorded = in_order(record(pair[0], texts))
    assert {each.ids.shape[1] for each in recorded} == {64}
    for one, other in zip(
        in_order(compare(pair[1], texts, recorded.__getitem__)),
        in_order(exact(*pair, texts)),
        strict=True,
    ):
        np.testing.assert_allclose(one.kld, other.kld, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(one.kld_high, one.kld_low)
        np.testing.assert_array_equal(one.same_top, other.same_top)


@pytest.mark.parametrize("vocabulary", [64, VOCABULARY])
def test_a_model_does_not_diverge_from_itself(vocabulary):
    model, texts = made_llama(vocabulary), made_texts()
    recorded = in_order(record(model, texts))
    for found in (
        in_order(compare(model, texts, recorded.__getitem__)),
        in_order(exact(model, model, texts)),
    ):
        assert together(found, "kld").max() < 1e-8
        assert together(found, "kld").min() >= 0
        assert together(found, "same_top").all()
        np.testing.assert_array_equal(
            together(found, "nll_reference"), together(found, "nll_variant")
        )


# ---- compact


def test_the_compact_figures_agree_with_the_exact_ones_and_the_bounds_hold(large_pair):
    texts = made_texts(vocabulary=VOCABULARY)
    recorded = in_order(record(large_pair[0], texts))
    compact = in_order(compare(large_pair[1], texts, recorded.__getitem__))
    whole = in_order(exact(*large_pair, texts))
    kld, low, high, true = (together(found, name) for found, name in (
        (compact, "kld"), (compact, "kld_low"), (compact, "kld_high"), (whole, "kld"),
    ))  # fmt: skip
    assert np.mean(together(recorded, "tail")) > 0.05, "there is a tail to estimate"
    assert (low <= true * (1 + 1e-6) + 1e-9).all()
    assert (true <= high * (1 + 1e-6)).all()
    assert low.mean() < 0.98 * true.mean(), "what the lower bound leaves out is worth estimating"
    error = np.sqrt((together(compact, "kld_error") ** 2).sum()) / len(true)
    assert abs(kld.mean() - true.mean()) < 3 * error < 0.06 * true.mean()
    assert np.corrcoef(kld, true)[0, 1] > 0.98
    for name in ("nll_reference", "nll_variant", "same_top"):
        np.testing.assert_array_equal(together(compact, name), together(whole, name))


def drawn_distributions(seed, rows, spread, noise):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(rows, VOCABULARY, generator=generator)
    return logits, logits + noise * torch.randn(rows, VOCABULARY, generator=generator)


def measured(logits_p, logits_q, targets=None):
    """Recorded and compared without a model: (Distributions, Divergence)."""
    log_p, log_q = logits_p.log_softmax(-1), logits_q.log_softmax(-1)
    positions = torch.arange(1, len(log_p) + 1)
    targets = torch.zeros(len(log_p), dtype=torch.long) if targets is None else targets
    columns = {
        name: column.numpy()
        for name, column in distributions._recorded(positions, targets, log_p).items()
    }
    kept = distributions.Distributions(vocabulary=log_p.shape[-1], **columns)
    compared = distributions._compared(kept, slice(0, len(log_p)), targets, log_q)
    return kept, distributions.Divergence(
        **{name: column.numpy() for name, column in compared.items()}
    )


def true_kld(logits_p, logits_q):
    p, q = logits_p.double().log_softmax(-1), logits_q.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).numpy()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 8.0), st.floats(0.0, 4.0))
def test_bounds_hold_for_whatever_distributions(seed, spread, noise):
    """From flat to a single certain token; variants from equal to unrelated."""
    logits = drawn_distributions(seed, 4, spread, noise)
    kept, found = measured(*logits)
    true = true_kld(*logits)
    assert (found.kld_low >= 0).all()
    assert (found.kld_low <= true * (1 + 1e-5) + 1e-6).all()
    assert (true <= found.kld_high * (1 + 1e-5) + 1e-6).all()
    assert (found.kld_low <= found.kld).all()
    assert ((kept.tail >= 0) & (kept.tail < 1)).all()


@pytest.mark.parametrize(("spread", "noise"), [(1.0, 0.05), (2.0, 0.3), (3.0, 1.0)])
def test_the_estimate_errs_to_neither_side_by_what_its_error_says(spread, noise):
    logits = drawn_distributions(1, 400, spread, noise)
    _, found = measured(*logits)
    true = true_kld(*logits)
    assert abs(found.kld.mean() - true.mean()) < 4 * np.sqrt((found.kld_error**2).sum()) / len(true)
    assert abs(found.kld.mean() - true.mean()) < 0.1 * (true - found.kld_low).mean(), (
        "a tenth of what the bound leaves out"
    )


def test_a_certain_token_has_no_tail_and_a_variant_that_denies_it_diverges():
    logits = torch.zeros(2, VOCABULARY)
    logits[0, 5] = logits[1, 6] = 200.0
    kept, found = measured(logits, logits.flip(0))
    assert kept.tail.max() == 0
    np.testing.assert_allclose(found.kld, 200.0, rtol=1e-4)
    assert not found.same_top.any()
    assert np.isfinite(np.array(found[:4])).all()


def test_first_choices_are_the_same_where_several_tokens_tie():
    """bfloat16's logits often tie: the lowest id is the choice, as it is when decoding."""
    logits = torch.zeros(1, VOCABULARY)
    logits[0, [9_000, 70, 3_000]] = 4.0
    kept, found = measured(logits, logits)
    assert kept.top.tolist() == [70]
    assert found.same_top.all()


def num_bytes(kept):
    arrays = (getattr(kept, field.name) for field in fields(kept) if field.name != "vocabulary")
    return sum(array.nbytes for array in arrays)


def share(kept):
    """Of the size of float32 logits."""
    return num_bytes(kept) / (4 * kept.vocabulary * len(kept.targets))


@pytest.mark.parametrize("vocabulary", [1_025, 2_000, 32_000, 49_152, 65_537, 151_936])
def test_what_is_recorded_takes_at_most_its_share(vocabulary):
    kept, _ = measured(torch.randn(3, vocabulary), torch.randn(3, vocabulary))
    from dataclasses import replace

    ids = np.uint16 if vocabulary <= 2**16 else np.uint32
    small = replace(
        kept, ids=kept.ids.astype(ids), drawn_ids=kept.drawn_ids.astype(ids),
        top=kept.top.astype(np.int32), targets=kept.targets.astype(np.int32),
    )  # fmt: skip
    assert share(small) <= 0.02
    assert small.ids.shape[1] == recorded_tokens(vocabulary)[0] >= 8
    assert recorded_tokens(49_152) == (512, 32)


def test_records_have_the_types_that_their_size_counts_on(large_pair):
    recorded = in_order(record(large_pair[0], made_texts(3, VOCABULARY)))
    assert all(share(each) <= 0.02 for each in recorded)
    assert {each.ids.dtype for each in recorded} == {np.dtype(np.uint16)}


def test_neither_batches_nor_windows_nor_order_move_what_is_recorded_or_compared(
    large_pair, monkeypatch
):
    texts = [*made_texts(6, VOCABULARY), Text([*range(100, 200)])]
    once = Settings(context=30, stride=20)
    recorded = in_order(record(large_pair[0], texts, once))
    wanted = in_order(compare(large_pair[1], texts, recorded.__getitem__, once))
    monkeypatch.setattr(scoring, "_ROWS", 3)
    other = once._replace(batch_tokens=1)
    again = in_order(record(large_pair[0], texts[::-1], other))[::-1]
    for one, same in zip(recorded, again, strict=True):
        np.testing.assert_array_equal(one.drawn_ids[:, :4], same.drawn_ids[:, :4])
        np.testing.assert_allclose(one.tail, same.tail, rtol=1e-4)
    for one, same in zip(
        wanted, in_order(compare(large_pair[1], texts, again.__getitem__, other)), strict=True
    ):
        np.testing.assert_allclose(one.kld, same.kld, rtol=1e-3, atol=1e-7)
        assert len(one.kld) == len(same.kld)


# ---- what does not fit


def test_a_variant_with_another_vocabulary_is_refused(pair):
    texts = made_texts(2)
    recorded = in_order(record(pair[0], texts))
    with pytest.raises(BadInput, match="knows 80 tokens, the recorded reference 64"):
        list(compare(made_llama(80), texts, recorded.__getitem__))
    with pytest.raises(BadInput, match="vocabularies of 64 and 80 tokens"):
        list(exact(pair[0], made_llama(80), texts))


@pytest.mark.parametrize("ids", [[9, 8, 7, 5], [9, 8, 7], [9, 8, 7, 6, 5]])
def test_other_tokens_than_the_recorded_ones_are_refused(pair, ids):
    recorded = in_order(record(pair[0], [Text([9, 8, 7, 6])]))
    with pytest.raises(BadInput, match="text fox: its tokens are not those that were recorded"):
        list(compare(pair[1], [Text(ids, name="fox")], recorded.__getitem__))


# ---- files


def test_a_record_is_the_same_after_saving_and_loading(large_pair, tmp_path):
    ((_, one),) = record(large_pair[0], [Text([9, 8, 7, 6])])
    save(tmp_path / "fox.npz", one)
    same = load(tmp_path / "fox.npz")
    assert same.vocabulary == one.vocabulary
    for name in (
        "targets",
        "nll_nats",
        "top",
        "ids",
        "log_probs",
        "tail",
        "drawn_ids",
        "drawn_log_probs",
    ):
        np.testing.assert_array_equal(getattr(same, name), getattr(one, name))
        assert getattr(same, name).dtype == getattr(one, name).dtype
    assert [path.name for path in tmp_path.iterdir()] == ["fox.npz"]
    size_bytes = (tmp_path / "fox.npz").stat().st_size
    assert size_bytes - num_bytes(one) < 4_000, "no more than the archive's own lines"


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_file_is_a_sentence(pair, tmp_path, content):
    path = tmp_path / "fox.npz"
    ((_, one),) = record(pair[0], [Text([9, 8, 7, 6])])
    save(path, one)
    path.write_bytes(path.read_bytes()[:-300] if content is None else content)
    with pytest.raises(BadInput, match="Delete it"):
        load(path)
    with pytest.raises(BadInput, match="absent"):
        load(tmp_path / "absent.npz")


def test_models_of_different_types_are_compared_exactly_whatever_fits_at_once(pair, monkeypatch):
    """A row of bfloat16 takes half the room of one of float32; their pieces must be the same."""
    texts = made_texts()
    reference, variant = pair
    whole = in_order(exact(reference, copy.deepcopy(variant).bfloat16(), texts))
    monkeypatch.setattr(output_layer, "_LOGITS_BYTES", 4 * 64 * 5)  # 5 rows of one, 10 of the other
    pieces = in_order(exact(reference, copy.deepcopy(variant).bfloat16(), texts))
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one.kld, other.kld, rtol=1e-6)
