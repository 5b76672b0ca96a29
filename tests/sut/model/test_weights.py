"""Bytes worked out by hand against bytes found, for everything that hides weights somewhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sut.model.weights import disk_bytes, weigh
from sut.precision.table import TABLE
from tests.gguf_helpers import tied_qwen, write_gguf
from tests.variant_helpers import make_adapter

# The tiny Llama: 2 layers of q 32x32, k and v 16x32, o 32x32, gate and up 64x32, down 32x64;
# embedding and head 64x32 each
LINEAR = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32)
EMBEDDINGS = 2 * 64 * 32
NORMS = 5 * 32
VALUES = LINEAR + EMBEDDINGS + NORMS
ROTARY = 2 * 4 * 4  # inverse frequencies of 4 pairs and their original, fp32 in every variant
ROWS = 2 * (2 * 32 + 2 * 16 + 2 * 64 + 32)  # output rows of all linear layers


def loaded(variant, path, **options):
    return weigh(TABLE[variant].load(str(path), device="cpu", **options))


@pytest.mark.parametrize(("variant", "width"), [("fp32", 4), ("bf16", 2), ("fp16", 2)])
def test_plain_weights_are_values_times_width(variant, width, tiny_llama):
    found = loaded(variant, tiny_llama)
    assert found.held_bytes == VALUES * width + ROTARY
    assert found.bytes_on == {"cpu": found.held_bytes}
    assert (found.parameters, found.repeated_parameters) == (VALUES, 0)


def test_bitsandbytes_8_bit_has_one_float_per_row(tiny_llama):
    found = loaded("int8", tiny_llama)
    assert found.held_bytes == LINEAR + ROWS * 4 + (EMBEDDINGS + NORMS) * 2 + ROTARY
    assert found.parameters == VALUES


def test_bitsandbytes_nf4_has_a_nested_state_per_layer(tiny_llama):
    """Per layer: half a byte per value, a byte per block of 64, an fp32 per 256 blocks and one for
    their mean, two codes.
    """
    found = loaded("nf4", tiny_llama)
    states = 14 * (4 + 4 + 16 * 4 + 256 * 4)
    assert (
        found.held_bytes == LINEAR // 2 + LINEAR // 64 + states + (EMBEDDINGS + NORMS) * 2 + ROTARY
    )
    assert found.parameters == VALUES


def test_quanto_8_bit_has_one_half_float_per_row(tiny_llama):
    assert (
        loaded("int8-quanto", tiny_llama).held_bytes
        == LINEAR + ROWS * 2 + (EMBEDDINGS + NORMS) * 2 + ROTARY
    )


def test_quanto_4_bit_has_a_scale_and_a_zero_per_group(tiny_llama):
    wide = 2 * 64 * 32  # the two layers with 64 inputs have groups of 64, the others of 32
    groups = (LINEAR - wide) // 32 + wide // 64
    found = loaded("int4-quanto", tiny_llama)
    assert found.held_bytes == LINEAR // 2 + groups * 2 * 2 + (EMBEDDINGS + NORMS) * 2 + ROTARY
    assert found.parameters == VALUES


def test_the_inner_tensors_of_quantos_own_layers_are_found():
    from optimum.quanto import freeze, qint8, quantize

    model = nn.Sequential(nn.Linear(64, 32, bias=False))
    quantize(model, weights=qint8)
    freeze(model)
    scales_of_activations = 2 * 4
    assert weigh(model).held_bytes == 64 * 32 + 32 * 4 + scales_of_activations
    assert weigh(model).parameters == 64 * 32


@pytest.mark.parametrize(
    ("variant", "width"),
    [("lora", 4), ("lora-bf16", 2), ("lora-int8", 2), ("lora-nf4", 2), ("lora-int4-quanto", 2)],
)
def test_an_adapter_weighs_its_own_values_on_top(variant, width, tiny_llama, tmp_path):
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    base_name = variant.removeprefix("lora-") if "-" in variant else "fp32"
    plain = TABLE[base_name].load(str(tiny_llama), device="cpu").eval().requires_grad_(False)
    plain(torch.arange(3, 10)[None])  # bitsandbytes rearranges its 4 bits in the first pass
    base = weigh(plain)
    found = loaded(variant, tiny_llama, adapter=str(adapter))
    values = 2 * 4 * ((32 + 32) + (32 + 16))  # rank 4 on q and v of 2 layers
    assert found.parameters == VALUES + values
    assert found.held_bytes == base.held_bytes + values * width


def test_tied_weights_and_views_count_once():
    model = nn.ModuleList([nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)])
    model[1].weight = model[0].weight
    model.register_buffer("view", model[0].weight.detach()[2:4])
    assert weigh(model).held_bytes == 10 * 8 * 4
    assert weigh(model).parameters == 80


def test_two_parameters_over_the_same_memory_are_one():
    model = nn.ModuleList([nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)])
    model[1].weight = nn.Parameter(model[0].weight.data)
    assert model[1].weight is not model[0].weight
    assert weigh(model).parameters == 80


def converted(folder, **stored):
    """The weights of a tied model after its way through a GGUF file."""
    from sut.model.convert import convert

    convert(write_gguf(tied_qwen(), folder / "model.gguf", **stored), folder / "model")
    return folder / "model"


@pytest.mark.parametrize("kinds", [("F32", "F32"), ("F16", "F16"), ("Q8_0", "Q8_0"),
                                   ("Q8_0", "Q5_0"), ("Q8_0", "Q4_0")])  # fmt: skip
def test_a_head_that_a_gguf_file_stores_again_counts_once_in_every_variant(kinds, tmp_path):
    model = tied_qwen()
    embedding, once = model.get_input_embeddings().weight, weigh(model).parameters
    head_type, embedding_type = kinds
    stored = {"head": embedding, "head_type": head_type, "embedding_type": embedding_type}
    folder = converted(tmp_path, **stored)
    for variant in ("fp32", "bf16", "nf4", "int8-quanto"):
        found = loaded(variant, folder)
        assert (found.parameters, found.repeated_parameters) == (once, embedding.numel())
    assert loaded("fp32", folder).held_bytes == 4 * (once + embedding.numel()) + 2 * 4 * 8


def test_a_head_of_its_own_counts_and_a_tied_one_is_stored_once(tmp_path):
    once = weigh(tied_qwen()).parameters
    torch.manual_seed(6)
    own = torch.randn_like(tied_qwen().get_input_embeddings().weight) * 0.2
    (tmp_path / "own").mkdir()
    (tmp_path / "none").mkdir()
    found = loaded("fp32", converted(tmp_path / "own", head=own))
    assert (found.parameters, found.repeated_parameters) == (once + own.numel(), 0)
    found = loaded("fp32", converted(tmp_path / "none", head=None))
    assert (found.parameters, found.repeated_parameters) == (once, 0)


def test_a_head_that_was_trained_on_from_a_copy_is_its_own():
    from transformers import Qwen2ForCausalLM

    source = tied_qwen()
    source.config.tie_word_embeddings = False
    model = Qwen2ForCausalLM(source.config)
    model.load_state_dict(source.state_dict())
    repeated = weigh(model)
    model.lm_head.weight.data[3, 3] += 0.01
    own = weigh(model)
    size = model.lm_head.weight.numel()
    assert (repeated.repeated_parameters, own.repeated_parameters) == (size, 0)
    assert own.parameters == repeated.parameters + size


def test_a_view_holds_its_whole_storage():
    model = nn.Linear(4, 4, bias=False)
    model.weight = nn.Parameter(torch.zeros(100, 4)[:4])
    assert weigh(model).held_bytes == 100 * 4 * 4


def test_tensors_that_are_no_parameters_count():
    model = nn.Linear(4, 4, bias=False)
    model.table = torch.zeros(16)
    assert weigh(model).held_bytes == 16 * 4 + 16 * 4


def test_weights_offloaded_by_accelerate_are_found_where_they_lie(tiny_llama, tmp_path):
    from accelerate import cpu_offload, disk_offload
    from transformers import LlamaForCausalLM

    def plain():
        return LlamaForCausalLM.from_pretrained(tiny_llama)

    on_cpu = weigh(cpu_offload(plain(), execution_device=torch.device("cpu")))
    assert on_cpu.bytes_on == {"cpu": VALUES * 4 + ROTARY}
    on_disk = weigh(disk_offload(plain(), str(tmp_path), execution_device=torch.device("cpu")))
    assert on_disk.bytes_on["disk"] == VALUES * 4
    assert on_disk.held_bytes <= ROTARY
    assert on_cpu.parameters == on_disk.parameters == VALUES


def test_tied_weights_count_once_wherever_they_are_offloaded(tmp_path):
    from accelerate import cpu_offload, disk_offload

    once = weigh(tied_qwen())
    on_cpu = weigh(cpu_offload(tied_qwen(), execution_device=torch.device("cpu")))
    assert on_cpu == once
    on_disk = disk_offload(tied_qwen(), str(tmp_path), execution_device=torch.device("cpu"))
    assert weigh(on_disk).parameters == once.parameters


def test_a_repeated_head_that_is_offloaded_counts_once_too(tmp_path):
    from accelerate import cpu_offload, disk_offload
    from transformers import Qwen2ForCausalLM

    once = weigh(tied_qwen()).parameters
    folder = converted(tmp_path, head=tied_qwen().get_input_embeddings().weight)
    place = tmp_path / "offloaded"
    for offload in (cpu_offload, lambda model, **device: disk_offload(model, place, **device)):
        model = Qwen2ForCausalLM.from_pretrained(folder)
        found = weigh(offload(model, execution_device=torch.device("cpu")))
        assert found.parameters == once
        assert found.repeated_parameters == 96 * 64


def test_size_on_disk_is_that_of_the_weight_files(tiny_llama, tmp_path):
    size = (tiny_llama / "model.safetensors").stat().st_size
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    assert disk_bytes(str(tiny_llama)) == size > VALUES * 4
    assert (
        disk_bytes(str(tiny_llama), adapter)
        == size + (adapter / "adapter_model.safetensors").stat().st_size
    )
    assert disk_bytes("nobody/nothing") is None
