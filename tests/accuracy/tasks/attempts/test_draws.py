"""Seeds that depend on the question and the attempt alone; samples that keep their question."""

from __future__ import annotations

from accuracy.tasks.attempts.draws import Draws, place_of, seed_of, several
from harness.kernel.types import Sample

QUESTIONS = [Sample(i, f"question {i}", reference=str(i)) for i in range(3)]


def draws(**changes):
    return Draws(**{"attempts": 4, "temperature": 0.8, **changes})


def seeds(samples):
    return {place_of(one.index, 4): one.draw.seed for one in samples}


def test_each_question_is_asked_so_often_with_seeds_of_its_own():
    samples = several(QUESTIONS, draws(top_p=0.9))
    assert [one.index for one in samples] == list(range(12))
    assert [one.prompt for one in samples] == [q.prompt for q in QUESTIONS for _ in range(4)]
    assert len({one.draw.seed for one in samples}) == 12
    assert {(one.draw.temperature, one.draw.top_p) for one in samples} == {(0.8, 0.9)}


def test_seeds_are_the_same_again_and_others_with_another_seed():
    first, again, other = (several(QUESTIONS, draws(seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert not set(seeds(first).values()) & set(seeds(other).values())


def test_more_attempts_and_fewer_questions_keep_the_seeds():
    few = {
        place_of(one.index, 2): one.draw.seed for one in several(QUESTIONS[:2], draws(attempts=2))
    }
    assert few.items() <= seeds(several(QUESTIONS, draws())).items()


def test_a_seed_is_one_that_every_server_takes():
    assert all(0 <= seed_of(2**63 - 1, question, 1023) < 2**31 for question in range(100))


def test_without_temperature_nothing_is_drawn():
    assert several(QUESTIONS, Draws()) == QUESTIONS
    assert Draws().facts() == {}
