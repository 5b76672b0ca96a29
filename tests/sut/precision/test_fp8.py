"""FP8: near the exact product, by row or by tensor, by the device's kernel where that agrees."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from harness.kernel.errors import SetupFailed
from sut.engine.lean import lean_step
from sut.model import findings
from sut.model.weights import weigh
from sut.precision import lora
from sut.precision.fp8 import layers, products, trial
from sut.precision.table import TABLE
from tests.sut.precision.test_table import answer, difference, load
from tests.variant_helpers import make_adapter

ROWWISE = pytest.mark.parametrize("is_by_row", [True, False])


def layer(inputs=48, outputs=32, bias=True):
    torch.manual_seed(7)
    return nn.Linear(inputs, outputs, bias).bfloat16().requires_grad_(False)


def chosen(model, is_by_row, kernel, rounding=None):
    trial.choose(layers.quantize(model, is_by_row), kernel, rounding)
    return model


def broken(*_):
    raise RuntimeError("no such kernel\nand a trace")


def wrong(x, x_scale, weight, scale, bias, dtype):
    return 2 * products.emulated(x, x_scale, weight, scale, bias, dtype)


def test_bits_are_restored_to_every_finite_value():
    codes = torch.arange(256, dtype=torch.int32).to(torch.uint8).view(products.E4M3)
    finite = ~codes.float().isnan()
    assert finite.sum() == 254
    assert torch.equal(products.restored(codes)[finite], codes.float()[finite])


@ROWWISE
def test_each_value_is_rounded_to_three_bits_of_mantissa(is_by_row):
    x = torch.randn(5, 64)
    codes, scale = products.quantised(x, is_by_row)
    assert scale.shape == ((5, 1) if is_by_row else (1, 1))
    error = (codes.float() * scale - x).abs()
    assert (error <= x.abs() / 16 + scale * 2**-10).all()  # half a step; the smallest is 2^-9


@ROWWISE
def test_the_emulation_is_what_torchs_own_kernel_computes(is_by_row):
    product = layers.Product([layer()], is_by_row)
    x = torch.randn(3, 7, 48).bfloat16()
    ours = product.whole(x)
    product.multiply = products.by_kernel
    assert ours.shape == (3, 7, 32)
    assert difference(ours.float(), product.whole(x).float()) < 0.003  # one rounding to bfloat16


@ROWWISE
def test_a_row_that_is_no_number_leaves_the_others_alone(is_by_row):
    product = layers.Product([layer()], is_by_row)
    x = torch.randn(4, 48).bfloat16()
    clean = product.whole(x)[1:]
    for value in (float("nan"), float("inf")):
        spoilt = x.clone()
        spoilt[0, 3] = value
        y = product.whole(spoilt)
        assert not y[0].isfinite().any()
        assert y[1:].isfinite().all()
        assert difference(y[1:].float(), clean.float()) < 0.05


def test_a_scale_per_row_keeps_rows_of_small_weights():
    uneven = layer(bias=False)
    uneven.weight[:16] *= 1e-5
    x = torch.randn(8, 48).bfloat16()
    exact = uneven(x).float()[:, :16]
    errors = [
        difference(layers.Product([uneven], by).whole(x).float()[:, :16], exact)
        for by in (True, False)
    ]
    assert errors[0] < errors[1] / 3


def test_neighbours_are_one_product_in_the_memory_of_one(tiny_llama):
    model = load("fp8", tiny_llama)
    attention = model.model.layers[0].self_attn
    product = attention.q_proj.product
    assert product is attention.k_proj.product is attention.v_proj.product
    x = torch.randn(2, attention.q_proj.in_features).bfloat16()
    parts = [getattr(attention, name)(x) for name in ("q_proj", "k_proj", "v_proj")]
    assert torch.equal(product.whole(x), torch.cat(parts, -1))
    plain = load("bf16", tiny_llama)
    in_layers = sum(p.numel() for p in plain.model.layers.parameters() if p.dim() == 2)
    saved = weigh(plain).held_bytes - weigh(model).held_bytes
    assert 0.8 * in_layers < saved <= in_layers
    assert weigh(model).parameters == weigh(plain).parameters
    assert lean_step(model) is not None


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (None, "FP8 is emulated in 14 of 14 layers: the quality"),
        (broken, r"in 14 of 14 layers \(it refuses \(\d+, \d+\): no such kernel\)"),
        (wrong, r"in 14 of 14 layers \(it differs by 1 for"),
    ],
)
def test_a_kernel_that_fails_or_differs_is_not_used(kernel, words, tiny_llama):
    plain = load("bf16", tiny_llama)
    model = chosen(plain, True, kernel)
    told = findings.of(model)
    assert told.facts["fp8_products"] == "emulated in float32"
    assert re.search(words, told.notes[0])


def finer(x, is_by_row):
    codes, scale = products.quantised(x, is_by_row)
    return codes, scale * 1.001


def coarser(x, is_by_row):
    codes, scale = products.quantised(x.sign(), is_by_row)
    return codes, scale


@pytest.mark.parametrize(
    ("rounding", "is_used"), [(finer, True), (coarser, False), (broken, False), (None, False)]
)
def test_another_rounding_is_used_where_it_agrees(rounding, is_used, tiny_llama):
    model = chosen(load("bf16", tiny_llama), True, None, rounding)
    found = {one.product.rounding for one in model.modules() if isinstance(one, layers.Fp8Linear)}
    assert found == ({rounding} if is_used else {products.quantised})


@ROWWISE
def test_a_kernel_that_agrees_is_used(is_by_row, tiny_llama):
    model = chosen(load("bf16", tiny_llama), is_by_row, products.by_kernel)
    assert findings.of(model).facts["fp8_products"] == "torch._scaled_mm"
    assert not any("emulated" in note for note in findings.of(model).notes)


@pytest.mark.parametrize("variant", ["fp8", "fp8-tensor"])
def test_a_run_serves_by_lean_steps_and_says_what_fp8_is_here(variant, tiny_llama):
    log, sut = answer(tiny_llama, variant=variant)
    facts = sut.facts()
    assert log.completed.all()
    assert (facts["batching"], facts["decode_step"]) == ("in flight", "eager lean")
    assert facts["quantised_layer_share"] == 1
    assert any("emulated" in note for note in facts["notes"])
    assert any("share one scale" in note for note in facts["notes"]) == (variant == "fp8-tensor")


def test_lora_on_fp8_keeps_the_adapter_in_the_types_of_its_activations(tiny_llama, tmp_path):
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    tuned = TABLE["lora-fp8"].load(str(tiny_llama), device="cpu", adapter=adapter)
    exact = TABLE["lora-bf16"].load(str(tiny_llama), device="cpu", adapter=adapter)
    ours, theirs = (dict(m.named_parameters()) for m in (tuned, exact))
    names = [name for name in theirs if ".lora_" in name]
    assert names
    assert all(torch.equal(ours[name], theirs[name]) for name in names)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", ["fp8", "fp8-tensor"])
def test_a_gpu_with_fp8_multiplies_it_itself(variant, tiny_llama):
    model = TABLE[variant].load(str(tiny_llama), device="cuda")
    assert findings.of(model).facts["fp8_products"] == "torch._scaled_mm"


def test_an_adapter_that_peft_would_round_to_fp8_is_refused(tiny_llama, tmp_path):
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")

    def base(path, **options):
        model = load("bf16", path)
        for linear in (layer.self_attn.q_proj for layer in model.model.layers):
            codes = linear.weight.detach().to(products.E4M3)  # as libraries hold it
            linear.weight = nn.Parameter(codes, requires_grad=False)
        return model

    with pytest.raises(SetupFailed, match="to which peft rounds the adapter as well"):
        lora.load(base, "asis", str(tiny_llama), adapter=adapter)
