"""Which deployments of a model can a gate name?"""

from __future__ import annotations

import pytest

from accuracy.gate.readings import Criteria
from harness.kernel.errors import BadInput
from harness.study.cells import deployment
from harness.study.gating.job import job

ASKED = Criteria("99.9", None, 1000, 95.0, "rouge")


def judged(candidates, **flags):
    return job("fp32", candidates, flags, ASKED).parts[0]


def test_a_server_is_judged_beside_a_local_variant():
    found = judged("int8,http://host:8000,https://other/v1#NAME", model="smollm2-135m")
    local, only, named = found.candidates
    assert (found.reference.sut, local.sut, only.sut, named.sut) == (
        "local", "local", "served", "served",
    )  # fmt: skip
    assert [deployment(config) for config in found.candidates] == [
        "int8", "http://host:8000", "https://other/v1#NAME",
    ]  # fmt: skip
    assert "model" not in only.origins, "the only one that it lists"
    assert named.model == "NAME"
    assert only.tokenizer == named.tokenizer == "smollm2-135m", "the reference's own prompts"
    assert only.mode == "accuracy"


def test_a_server_is_started_for_a_variant():
    found = judged("vllm:bf16,llama-server:Q4_K_M,bf16", model="smollm2-135m")
    started, other, local = found.candidates
    assert (started.sut, started.variant, started.model) == ("vllm", "bf16", "smollm2-135m")
    assert (other.sut, other.variant) == ("llama-server", "Q4_K_M")
    assert (local.sut, local.variant) == ("local", "bf16")
    assert [deployment(config) for config in found.candidates] == [
        "vllm:bf16", "llama-server:Q4_K_M", "bf16",
    ]  # fmt: skip


def test_the_tokenizer_may_be_another():
    assert judged("http://host:8000", tokenizer="other/model").candidates[0].tokenizer == (
        "other/model"
    )


@pytest.mark.parametrize("candidate", ["http://user:secret@host", "http://", "ftp://host"])
def test_an_address_that_is_none_is_refused(candidate):
    with pytest.raises(BadInput) as refused:
        judged(candidate)
    assert "secret" not in str(refused.value)
