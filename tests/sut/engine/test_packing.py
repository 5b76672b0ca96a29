"""Packed layers compute what plain ones do, are counted, and leave alone what is not plain."""

import pytest
import torch
from torch import nn

from sut.engine.packing import PackedLinear, can_pack, pack, side_by_side
from sut.model.weights import weigh

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
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Sequential(nn.Linear(128, 64, bias=False))
    ).requires_grad_(False)


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


class Attention(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.q_proj = nn.Linear(64, 128, bias=bias)
        self.k_proj = nn.Linear(64, 64, bias=bias)
        self.v_proj = nn.Linear(64, 64, bias=bias)
        self.o_proj = nn.Linear(128, 64)

    def forward(self, x, y):
        """Twice with one input, once with another in between."""
        q, k = self.q_proj(x), self.k_proj(x)
        other = self.k_proj(y)
        v = self.v_proj(x)
        return self.o_proj(
            q * torch.cat((k, v), -1) + torch.cat((other, self.q_proj(y)[..., :64]), -1)
        ) + self.v_proj(x)


@pytest.mark.parametrize("bias", [True, False])
def test_neighbours_are_one_product_whatever_the_order_of_their_inputs(bias):
    torch.manual_seed(1)
    plain, packed = Attention(bias).requires_grad_(False), Attention(bias).requires_grad_(False)
    packed.load_state_dict(plain.state_dict())
    held = weigh(packed).held_bytes
    assert pack(packed) == 4
    assert packed.q_proj.packed is packed.v_proj.packed is not packed.o_proj.packed
    assert weigh(packed).held_bytes == held
    for _ in range(3):
        x, y = torch.randn(3, 1, 64), torch.randn(3, 1, 64)
        assert torch.allclose(packed(x, y), plain(x, y), atol=1e-4)


def test_nothing_is_kept_once_all_parts_are_fetched():
    packed = Attention(bias=False).requires_grad_(False)
    pack(packed)
    x = torch.randn(2, 64)
    for name in ("q_proj", "k_proj", "v_proj"):
        getattr(packed, name)(x)
    assert packed.q_proj.product._input is None


@pytest.mark.parametrize("bias", [False, True])
def test_neighbours_side_by_side_are_one_product_and_are_held_once(bias):
    """As on a GPU, where nothing is packed."""
    layers = nn.ModuleList(nn.Linear(64, width, bias) for width in (64, 32, 32))
    x, before = torch.randn(3, 64), weigh(layers).held_bytes
    apart = torch.cat([layer(x) for layer in layers], -1)
    for _ in range(2):  # the second finds them side by side
        product = side_by_side(list(layers))
        assert torch.allclose(product(x), apart, atol=1e-6)
        assert torch.allclose(torch.cat([layer(x) for layer in layers], -1), apart, atol=1e-6)
        assert weigh(layers).held_bytes == before
        assert len({layer.weight.untyped_storage().data_ptr() for layer in layers}) == 1


def test_layers_that_are_not_alike_or_not_plain_stay_apart():
    class Adapted(nn.Linear):
        pass

    hooked = nn.Linear(8, 8)
    hooked.register_forward_hook(lambda *_: None)
    for other in (nn.Linear(8, 8, bias=False), nn.Linear(8, 8).half(), Adapted(8, 8), hooked):
        assert side_by_side([nn.Linear(8, 8), other]) is None
