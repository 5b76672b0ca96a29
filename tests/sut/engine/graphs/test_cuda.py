"""What only a GPU can show: CUDA graphs of decode steps give the eager ones' answers, their pool is
counted, and the kernel of attention compiles and agrees.
"""

from __future__ import annotations

import pytest
import torch

from sut.engine.agreement import expected_of
from sut.engine.attention import ways
from sut.engine.graphs.capture import of_model
from sut.engine.serving import choose
from sut.engine.trial import Span
from tests.sut.engine.attention.test_attention import SHAPES, assert_close, drawn
from tests.sut.engine.test_lean import FAMILIES, made
from tests.sut.engine.test_slots import alone, served, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", [*FAMILIES, "gpt2", "gemma2, alternating windows"])
def test_answers_of_cuda_graphs_are_the_bare_models(name):
    model = made(*FAMILIES[name]) if name in FAMILIES else tiny(name)
    answers = alone(model)
    model = model.to("cuda")
    wanted = expected_of(model, [Span(3, 40), Span(20, 60)])
    way = choose(model, wanted, 0, 8, of_model(model))
    assert way.path == ("graph lean" if name in FAMILIES else "graph classes"), way.note
    runner = way.runner(4, 60)
    runner.prepare()
    assert served(way.engine, runner) == answers
    assert runner.captures.later == 0
    assert runner.graph_bytes > 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_sees_what_torchs_attention_sees_on_the_device(shape, dtype):
    pytest.importorskip("triton")
    from sut.engine.attention import by_length

    *tensors, scale = drawn(*shape, dtype)
    given = [tensor.to("cuda") for tensor in tensors]
    assert_close(by_length.attend(*given, scale), ways.sdpa(*given, scale), dtype)
