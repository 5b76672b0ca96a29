"""The real tensors: tiny models against transformers' own `generate`, and the loading of
prompts.
"""

from __future__ import annotations

import dataclasses
import gc
import weakref

import pytest
import torch

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import SetupFailed
from harness.kernel.types import At, Query, QuerySample, Sample
from sut.engine.prefill import rows
from sut.local_model import LocalModel
from sut.prompts.tokenizer import fingerprint
from tests.helpers import settings

PROMPTS = [
    "why is the sky blue",
    "a b c",
    "x",
    "how is the sky why is the sky what is a b c d e f g",
    "the",
    "z y x w v",
]


def answer(folder, prompts=PROMPTS, max_new_tokens=12, samples=None, **options):
    """RunLog of all prompts (or samples) issued at once, and the SUT."""
    clock = RealClock()
    sut = LocalModel(clock, path=str(folder), **options)
    recorder = Recorder(clock)
    samples = samples or [
        Sample(i, p, max_new_tokens=max_new_tokens) for i, p in enumerate(prompts)
    ]
    sut.load(samples, recorder)
    query = Query(0, [QuerySample(s.index, s.index) for s in samples], At(0))
    return drive([query], sut, clock, recorder, settings(scenario="offline")), sut


def one_at_a_time(sut, max_new_tokens=12):
    """transformers' own greedy answers."""
    for ids in sut._encoded.ids.values():
        prompt = torch.tensor([ids])
        out = sut._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=0,
        )
        yield out[0, len(ids) :].tolist()


@pytest.mark.parametrize("model", ["tiny_llama", "tiny_gpt2"])
@pytest.mark.parametrize("max_batch", [1, 2, 8])
def test_batched_greedy_answers_equal_generate(model, max_batch, request):
    log, sut = answer(request.getfixturevalue(model), max_batch=max_batch)
    assert log.end == "completed"
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] == list(one_at_a_time(sut))


@pytest.mark.parametrize("variant", ["bf16", "fp16"])
def test_half_precision_runs_and_weighs_half(tiny_llama, variant):
    _, full = answer(tiny_llama)
    log, half = answer(tiny_llama, variant=variant)
    assert log.end == "completed"
    assert half.memory().weights_bytes * 2 == pytest.approx(full.memory().weights_bytes, rel=0.001)
    assert half.memory().kv_cache_bytes * 2 == full.memory().kv_cache_bytes


def test_tokens_are_streamed_per_step_and_counted(tiny_llama):
    log, _ = answer(tiny_llama)
    for i in range(len(log)):
        record = log.record(i)
        assert record.first_token == record.token_ids[0]
        assert record.reported_tokens == len(record.token_ids) == len(record.chunk_ns)
        assert (record.chunk_ns[1:] > record.chunk_ns[:-1]).all()


def test_facts_name_the_eos_ids_and_the_context(tiny_llama):
    _, sut = answer(tiny_llama, prompts=["a"])
    assert sut.facts()["eos_ids"] == [2]
    assert sut.facts()["context"] == 64


def test_a_prompt_beyond_the_context_is_refused_before_the_weights_are_loaded(tiny_llama):
    sut = LocalModel(RealClock(), path=str(tiny_llama))
    with pytest.raises(
        SetupFailed, match=r"sample 1: its prompt has 60 tokens .* context is 64 tokens"
    ):
        sut.load(
            [Sample(0, "a", max_new_tokens=8), Sample(1, "a " * 60, max_new_tokens=8)],
            Recorder(RealClock()),
        )
    assert sut._model is None


def test_truncation_is_done_only_when_asked_for_and_reported(tiny_llama):
    log, sut = answer(tiny_llama, prompts=["a", "b " * 60 + "c"], truncate=True)
    assert log.end == "completed"
    assert sut.facts()["truncated_samples"] == [1]
    assert len(sut._encoded.ids[1]) == 64 - 12
    assert sut._encoded.ids[1][-1] == sut._tokenizer("c")["input_ids"][-1]


def test_a_folder_without_weights_is_a_setup_failure(tiny_llama, tmp_path):
    for file in tiny_llama.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    sut = LocalModel(RealClock(), path=str(tmp_path))
    with pytest.raises(SetupFailed, match="loading model"):
        sut.load([Sample(0, "a", max_new_tokens=4)], Recorder(RealClock()))


def test_a_second_load_forgets_what_was_in_flight(tiny_llama):
    clock = RealClock()
    sut = LocalModel(clock, path=str(tiny_llama))
    samples = [Sample(0, "a b", max_new_tokens=8)]
    first, second = Recorder(clock), Recorder(clock)
    sut.load(samples, first)
    sut.issue(Query(0, [QuerySample(0, 0)], At(0)))
    sut.load(samples, second)
    log = drive(
        [Query(0, [QuerySample(0, 0)], At(0))], sut, clock, second, settings(scenario="offline")
    )
    assert log.completed.all()
    assert first.num_tokens == 0


@pytest.mark.model
def test_the_real_model_answers_in_fp32_as_generate_does(smollm2):
    from sut.model.find import resolve

    path = resolve(smollm2, print).path
    questions = [
        "Why is the sky blue?",
        "Name three colours.",
        "What is 2 + 2? Answer with a number only.",
    ]
    log, sut = answer(path, questions, max_new_tokens=16)
    assert [log.record(i).token_ids.tolist() for i in range(3)] == list(one_at_a_time(sut, 16))
    assert dataclasses.asdict(sut.memory())["weights_bytes"] == pytest.approx(
        538_060_288 + 113_246_208, rel=0.001
    )  # vocabulary: twice


@pytest.mark.parametrize(
    ("model", "prefill"), [("tiny_llama", "packed, by prompt"), ("tiny_gpt2", "padded")]
)
def test_where_nobody_says_rows_and_prompt_tokens_are_those_of_a_cpu(model, prefill, request):
    log, sut = answer(request.getfixturevalue(model), device="cpu", max_batch=None)
    names = ("max_batch", "prefill", "prefill_tokens", "prefill_tokens_per_s")
    assert [sut.facts()[name] for name in names] == [32, prefill, 512, {}]
    few, fed = answer(request.getfixturevalue(model), device="cpu", prefill_tokens=4)
    assert fed.facts()["prefill_tokens"] == 4
    assert few.token_ids.tolist() == log.token_ids.tolist()


def test_a_gpu_finds_its_prompt_tokens_and_the_facts_tell_the_rates(tiny_llama, monkeypatch):
    """A CPU is searched as a GPU would be."""
    from sut.engine.prefill import sizes

    monkeypatch.setattr(
        sizes,
        "found",
        lambda asked, runner, usual, device, clock: sizes.measured(runner, usual, clock),
    )
    log, sut = answer(tiny_llama, device="cpu")
    plain, _ = answer(tiny_llama, device="cpu", max_batch=1)
    facts = sut.facts()
    assert list(facts["prefill_tokens_per_s"]) == ["512"]  # its rows hold no more
    assert facts["prefill_tokens"] == 512
    assert log.token_ids.tolist() == plain.token_ids.tolist()


def test_the_cache_keeps_to_its_budget(tiny_llama):
    log, free = answer(tiny_llama, max_batch=8)
    row_bytes = free.memory().kv_cache_bytes // 8
    tight_log, tight = answer(tiny_llama, max_batch=8, kv_cache_bytes=3 * row_bytes + 1)
    assert (tight.facts()["max_batch"], tight.memory().kv_cache_bytes) == (3, 3 * row_bytes)
    assert "--kv-cache-gib" in tight.facts()["notes"][-1]
    assert tight_log.token_ids.tolist() == log.token_ids.tolist()
    assert 0 < tight.memory().kv_used_bytes < tight.memory().kv_cache_bytes


def test_a_model_without_rows_is_served_and_says_so(tiny_mamba):
    log, sut = answer(tiny_mamba, max_batch=4)
    assert sut.facts()["batching"] == "static"
    assert "static batches" in sut.facts()["notes"][-1]
    assert sut.memory().kv_cache_bytes is None
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] == list(one_at_a_time(sut))


def test_the_vocabulary_has_a_fingerprint(tiny_llama):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    assert fingerprint(tokenizer) == fingerprint(AutoTokenizer.from_pretrained(tiny_llama))
    tokenizer.add_tokens(["another"])
    assert answer(tiny_llama, prompts=["a"])[1].facts()["tokenizer_sha256"] != fingerprint(
        tokenizer
    )


def test_a_cache_that_is_too_short_is_gone_before_the_longer_one_is_made(tiny_llama, monkeypatch):
    _, sut = answer(tiny_llama)
    cache, alive, make = weakref.ref(sut._runner.cache), [], rows.made

    def made(*arguments):
        gc.collect()
        alive.append(cache() is not None)
        return make(*arguments)

    monkeypatch.setattr(rows, "made", made)
    sut.load([Sample(0, "a b c", max_new_tokens=40)], Recorder(RealClock()))
    assert alive == [False]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_rows_and_prompt_tokens_are_found_and_told(tiny_llama):
    log, sut = answer(tiny_llama, device="cuda", max_batch=None)
    facts = sut.facts()
    assert log.completed.all()
    assert facts["max_batch"] == 256
    assert str(facts["prefill_tokens"]) in facts["prefill_tokens_per_s"]
