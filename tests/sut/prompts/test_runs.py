"""Models whose prompts are odd, through the commands: the library's own answers, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.prompt_helpers import (
    CHAT,
    PROMPTS,
    ROWS,
    SIZES,
    dataset,
    facts,
    harness,
    model,
    perplexity,
    run,
    tokenizer,
    with_template,
)
from tests.sut.test_local_model import answer, one_at_a_time

EACH = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return model(tmp_path_factory.mktemp("model") / "plain", tokenizer(), template=CHAT)


def mpt(folder, **changes):
    from transformers import MptConfig

    sizes = {"vocab_size": ROWS, "d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}
    return model(folder, tokenizer(), MptConfig(eos_token_id=1, **(sizes | changes)))


def text_of(done):
    return " ".join(done.output.replace("│", " ").split())


def measured(done):
    """The rows of a perplexity measurement."""
    assert done.exit_code == 0, done.output
    place = Path(done.stdout.rsplit("folder: ", 1)[1].split("\n")[0])
    return json.loads((place / "perplexity.json").read_text())["subjects"]


# ---- lengths


def test_a_text_or_an_answer_beyond_the_context_is_named_before_the_weights_are_read(tmp_path):
    folder = mpt(tmp_path / "mpt")
    assert facts(run(folder, tmp_path / "short"))["context"] == 64
    (folder / "model.safetensors").unlink()
    long = run(folder, tmp_path / "long", [PROMPTS[0], "x " * 60])
    assert long.exit_code == 3
    assert "sample 1: its prompt has 120 tokens" in text_of(long)
    crossing = run(folder, tmp_path / "crossing", PROMPTS, "--max-new-tokens", 60)
    assert "the answer may take 60; the model's context is 64 tokens" in text_of(crossing)
    scored = perplexity(folder, tmp_path / "ppl", [*PROMPTS, "x " * 48 + "x"])
    assert scored.exit_code == 2
    assert "text text-0003: it has 97 tokens; the context takes 64" in text_of(scored)


def test_a_model_without_a_limit_reads_texts_of_any_length(tmp_path):
    from transformers import BloomConfig

    sizes = {"vocab_size": ROWS, "hidden_size": 64, "n_layer": 2, "n_head": 4, "eos_token_id": 1}
    folder = model(tmp_path / "bloom", tokenizer(), BloomConfig(**sizes))
    assert facts(run(folder, tmp_path / "run"))["context"] is None
    texts = [*PROMPTS, "why is " * 1300]
    (whole,) = measured(perplexity(folder, tmp_path / "whole", texts))
    assert (whole["context"], whole["in_windows"]) == (None, 0)
    words = ("--window", 64, "--stride", 32)
    (windows,) = measured(perplexity(folder, tmp_path / "windows", texts, *words))
    assert (windows["context"], windows["in_windows"]) == (64, 1)


# ---- ids


def test_an_id_without_a_row_is_named_by_every_command(tmp_path):
    folder = model(tmp_path / "m", tokenizer(added=("zebra",)))
    said = f"token 2 is 'zebra' with id {ROWS}; the model's embedding has {ROWS} rows"
    asked = run(folder, tmp_path / "run", [PROMPTS[0], "a zebra"])
    assert asked.exit_code == 3
    assert f"sample 1: {said}" in text_of(asked)
    scored = perplexity(folder, tmp_path / "ppl", [PROMPTS[0], "a zebra"])
    assert scored.exit_code == 3
    assert f"text text-0002: {said}" in text_of(scored)
    place = tmp_path / "evaluated"
    place.mkdir()
    file = dataset(place, PROMPTS, reference="a zebra")
    words = ["--scenario", "offline", "--mode", "accuracy", "--model", folder, "--dataset", file]
    words += ["--max-new-tokens", 4, "--output-dir", place, "--json", "--in-process", "--evaluate"]
    (lacking,) = json.loads(harness("run", *words).stdout.splitlines()[-1])["missing"]
    assert f"the reference answer of sample 0: {said}" in lacking["reason"]


def test_rows_that_the_configuration_promises_and_the_weights_lack_are_noticed(plain, tmp_path):
    """The configuration is believed before the weights are read, the embedding afterwards."""
    from transformers import AutoModelForCausalLM

    from harness.kernel.errors import SetupFailed
    from sut.prompts.vocabulary import check_ids, rows_of

    rows = rows_of(AutoModelForCausalLM.from_pretrained(plain))
    assert rows == ROWS
    with pytest.raises(SetupFailed, match="rows"):
        check_ids("sample 0", [1, ROWS], rows, tokenizer())


# ---- start and end


def test_both_start_tokens_of_a_glm_stand_before_each_text(tmp_path):
    known = tokenizer("[gMASK] <sop> $A", ("[gMASK]", "<sop>", "</s>", "<unk>"), bos_token=None)
    folder = model(tmp_path / "glm", known)
    (auto,) = measured(perplexity(folder, tmp_path / "auto", PROMPTS))
    (never,) = measured(perplexity(folder, tmp_path / "never", PROMPTS, "--bos", "never"))
    assert (auto["bos"], never["bos"]) == ("added", "none")
    assert auto["figures"]["tokens"] == never["figures"]["tokens"] + 2  # the first of each text
    assert auto["ids_sha256"] != never["ids_sha256"]


@pytest.mark.parametrize("post", ["<s> $A </s>", "$A </s>"])
def test_an_answer_continues_a_text_that_its_tokenizer_would_close(tmp_path, post):
    folder = model(tmp_path / "m", tokenizer(post))
    log, sut = answer(folder, PROMPTS)
    assert not any(ids[-1] == 1 for ids in sut._encoded.ids.values())
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] == list(one_at_a_time(sut))


def test_scoring_needs_no_end_and_answering_does(tmp_path):
    known = tokenizer(special=("<unk>",), bos_token=None, eos_token=None)
    from transformers import LlamaConfig

    folder = model(tmp_path / "m", known, LlamaConfig(**(SIZES | {"eos_token_id": None})))
    measured(perplexity(folder, tmp_path / "ppl", PROMPTS))
    asked = run(folder, tmp_path / "run")
    assert asked.exit_code == 3
    assert "an answer would never end" in text_of(asked)
    always = perplexity(folder, tmp_path / "always", PROMPTS, "--bos", "always")
    assert "neither a start token nor an end token" in text_of(always)


@pytest.mark.parametrize("place", ["config", "generation_config"])
@pytest.mark.parametrize("ends", [1, [1, 2]])
def test_an_end_that_only_a_configuration_names_is_enough(tmp_path, place, ends):
    from transformers import LlamaConfig

    known = tokenizer(eos_token=None)
    config = LlamaConfig(**(SIZES | {"eos_token_id": ends if place == "config" else None}))
    defaults = {"eos_token_id": ends if place == "generation_config" else None}
    folder = model(tmp_path / "m", known, config, defaults=defaults)
    assert facts(run(folder, tmp_path / "run"))["eos_ids"] == ([1] if ends == 1 else [1, 2])


# ---- composite configurations

TEXT = {
    "vocab_size": ROWS, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
SIGHT = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip


def gemma3():
    from transformers import Gemma3Config

    ids = {"image_token_index": 310, "boi_token_index": 311, "eoi_token_index": 312}
    text = TEXT | {"sliding_window": 64}
    return Gemma3Config(text_config=text, vision_config=SIGHT, mm_tokens_per_image=4, **ids)


def llama4():
    from transformers import Llama4Config

    text = TEXT | {"num_local_experts": 2, "intermediate_size_mlp": 96, "attention_chunk_size": 64}
    sight = SIGHT | {"intermediate_size": 64, "vision_output_dim": 32}
    sight |= {"projector_input_dim": 32, "projector_output_dim": 32}
    return Llama4Config(text_config=text, vision_config=sight)


def fuyu():
    from transformers import FuyuConfig

    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    text = {name: TEXT[name] for name in (*names, "vocab_size", "max_position_embeddings")}
    return FuyuConfig(text_config=text | {"model_type": "persimmon", "eos_token_id": 1}, **text)


@pytest.mark.parametrize("config", [gemma3, llama4, fuyu])
def test_a_composite_model_is_served_and_scored_as_text(tmp_path, config):
    folder = model(tmp_path / "m", tokenizer(), config())
    log, sut = answer(folder, PROMPTS)
    assert sut.facts()["eos_ids"] == [1]
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] == list(one_at_a_time(sut))
    measured(perplexity(folder, tmp_path / "ppl", PROMPTS))


# ---- fingerprints


def finished(folder, place):
    """The folder of a run, of the same dataset whichever the model."""
    done = run(folder, place)
    assert done.exit_code == 0, done.output
    return max((place / "runs").iterdir(), key=lambda made: made.stat().st_mtime_ns)


def test_runs_of_a_template_that_asks_for_the_time_can_be_compared(plain, tmp_path):
    chat = "{{ strftime_now('%H:%M:%S.%f') }}" + CHAT
    folder = with_template(plain, tmp_path / "m", chat)
    first, second = finished(folder, tmp_path), finished(folder, tmp_path)
    judged = harness("gate", "--reference", first, "--candidates", second, "--against",
                     "reference", "--output-dir", tmp_path / "gates")  # fmt: skip
    assert judged.exit_code == 0, judged.output
    assert "2024-07-26" in text_of(judged)


def test_runs_of_other_prompts_are_refused_by_the_gate_and_told_by_a_comparison(plain, tmp_path):
    other = with_template(plain, tmp_path / "other" / "plain", "Be kind. " + CHAT)
    first, second, third = (finished(one, tmp_path) for one in (plain, other, plain))
    places = "--output-dir", tmp_path / "found"
    judged = harness("gate", "--reference", first, "--candidates", second, *places)
    assert judged.exit_code == 2
    assert "chat template" in text_of(judged)
    assert "prompts" in text_of(judged)
    assert harness("compare", first, third, *places).exit_code == 0
    compared = harness("compare", first, second, *places, "--json")
    assert compared.exit_code == 1
    (difference,) = json.loads(compared.stdout.splitlines()[-1])["differences"]
    assert difference.startswith("prompts: ")
    assert difference.endswith("what differs: the chat template")


@pytest.mark.parametrize(("own", "told"), [(CHAT, 0), ("Be kind. " + CHAT, 1)])
@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_of_the_adapter_that_is_not_used_is_told(plain, tmp_path, file, own, told):
    from tests.variant_helpers import make_adapter

    adapter = make_adapter(plain, tmp_path / "adapter")
    content = own if file.endswith("jinja") else json.dumps({"chat_template": own})
    (adapter / file).write_text(content)
    words = ["--variant", "lora", "--adapter", adapter]
    notes = facts(run(plain, tmp_path, PROMPTS, *words))["notes"]
    assert sum("chat template of its own" in note for note in notes) == told


def test_a_chat_template_of_the_processor_alone_is_told(tmp_path):
    folder = model(tmp_path / "m", tokenizer())
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": EACH}))
    assert any(
        "for its processor alone" in note for note in facts(run(folder, tmp_path / "r"))["notes"]
    )
