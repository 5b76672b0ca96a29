"""What a machine cannot do is a sentence and exit code 3, before anything is loaded."""

from __future__ import annotations

import pytest
import torch

from harness.kernel.errors import SetupFailed
from sut.precision import machine, tf32
from sut.precision.table import TABLE


class FakeCuda:
    """Answers as torch.cuda does on a machine with such GPUs."""

    def __init__(self, name="NVIDIA H100", capability=(9, 0), count=1, archs=("sm_75", "sm_100a")):
        self.name, self.capability, self.count, self.archs = name, capability, count, archs

    def answers(self):
        return {
            "is_available": lambda: self.count > 0,
            "device_count": lambda: self.count,
            "get_device_name": lambda device=None: self.name,
            "get_device_capability": lambda device=None: self.capability,
            "get_arch_list": lambda: list(self.archs),
            "is_bf16_supported": lambda including_emulation=True: self.capability >= (8, 0),
        }


@pytest.fixture
def cuda(monkeypatch):
    def there_is(why="", **told):
        def init():
            if why:
                raise RuntimeError(why)

        for name, answer in (FakeCuda(**told).answers() | {"init": init}).items():
            monkeypatch.setattr(torch.cuda, name, answer)
        monkeypatch.setattr(torch.version, "cuda", "13.0")

    return there_is


def refused(variant, device="cuda", device_map=None):
    with pytest.raises(SetupFailed) as info:
        TABLE[variant].check(device, device_map)
    assert info.value.exit_code == 3
    return str(info.value)


def test_a_current_gpu_takes_every_variant(cuda):
    cuda()
    for variant in ("fp32", "bf16", "fp16", "fp8", "fp8-tensor", "lora-fp8", "asis", "native"):
        TABLE[variant].check("cuda:0", None)


@pytest.mark.parametrize("variant", ["fp8", "fp8-tensor", "lora-fp8"])
def test_a_gpu_without_fp8_says_which_it_would_take(variant, cuda):
    cuda(name="Tesla A100", capability=(8, 0))
    said = refused(variant)
    assert "Tesla A100 has no FP8: its compute capability is 8.0; expected 8.9 or later" in said
    assert "Use int8, or --device cpu" in said
    TABLE["bf16"].check("cuda", None)


def test_a_gpu_without_bf16_says_so(cuda):
    cuda(name="Tesla T4", capability=(7, 5))
    assert "Tesla T4 has no bfloat16; expected compute capability 8.0" in refused("bf16")
    TABLE["fp16"].check("cuda", None)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "sees 1 CUDA device: cuda:0;"),
        (4, "sees 4 CUDA devices: cuda:0 to cuda:3;"),
    ],
)
def test_a_gpu_that_is_not_there_is_told_from_those_that_are(count, words, cuda):
    cuda(count=count)
    said = refused("fp32", "cuda:7")
    assert said.startswith("--device cuda:7: torch ")
    assert words in said
    TABLE["fp32"].check(f"cuda:{count - 1}", None)


OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 11040).\nPlease update"


def test_a_driver_that_is_too_old_is_said_in_its_words(cuda):
    cuda(count=0, why=OLD_DRIVER)
    said = refused("fp32", "cuda")
    assert "sees 0 CUDA devices (The NVIDIA driver on your system is too old" in said
    assert "\n" not in said


def test_a_gpu_older_than_torchs_kernels_is_refused(cuda):
    cuda(name="GTX 1080", capability=(6, 1))
    said = refused("fp32")
    assert "GTX 1080 has compute capability 6.1, too old for this torch" in said
    assert "was built for 7.5 and later" in said


def test_fp8_stays_on_one_device_and_off_metal(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert "Metal has no FP8" in refused("fp8", "mps")
    assert "its layers must be on one device" in refused("fp8", "cpu", "auto")


class FakeNvml:
    count = 2

    def gpus(self):
        return [object()] * self.count

    def close(self):
        pass


def test_auto_says_why_a_gpu_is_not_used(cuda, monkeypatch):
    monkeypatch.setattr(machine, "Nvml", FakeNvml)
    cuda(count=0, why=OLD_DRIVER)
    note = machine.gpu_not_used()
    assert note.startswith("this machine has 2 NVIDIA GPUs, but torch cannot use CUDA (The NVIDIA")
    assert note.endswith("the CPU is used")
    cuda()
    assert machine.gpu_not_used() == ""
    monkeypatch.setattr(FakeNvml, "count", 0)
    cuda(count=0, why=OLD_DRIVER)
    assert machine.gpu_not_used() == ""


# ---- TF32


@pytest.fixture
def flags(monkeypatch):
    """What torch is told; put back at the end."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    yield lambda: [place.allow_tf32 for place in places]
    for place, value in zip(places, before, strict=True):
        place.allow_tf32 = value


@pytest.mark.parametrize("is_wanted", [False, True])
def test_tf32_is_what_was_asked_for_in_products_and_convolutions(is_wanted, flags):
    assert tf32.choose("cuda:1", is_wanted, {}) == (is_wanted, "")
    assert flags() == [is_wanted, is_wanted]
    assert torch.get_float32_matmul_precision() == ("high" if is_wanted else "highest")


def test_on_a_cpu_tf32_changes_nothing(flags):
    before = flags()
    assert tf32.choose("cpu", False, {}) == (False, "")
    assert tf32.choose("cpu", True, {}) == (False, "--tf32 changes nothing on cpu")
    assert flags() == before


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("0", False)])
def test_a_variable_that_overrules_tf32_is_heard_and_told(value, is_on, flags):
    found, note = tf32.choose("cuda", not is_on, {tf32.OVERRIDE: value})
    assert found == is_on
    assert note.startswith(f"NVIDIA_TF32_OVERRIDE={value} turns TF32 {'on' if is_on else 'off'}")
    assert tf32.choose("cuda", is_on, {tf32.OVERRIDE: value}) == (is_on, "")
