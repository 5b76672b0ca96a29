"""Tensors of several types cross as one block of bytes and are the same on the other side."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sut.likelihood.forward.transfer import Arriving, from_array, packed, unpacked

TYPES = [torch.bool, torch.float16, torch.float32, torch.float64, torch.int32, torch.int64]


@given(
    st.lists(st.tuples(st.sampled_from(TYPES), st.integers(0, 5), st.integers(0, 3)), min_size=1),
)
def test_what_is_packed_is_unpacked(kinds):
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for i, (dtype, rows, columns) in enumerate(kinds):
        values = torch.randint(-9, 9, (rows, columns), generator=generator).to(dtype)
        tensors[f"{i}"] = values[:, :1].squeeze(1) if i % 3 == 0 and columns else values
    found = unpacked(packed(tensors))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_tensors_of_the_cpu_are_what_they_are():
    tensor = torch.arange(3)
    (array,) = Arriving({"x": tensor}, tensor.device).arrays().values()
    assert array.ctypes.data == tensor.data_ptr()


def test_ids_are_indices_on_the_device():
    ids = from_array(np.array([[1, 60_000]], np.uint16), torch.device("cpu"))
    assert (ids.dtype, ids.tolist()) == (torch.int64, [[1, 60_000]])
