"""How checkpoints are quantised, by what each library writes into config.json; and whether they can
be read here.
"""

from __future__ import annotations

import shutil

import pytest
import torch

from harness.kernel.errors import SetupFailed
from sut.checkpoint import readable
from sut.checkpoint.quantisation import of_config
from sut.engine.packing import pack
from sut.model import findings
from sut.model.weights import weigh
from sut.precision import share
from sut.precision.table import TABLE
from tests.sut.precision.test_table import difference
from tests.variant_helpers import edit_json, fp8_checkpoint, resized


def scheme(kind, bits, strategy, group=None, inputs=None):
    """A group of llm-compressor's."""
    weights = {"type": kind, "num_bits": bits, "strategy": strategy, "group_size": group}
    return {"targets": ["Linear"], "weights": weights, "input_activations": inputs}


def compressed(*schemes):
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {f"group_{i}": one for i, one in enumerate(schemes)},
    }


INT8_INPUTS = {"type": "int", "num_bits": 8, "strategy": "token"}
FP8_INPUTS = {"type": "float", "num_bits": 8, "strategy": "token"}
WRITTEN = {
    "gptq-int4-g128": (
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
        "gptq 4 bits, groups of 128",
    ),
    "gptq-int8": (
        {"quant_method": "gptq", "bits": 8, "group_size": -1},
        "gptq 8 bits, a scale per row",
    ),
    "awq-int4-g64": (
        {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "version": "gemm"},
        "awq 4 bits, groups of 64",
    ),
    "fp8-block128": (
        {"quant_method": "fp8", "weight_block_size": [128, 128]},
        "fp8 e4m3, blocks of 128 x 128",
    ),
    "fp8-tensor": (
        {"quant_method": "fp8", "activation_scheme": "static"},
        "fp8 e4m3, one scale per matrix",
    ),
    "fp8-row": ({"quant_method": "fbgemm_fp8"}, "fbgemm-fp8 e4m3, a scale per row"),
    "w8a8-int8": (
        compressed(scheme("int", 8, "channel", inputs=INT8_INPUTS)),
        "compressed-tensors int8 weights, a scale per row, int8 activations",
    ),
    "w4a16-g128": (
        compressed(scheme("int", 4, "group", 128)),
        "compressed-tensors int4 weights, groups of 128",
    ),
    "w8a8-fp8+w4a16-g32": (
        compressed(scheme("float", 8, "tensor", inputs=FP8_INPUTS), scheme("int", 4, "group", 32)),
        "compressed-tensors fp8 weights, one scale per matrix, fp8 activations; int4 weights,"
        " groups of 32",
    ),
    "bnb-nf4": (
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "bitsandbytes nf4",
    ),
    "bnb-int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes int8"),
    "hqq-int4-g64": (
        {
            "quant_method": "hqq",
            "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}},
        },
        "hqq 4 bits, groups of 64",
    ),
    "quanto-int8": ({"quant_method": "quanto", "weights": "int8"}, "quanto int8"),
    "torchao-Int8WeightOnly": (
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}},
        "torchao Int8WeightOnly",
    ),
    "mxfp4": ({"quant_method": "mxfp4"}, "mxfp4"),
}


@pytest.mark.parametrize("tag", WRITTEN)
def test_method_bits_and_groups_are_named(tag):
    told, words = WRITTEN[tag]
    assert of_config(told).tag == tag
    assert str(of_config(told)) == words


@pytest.mark.parametrize("told", [{}, {"quant_method": None}, {"config_groups": 3}, {"bits": "x"}])
def test_a_config_that_says_nothing_is_of_an_unknown_method(told):
    assert str(of_config(told)).startswith("of an unknown method")


@pytest.fixture
def copied(tiny_llama, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    return folder


def load(path, variant="asis"):
    return TABLE[variant].load(str(path), device="cpu").eval()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "pip install gptqmodel"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "pip install gptqmodel"),
        (compressed(scheme("int", 8, "channel")), "pip install compressed-tensors"),
        ({"quant_method": "torchao"}, "pip install torchao"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, r"transformers \S+ cannot read"),
    ],
)
def test_what_cannot_be_read_says_what_to_install(told, words, copied, monkeypatch):
    monkeypatch.setattr(readable, "find_spec", lambda name: None)
    edit_json(copied / "config.json", quantization_config=told)
    with pytest.raises(SetupFailed, match=words) as info:
        load(copied)
    assert info.value.exit_code == 3
    assert "\n" not in str(info.value)


def test_a_library_that_wants_a_gpu_is_one_sentence(copied):
    edit_json(copied / "config.json", quantization_config={"quant_method": "fbgemm_fp8"})
    with pytest.raises(SetupFailed, match=r"fbgemm-fp8 e4m3.*cannot be read here \(.*GPU"):
        load(copied)


class PackedLayer(torch.nn.Module):
    """A layer as gptqmodel has it: its integers are no parameter."""

    def __init__(self, source):
        super().__init__()
        self.in_features, self.out_features = source.in_features, source.out_features
        packed = torch.zeros(self.in_features // 8, self.out_features, dtype=torch.int32)
        self.register_buffer("qweight", packed)


def test_integers_in_buffers_are_weights_in_few_bits(tiny_llama):
    model = load(tiny_llama, "bf16")
    parameters = weigh(model).parameters
    for layer in model.model.layers:
        layer.mlp.down_proj = PackedLayer(layer.mlp.down_proj)
    assert weigh(model).parameters == parameters
    values = [m.in_features * m.out_features for m in model.model.layers.modules()
              if hasattr(m, "in_features")]  # fmt: skip
    held = sum(layer.mlp.down_proj.in_features * 32 for layer in model.model.layers)
    assert share.of(model).of_layers == pytest.approx(held / sum(values))


# ---- FP8 as transformers stores it


@pytest.mark.parametrize("variant", ["asis", "native", "fp32"])
def test_fp8_in_blocks_is_restored_on_a_cpu_and_named(variant, copied, tiny_llama):
    model = load(fp8_checkpoint(copied), variant)
    told, exact = findings.of(model), load(tiny_llama, "fp32")
    dtype = "float32" if variant == "fp32" else str(model.dtype).removeprefix("torch.")
    assert told.facts["precision"] == f"{dtype} of fp8-block16"
    assert told.facts["stored_quantisation"] == "fp8 e4m3, blocks of 16 x 16"
    ours, theirs = (m.model.layers[0].mlp.up_proj.weight.detach() for m in (model, exact))
    assert 0 < difference(ours.float(), theirs) < 0.05


def test_kernels_that_fail_in_the_first_pass_leave_the_values_restored(copied, monkeypatch):
    from transformers import LlamaForCausalLM

    failures, real = ["no kernels without the hub\nand a trace"], LlamaForCausalLM.forward

    def forward(*arguments, **options):
        if failures:
            raise RuntimeError(failures.pop())
        return real(*arguments, **options)

    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    told = findings.of(load(fp8_checkpoint(copied)))
    assert told.facts["precision"] == "float32 of fp8-block16"
    assert "its own products cannot be used here (no kernels without the hub)" in told.notes


@pytest.mark.parametrize("variant", ["asis", "fp32", "bf16"])
@pytest.mark.parametrize("is_said", [True, False])
def test_fp8_without_its_scales_is_refused(variant, is_said, copied):
    fp8_checkpoint(copied, with_scales=False)
    if not is_said:
        edit_json(copied / "config.json", ("quantization_config",))
    with pytest.raises(SetupFailed, match=r"14 of its weights are FP8 and have no scale") as info:
        load(copied, variant)
    assert info.value.exit_code == 3


def test_a_layer_that_a_library_runs_in_its_own_way_is_not_packed(tiny_llama, tmp_path):
    wide = resized(tiny_llama, tmp_path / "wide", hidden_size=64, intermediate_size=128)
    model = load(wide, "bf16")
    plain, layer = pack(load(wide, "bf16")), model.model.layers[0].mlp.down_proj
    layer.forward = lambda x: torch.nn.functional.linear(x.round(), layer.weight)
    assert pack(model) == plain - 1
    assert model.model.layers[0].mlp.down_proj is layer
