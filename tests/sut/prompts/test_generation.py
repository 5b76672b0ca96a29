"""What a model's generation config asks for beyond the likeliest token is named, and no more."""

from __future__ import annotations

import pytest

from sut.prompts.generation import not_applied, notes
from tests.prompt_helpers import model, tokenizer
from tests.sut.test_local_model import answer, one_at_a_time

CHANGING = {
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
    "encoder_repetition_penalty": 1.5,
    "encoder_no_repeat_ngram_size": 2,
    "bad_words_ids": [[5]],
    "suppress_tokens": [5, 6],
    "begin_suppress_tokens": [7],
    "forced_eos_token_id": 1,
    "min_length": 5,
    "min_new_tokens": 5,
    "exponential_decay_length_penalty": (3, 1.5),
    "num_beams": 4,
    "guidance_scale": 1.5,
    "stop_strings": ["x"],
}
HARMLESS = {
    "top_k": 20,
    "top_p": 0.8,
    "temperature": 0.6,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "use_cache": False,
    "renormalize_logits": True,
}


def config(**fields):
    from transformers import GenerationConfig

    return GenerationConfig(**fields)


@pytest.mark.parametrize("name", CHANGING)
def test_what_greedy_decoding_of_the_library_would_apply_is_named(name):
    value = CHANGING[name]
    as_json = list(value) if isinstance(value, tuple) else value
    assert not_applied(config(**{name: value})) == {name: as_json}
    assert name in notes({name: as_json})[0]


def test_a_model_that_samples_by_default_is_said_to_answer_greedily():
    defaults = not_applied(config(do_sample=True, top_p=0.8, temperature=0.7))
    assert defaults == {"do_sample": True, "temperature": 0.7, "top_p": 0.8}
    (said,) = notes(defaults)
    assert said.endswith("answers here are greedy")


def test_lengths_and_ends_are_the_runs_own_and_not_named():
    assert not_applied(config(max_new_tokens=9, max_length=50, eos_token_id=[1, 2])) == {}


def test_a_long_value_is_cut_in_the_note_alone():
    defaults = not_applied(config(suppress_tokens=list(range(1000))))
    assert len(defaults["suppress_tokens"]) == 1000
    assert len(notes(defaults)[0]) < 400


def test_answers_are_those_of_generate_where_nothing_is_named(tmp_path):
    folder = model(tmp_path / "m", tokenizer(), defaults=HARMLESS)
    log, sut = answer(folder)
    assert sut.facts()["generation_defaults_not_applied"] == {}
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] == list(one_at_a_time(sut))


def test_answers_are_not_those_of_generate_where_a_penalty_is_named(tmp_path):
    folder = model(tmp_path / "m", tokenizer(), defaults={"repetition_penalty": 1.3})
    log, sut = answer(folder)
    assert sut.facts()["generation_defaults_not_applied"] == {"repetition_penalty": 1.3}
    assert "repetition_penalty 1.3: not applied here" in sut.facts()["notes"][0]
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] != list(one_at_a_time(sut))
