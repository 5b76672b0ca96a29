"""Packed layers compute what plain ones do, are counted, and leave alone what is not plain."""

import pytest
import torch
from torch import nn

from sut.packing import PackedLinear, can_pack, pack
from sut.weights import weigh

pytestmark = pytest.mark.skipif(not can_pack(), reason="torch was built without oneDNN")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 32, 200])
def test_a_packed_layer_computes_what_the_plain_one_does(dtype, bias, rows):
    torch.manual_seed(0)
    plain = nn.Linear(96, 160, bias=bias, dtype=dtype).requires_grad_(False)
    x = torch.randn(2, rows, 96, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert torch.allclose(PackedLinear(plain)(x), plain(x), rtol=tolerance, atol=tolerance)


def model():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Sequential(nn.Linear(128, 64, bias=False))).requires_grad_(False)


def test_a_models_layers_are_replaced_wherever_they_are():
    packed, plain = model(), model()
    packed.load_state_dict(plain.state_dict())
    assert pack(packed) == 2
    x = torch.randn(5, 64)
    assert torch.allclose(packed(x), plain(x), atol=1e-5)
    assert isinstance(packed[2][0], PackedLinear)


def test_packed_weights_are_weighed():
    packed = model()
    held = weigh(packed).held_bytes
    pack(packed)
    assert weigh(packed).held_bytes == held == 4 * (64 * 128 + 128 + 128 * 64)


def test_narrow_layers_half_precision_and_subclasses_stay():
    class Other(nn.Linear):
        pass

    odd = nn.Sequential(nn.Linear(64, 8), Other(64, 64), nn.Linear(64, 64, dtype=torch.float16))
    assert pack(odd) == 0
