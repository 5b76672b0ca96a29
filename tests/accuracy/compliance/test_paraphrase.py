"""Is a fresh prompt another one, as long as the known one, and not to be guessed?"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.compliance.paraphrase import fresh
from accuracy.datasets.files import load_dataset


def test_most_questions_have_a_fresh_form_of_their_length():
    prompts = [sample.prompt for sample in load_dataset("qa", 32).samples]
    others = [fresh(prompt, Random(1)) for prompt in prompts]
    made = [(a, b) for a, b in zip(prompts, others, strict=True) if b is not None]
    assert len(made) > 0.9 * len(prompts)
    assert not {b for _, b in made} & set(prompts)
    longer = [len(b.split()) / len(a.split()) for a, b in made]
    assert sum(longer) / len(longer) == pytest.approx(1, abs=0.06)


@given(st.integers(0, 10**9), st.integers(0, 99))
def test_a_number_becomes_another_of_as_many_digits(number, seed):
    words = fresh(f"add {number} to it", Random(seed)).split()
    assert (words[0], words[2:]) == ("add", ["to", "it"])
    assert words[1] != str(number)
    assert len(words[1]) == len(str(number))
    assert number < 100 or words[1][0] == str(number)[0]


def test_an_opening_is_put_in_other_words():
    forms = {fresh("Why does bread rise?", Random(seed)) for seed in range(40)}
    assert forms == {
        f"Why {word} does bread rise?" for word in ("exactly", "precisely", "actually", "really")
    }
    assert fresh("How many legs has a spider?", Random(1)).split()[1:] == [
        "how",
        "many",
        "legs",
        "has",
        "a",
        "spider?",
    ]
    assert fresh("Explain why ice floats.", Random(1)) == "Describe why ice floats."
    assert fresh("Listless eyes", Random(1)) is None


def test_the_choice_depends_on_the_seed():
    assert len({fresh("Add 4711 to 1234.", Random(seed)) for seed in range(20)}) > 15


def test_a_prompt_that_would_grow_too_much_has_none():
    assert fresh("near " * 30, Random(1)) is None


@given(st.text(max_size=80))
def test_any_text_is_read_without_a_fault(prompt):
    other = fresh(prompt, Random(3))
    assert other is None or other != prompt
