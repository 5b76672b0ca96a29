"""Every variant: close to fp32, clean in the log, refused early where it cannot work; and what a
broken model is called.
"""

from __future__ import annotations

import logging
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import BadInput, RunBroke, SetupFailed
from harness.kernel.types import At, Query, QuerySample, Sample
from sut.local_model import LocalModel
from sut.model import faults, loading
from sut.precision import machine
from sut.precision import table as precision
from sut.precision.table import TABLE
from tests.helpers import settings
from tests.variant_helpers import edit_json, make_adapter

# Largest relative difference of the logits from those of fp32: |a - b| / |b|,
# on a model of 2 layers with wide weights
TOLERANCE = {
    "fp32": 1e-6,
    "bf16": 0.03,
    "fp16": 0.004,
    "fp8": 0.15,
    "fp8-tensor": 0.2,
    "int8": 0.05,
    "nf4": 0.5,
    "int8-quanto": 0.05,
    "int4-quanto": 0.3,
}


@pytest.fixture(scope="module")
def tiny_adapter(tiny_llama, tmp_path_factory):
    return make_adapter(tiny_llama, tmp_path_factory.mktemp("adapter"))


def load(variant, path, **options):
    return TABLE[variant].load(str(path), device="cpu", **options).eval()


def logits(model):
    ids = torch.arange(3, 35).view(2, 16)
    with torch.inference_mode():
        return model(input_ids=ids).logits.float()


def difference(a, b):
    return ((a - b).norm() / b.norm()).item()


def answer(path, prompts=("why is the sky blue", "a b c"), tokens=8, **options):
    """RunLog of the prompts, and the SUT."""
    clock = RealClock()
    sut, recorder = LocalModel(clock, path=str(path), device="cpu", **options), Recorder(clock)
    sut.load([Sample(i, p, max_new_tokens=tokens) for i, p in enumerate(prompts)], recorder)
    query = Query(0, [QuerySample(i, i) for i in range(len(prompts))], At(0))
    return drive([query], sut, clock, recorder, settings(scenario="offline")), sut


def refusal(path, kind=SetupFailed, **options):
    with pytest.raises(kind) as info:
        answer(path, **options)
    return info.value


@pytest.mark.parametrize("variant", TOLERANCE)
def test_logits_are_close_to_those_of_fp32(variant, tiny_llama):
    found = difference(logits(load(variant, tiny_llama)), logits(load("fp32", tiny_llama)))
    assert found <= TOLERANCE[variant]
    assert (found > 0) == (variant != "fp32")


@pytest.mark.parametrize("variant", TOLERANCE)
def test_a_model_with_transposed_matrices_works_too(variant, tiny_gpt2):
    found = difference(logits(load(variant, tiny_gpt2)), logits(load("fp32", tiny_gpt2)))
    assert found <= TOLERANCE[variant] * 1.5


@pytest.mark.parametrize("variant", TABLE)
def test_every_variant_answers_and_warns_of_nothing(variant, tiny_llama, tiny_adapter, caplog):
    options = {"adapter": str(tiny_adapter)} if TABLE[variant].adapter else {}
    with caplog.at_level(logging.WARNING):
        log, sut = answer(tiny_llama, variant=variant, **options)
    assert log.end == "completed"
    assert log.completed.all()
    assert not caplog.records
    assert sut.facts()["variant"] == variant


def test_quanto_layers_restore_what_quanto_chose(tiny_llama):
    from sut.precision.quanto import Int4Linear, Int8Linear

    layer = load("fp32", tiny_llama).model.layers[0].mlp.down_proj
    eye = torch.eye(layer.in_features)
    for kind, levels in ((Int8Linear, 254), (Int4Linear, 15)):
        restored = kind(layer)(eye).t()
        span = layer.weight.max() - layer.weight.min()
        assert (restored - layer.weight).abs().max() <= span / levels


@pytest.mark.parametrize(
    ("variant", "limit"),
    [("int8", 0.01), ("int8-quanto", 0.01), ("nf4", 0.11), ("int4-quanto", 0.11)],
)
def test_one_layer_errs_no_more_than_its_bits_allow(variant, limit, tiny_llama):
    exact, packed = (load(v, tiny_llama).model.layers[0].mlp.down_proj for v in ("fp32", variant))
    eye = torch.eye(exact.in_features)
    with torch.inference_mode():
        assert difference(packed(eye.bfloat16()).float(), exact(eye)) < limit


def test_quanto_kernels_agree_with_plain_arithmetic(tiny_llama):
    from sut.precision.quanto import Int4Linear, Int8Linear

    torch.manual_seed(5)
    layer = load("bf16", tiny_llama).model.layers[0].mlp.down_proj
    for kind in (Int8Linear, Int4Linear):
        packed, plain = kind(layer), kind(layer.float())
        layer.bfloat16()
        for tokens in (1, 40):  # both sides of the choice of kernel
            x = torch.randn(2, tokens, layer.in_features)
            assert (
                difference(packed(x.bfloat16()).float(), plain(x)) < 0.05
            )  # bf16 rounds scales and zeros


# ---- what a machine cannot do


def test_a_missing_package_is_named_before_anything_is_loaded(tiny_llama, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    for variant, package in {
        "int8": "bitsandbytes",
        "int4-quanto": "optimum-quanto",
        "lora": "peft",
    }.items():
        sut = LocalModel(RealClock(), path=str(tiny_llama), variant=variant)
        with pytest.raises(
            SetupFailed, match=f"package {package} is not installed. Run: pip install {package}"
        ):
            sut.load([Sample(0, "a", max_new_tokens=4)], Recorder(RealClock()))
        assert sut._tokenizer is None


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for row in TABLE.values():
        with pytest.raises(SetupFailed, match=r"--device cuda: torch .* sees 0 CUDA devices"):
            row.check("cuda", None)


@pytest.mark.parametrize(
    ("variant", "device", "device_map", "words"),
    [
        ("nf4", "mps", None, "no kernels for Metal"),
        ("int8-quanto", "cpu", "auto", "must be on one device"),
        ("lora-int4-quanto", "cpu", "auto", "must be on one device"),
    ],
)
def test_impossible_combinations_are_refused(variant, device, device_map, words, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(SetupFailed, match=words):
        TABLE[variant].check(device, device_map)


def test_an_unknown_device_map_is_bad_input():
    with pytest.raises(BadInput, match="auto, balanced"):
        TABLE["fp32"].check("cpu", "everywhere")


def test_a_gpu_without_bfloat16_gets_half_precision_or_a_sentence(monkeypatch):
    for name, value in {
        "is_available": True,
        "device_count": 1,
        "get_device_name": "Old GPU",
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    with pytest.raises(SetupFailed, match=r"Old GPU has no bfloat16; .* Use fp16"):
        TABLE["bf16"].check("cuda", None)
    TABLE["int8"].check("cuda:0", None)
    assert precision._half("cuda") == "float16"


def test_weights_that_do_not_fit_one_device_are_placed_by_accelerate(tiny_llama):
    log, sut = answer(tiny_llama, device_map="auto")
    assert log.completed.all()
    assert sut.facts()["weights_on"]["cpu"] > 0


def test_accelerate_is_told_what_a_control_group_leaves(tiny_llama, monkeypatch):
    asked = []
    real = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(loading, "available_bytes", lambda: 2**28)
    monkeypatch.setattr(
        AutoModelForCausalLM,
        "from_pretrained",
        lambda path, **options: (asked.append(options.get("max_memory")), real(path, **options))[1],
    )
    loading.loaded(str(tiny_llama), "float32", device="cpu", device_map="auto")
    monkeypatch.setattr(loading, "available_bytes", lambda: 2**62)
    loading.loaded(str(tiny_llama), "float32", device="cpu", device_map="auto")
    assert [room and room["cpu"] for room in asked] == [2**28, None]


# ---- a broken model is a sentence and exit code 3


def corrupt(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 1000)


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-500])


def without_end(folder):
    edit_json(folder / "tokenizer_config.json", ("eos_token", "pad_token"))
    for name in ("config.json", "generation_config.json"):
        edit_json(folder / name, eos_token_id=None, pad_token_id=None)


def without_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


BROKEN = {
    "corrupt": (corrupt, "its weight file is damaged"),
    "cut short": (cut_short, "its weight file is damaged"),
    "no tokenizer": (without_tokenizer, "loading the tokenizer of"),
    "bad tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        "loading the tokenizer of",
    ),
    "no EOS or pad": (
        without_end,
        "it has no EOS token",
    ),
    "unknown architecture": (
        lambda folder: edit_json(folder / "config.json", model_type="frob"),
        "architecture is unknown: .*`frob`",
    ),
    "no causal model": (
        lambda folder: edit_json(folder / "config.json", model_type="t5", architectures=["T5"]),
        "T5Config is no causal language model",
    ),
    "more layers than weights": (
        lambda folder: edit_json(folder / "config.json", num_hidden_layers=3),
        "lack 9 of the model's tensors, model.layers.2",
    ),
    "other shapes": (
        lambda folder: edit_json(folder / "config.json", intermediate_size=96),
        "shapes in its weight files",
    ),
    "bad config": (
        lambda folder: (folder / "config.json").write_text("{"),
        "not a valid JSON file",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("variant", ["fp32", "nf4"])
def test_a_broken_model_is_one_sentence(what, variant, tiny_llama, tmp_path):
    spoil, words = BROKEN[what]
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    spoil(folder)
    with pytest.raises(SetupFailed, match=words) as info:
        answer(folder, variant=variant)
    assert info.value.exit_code == 3
    assert "\n" not in str(info.value)


def test_an_adapter_needs_a_variant_that_takes_one(tiny_llama, tiny_adapter):
    error = refusal(tiny_llama, BadInput, variant="bf16", adapter=str(tiny_adapter))
    assert "variant bf16 takes none; with one: lora, lora-bf16" in str(error)


# ---- out of memory is a result


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried"
            " to allocate 8 bytes"
        ),
        MemoryError(),
    ],
)
def test_out_of_memory_while_loading_is_said_with_the_peak(error, tiny_llama, monkeypatch):
    def exhausted(*_, **__):
        raise error

    monkeypatch.setitem(TABLE, "bf16", TABLE["bf16"]._replace(load=exhausted))
    assert "out of memory" in (said := str(refusal(tiny_llama, variant="bf16")))
    assert "GiB" in said
    with (
        pytest.raises(RunBroke, match=r"a step: out of memory .*; peak .* GiB"),
        faults.running("a step"),
    ):
        raise error


def test_other_faults_of_a_step_are_not_called_out_of_memory():
    with pytest.raises(RuntimeError, match="shapes"), faults.running("a step"):
        raise RuntimeError("shapes do not fit")


def test_the_peak_starts_anew_with_each_load(tiny_llama):
    ballast = torch.ones(64 * 2**20)  # 256 MiB
    del ballast
    _, sut = answer(tiny_llama)
    memory = sut.memory()
    assert 0 <= memory.peak_bytes < 200 * 2**20
    assert memory.rss_peak_bytes > memory.peak_bytes
    assert "VmHWM" in memory.source


# ---- the real model


@pytest.fixture(scope="module")
def weighed():
    return {}


@pytest.mark.model
@pytest.mark.parametrize(
    "variant", ["fp32", "bf16", "fp16", "int8", "nf4", "int8-quanto", "int4-quanto"]
)
def test_the_real_model_answers_in_every_precision(variant, smollm2, weighed):
    from sut.model.find import resolve

    log, sut = answer(
        resolve(smollm2, print).path,
        ["Name three colours.", "Why is the sky blue?"],
        8,
        variant=variant,
    )
    texts = sut.decode([log.record(i).token_ids.tolist() for i in range(2)])
    assert log.completed.all()
    assert all(sum(c.isalpha() for c in text) > 10 for text in texts), texts
    weighed[variant] = sut.memory().weights_bytes
    assert sut.facts()["parameters"] == 134_515_008
    if len(weighed) == len(TOLERANCE):
        assert weighed["nf4"] < weighed["int8"] < weighed["bf16"] < weighed["fp32"]
