"""Does multilingual ROUGE find the words of every script, and is the rest rouge-score's, bit by
bit? And does MLPerf's say which references it cannot read?
"""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from accuracy.metrics import bleu, multilingual, rouge, words
from accuracy.metrics.multilingual import multilingual_rouge, score, sentences
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log

TEXTS = {
    "Chinese": ("GPT-4 说：你好，世界。", ["gpt", "4", "说", "你", "好", "世", "界"]),
    "Japanese": ("東京のスーパー、ｶﾞ行く。", [*"東京のスーパーガ行く"]),
    "Korean": ("서울은 크다", ["서울은", "크다"]),
    "Thai": ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
    "Burmese": ("မြန်မာ", ["မြ", "န်", "မာ"]),
    "Arabic": ("مرحبا بالعالم؟", ["مرحبا", "بالعالم"]),
    "Persian, with a joiner": ("می‌خواهم", ["میخواهم"]),
    "Cyrillic": ("Привет, МИР!", ["привет", "мир"]),
    "Greek": ("ΟΔΟΣ οδός", ["οδοσ", "οδόσ"]),
    "Hindi": ("नमस्ते दुनिया। ठीक है", ["नमस्ते", "दुनिया", "ठीक", "है"]),
    "German": ("Straße STRASSE über", ["strasse", "strasse", "über"]),
    "decomposed": ("cafe\u0301 naïve", ["café", "naïve"]),
    "full width": ("ＡＢＣ１２", ["abc12"]),
    "emoji": ("👍🏽 🇩🇪 ❤️ ok", ["👍🏽", "🇩🇪", "❤", "ok"]),
    "English": ("It's 3.14, isn't it?", ["it", "s", "3", "14", "isn", "t", "it"]),
    "nothing": ("…?! — ", []),
}


@pytest.mark.parametrize("language", TEXTS)
def test_it_finds_the_words_of_every_script(language):
    text, expected = TEXTS[language]
    assert words.any_script(text) == expected


class Words(Tokenizer):
    def tokenize(self, text):
        return words.any_script(text)


PACKAGE = RougeScorer(list(rouge.KINDS), tokenizer=Words())


def by_the_package(text, reference):
    lines = ["\n".join(sentences(each)) for each in (reference, text)]
    found = PACKAGE.score(*lines)
    return tuple(found[kind].fmeasure for kind in rouge.KINDS)


pieces = st.sampled_from([text for text, _ in TEXTS.values()]) | st.text(max_size=4)
texts = st.lists(pieces, max_size=6).map("".join)


@settings(deadline=None, max_examples=150)
@given(texts, texts)
def test_the_figures_are_the_package_s_with_these_words_to_the_last_bit(text, reference):
    assert score(text, reference) == by_the_package(text, reference)


def test_long_chinese_answers_score_as_in_the_package():
    draw = random.Random(3)
    for _ in range(40):
        text, reference = ("".join(draw.choices("天地人你我他。！a ", k=90)) for _ in range(2))
        assert score(text, reference) == by_the_package(text, reference)


@pytest.mark.parametrize("language", [name for name in TEXTS if name != "nothing"])
def test_a_text_beside_itself_scores_1_in_every_script(language):
    text, _ = TEXTS[language]
    assert score(2 * f"{text} ", 2 * f"{text} ") == (1.0,) * 4


def test_sentences_end_at_the_full_stops_of_other_scripts():
    assert sentences("今日は。「元気？」はい") == ["今日は。", "「元気？」", "はい"]
    assert sentences("ठीक है। हाँ") == ["ठीक है।", " हाँ"]
    assert sentences("Dr. No left. He ran.") == ["Dr. No left.", "He ran."]


# ---- which texts ROUGE can read


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("你好，世界", True),
        ("GPT 4 说你好，世界", True),  # two words of eight: the name is not the answer
        ("the model 你", False),
        ("naïve über café", False),
        ("Привет", True),
        ("👍", True),
        ("?!", True),
        ("42", False),
        ("Việt Nam", False),
    ],
)
def test_a_text_of_which_rouge_sees_half_or_less_is_unread(text, unread):
    assert words.is_unread(text) is unread


def metrics_of(references, texts=None):
    log = hand_log([Row(text=text) for text in texts or references])
    samples = [Sample(i, "?", reference=each) for i, each in enumerate(references)]
    ids = np.arange(len(references))
    found = [m for metric in (rouge.rouge, bleu.bleu, multilingual_rouge)
             for m in metric(log, samples, ids)]  # fmt: skip
    return {metric.name: metric for metric in found}


def test_where_rouge_can_read_no_reference_it_has_no_figure_and_says_why():
    found = metrics_of(["巴黎是法国的首都。", "猫喜欢吃鱼。"])
    assert {found[kind].value for kind in rouge.KINDS} == {None}
    assert "ROUGE cannot read 2 of 2 reference answers" in found["rouge1"].why
    assert "multilingual_rouge reads them" in found["rouge1"].why
    assert {found[kind].value for kind in multilingual.KINDS} == {100.0}
    assert found["bleu"].value is None
    assert "2 of 2 reference answers have fewer than 4 words" in found["bleu"].why


def test_a_few_references_that_cannot_be_read_leave_mlperfs_figure_and_a_reason():
    found = metrics_of(["the cat sat", "the dog ran away", "猫喜欢吃鱼"])
    assert found["rouge1"].value == pytest.approx(200 / 3, abs=1e-4)
    assert "1 of 3" in found["rouge1"].why
    assert found["multilingual_rouge1"].value == 100.0


def test_rouge_2_of_references_of_one_word_says_why_it_is_0():
    found = metrics_of(["Paris", "Rome"])
    assert (found["rouge1"].value, found["rouge2"].value) == (100.0, 0.0)
    assert found["rouge2"].why == "2 of 2 reference answers have fewer than two words"
    assert not found["rouge1"].why


def test_english_references_have_the_figures_they_always_had():
    found = metrics_of(["the cat sat on the mat", "the dog ran away — quickly"])
    assert not any(metric.why for metric in found.values())
    assert not set(found) & set(multilingual.KINDS)
    assert found["bleu"].value == pytest.approx(100)


def test_references_without_any_word_have_no_figure_in_any_metric():
    found = metrics_of(["?!", "…"])
    assert found["rouge1"].value is None
    assert "reads them" not in found["rouge1"].why
    assert not set(found) & set(multilingual.KINDS)
