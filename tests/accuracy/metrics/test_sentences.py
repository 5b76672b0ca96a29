"""Are these the sentences that MLPerf counts? Against nltk itself, which reads the same tables."""

import hashlib
import random
import shutil
from importlib.resources import files

import nltk
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from accuracy.datasets import TABLE
from accuracy.datasets.readers import READERS
from accuracy.metrics.length import gen_len
from accuracy.metrics.rouge import KINDS, by_sentence, rouge
from accuracy.metrics.sentences import sentences
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log

TABLES = {  # of NLTK's data package punkt_tab
    "abbrev_types.txt": "92a3e070f43d9b4c5534758ca40ad7343b04e7e29bfe0c2eb658a39445a4f779",
    "collocations.tab": "8e2da1225e4dd2cc9dba261ee231ccb134859e21b46006e7f472c5ee269af0cf",
    "ortho_context.tab": "4bbcca25ed3d3f06c02402abf8419b9f033b8adc06e7b482eca4e45f81a5dc4c",
    "sent_starters.txt": "f3f8535483e1dba487241b764945168123bca3209a9645e59acd1225dc76edac",
}
PUNKT = files("accuracy") / "punkt"


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """nltk.sent_tokenize, with our tables where nltk looks for its own."""
    root = tmp_path_factory.mktemp("nltk_data")
    shutil.copytree(str(PUNKT), root / "tokenizers" / "punkt_tab" / "english")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(root)])
        yield lambda text: nltk.sent_tokenize(text.strip())


def embedded_texts():
    for name in TABLE:
        path = files("accuracy.datasets") / TABLE[name].file
        for row in READERS[".jsonl"](path):
            yield from (cell for cell in row.cells.values() if isinstance(cell, str))


def test_the_tables_are_nltk_s_own():
    assert {
        name: hashlib.sha256((PUNKT / name).read_bytes()).hexdigest() for name in TABLES
    } == TABLES


def test_every_embedded_text_is_split_as_nltk_splits_it(official):
    texts = list(embedded_texts())
    assert len(texts) > 1000
    assert [text for text in texts if sentences(text) != official(text)] == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "It costs 2.50 euros. Then Dr. Brown goes on.",
            ["It costs 2.50 euros.", "Then Dr. Brown goes on."],
        ),
        (
            'He left. "Why?" (Nobody knows.) 42 did.',
            ["He left.", '"Why?"', "(Nobody knows.)", "42 did."],
        ),
        ("At 5 p.m. he left. At 5 p.m. He left.", ["At 5 p.m. he left.", "At 5 p.m.", "He left."]),
        (
            "B. Smith has plan B. The end... is near.",
            ["B. Smith has plan B.", "The end... is near."],
        ),
        (
            "By rule 3. of the 17. It ends. it does.",
            ["By rule 3. of the 17.", "It ends.", "it does."],
        ),
        ("A list, e.g. of nuts, etc. is it.", ["A list, e.g.", "of nuts, etc.", "is it."]),
        ("In the U.S. Senate J.K. Rowling spoke.", ["In the U.S. Senate J.K. Rowling spoke."]),
        ("\u201cNo.\u201d Said Bo's. And I.", ["\u201cNo.\u201d", "Said Bo's.", "And I."]),
        ("A \u00bd. Full", ["A \u00bd.", "Full"]),
        ("Stop !!! Now", ["Stop !", "!!", "Now"]),
        ("Mr. Smith.) went", ["Mr.", "Smith.)", "went"]),
        ("First.\n\nSecond\nthird.", ["First.", "Second\nthird."]),
        ("  no end  ", ["no end"]),
        ("", []),
    ],
)
def test_sentences_stand_on_lines_of_their_own(text, lines, official):
    assert sentences(text) == lines == official(text)
    assert by_sentence(text) == "\n".join(lines)


RUNS = """
    dog dog. The the Smith "Why?" (Nobody knows.) Wait... no! 5 3. 17. -2.5. 2.50 I. J. C. he. He
    U.S. p.m. Dr. Mr. Inc., non-Inc. e.g. etc.) AT&T. -- [1] it.[1] \u2018no.\u2019 \u201cOh.\u201d
    it\u2019s. Bo's. 's. d'Inc. Yahoo!'s What?! one; **B.** 1) http://a.b/c. 3-c. x--c. "The "3. (c.
    Über élan. é. . .. ... .... "end?" '90s. 'tis J.K. Ph.D. vs. Sept. London. Sales so So
    #3 b Stewart j Craig o Corp. International ? !!! . ½. Ⅷ. _. \u00ab non. \u00bb 日本。 中. И.
    иван ex-Rep. Иван. ß. İ. \u200b का. 5%. $5. ,. ;. ( ) ] } * @ & ` ''
"""
SPACES = [" ", " ", " ", "", "\n", "  ", "\t", "\n\n", "\u00a0", "\u2028", "\r\n", "\x1c"]


def test_thousands_of_drawn_texts_are_split_as_nltk_splits_them(official):
    draw = random.Random(61)
    runs = RUNS.split()
    for _ in range(4000):
        pieces = [draw.choice(runs) + draw.choice(SPACES) for _ in range(draw.randint(1, 14))]
        text = "".join(pieces)
        assert sentences(text) == official(text), text


runs = st.tuples(st.sampled_from(RUNS.split()), st.sampled_from(SPACES)).map("".join)


@hypothesis_settings(deadline=None, max_examples=400)
@given(st.lists(runs | st.text(max_size=4), max_size=12).map("".join))
def test_any_text_is_split_as_nltk_splits_it(official, text):
    assert sentences(text) == official(text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("run", [".", "?", "c. ", "a?", "'", "(", ". ", "a\n", ".) ", "!' "])
def test_a_model_that_repeats_itself_takes_no_longer_per_character(run):
    assert "".join("".join(sentences(run * 100_000)).split()) == "".join((run * 100_000).split())


def test_rouge_and_gen_len_are_those_of_mlperf_s_script(official):
    """Its recipe on the embedded texts: strip, sent_tokenize, one line each, rouge-score, means."""
    texts = [text for text in embedded_texts() if " " in text]
    references = texts[7:] + texts[:7]
    log = hand_log([Row() for _ in texts])
    log.texts = dict(enumerate(texts))
    samples = [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]
    for i in range(len(texts)):
        log.index[i] = i
    ids = np.flatnonzero(log.completed)

    lines = ["\n".join(official(text)) for text in texts]
    targets = ["\n".join(official(text)) for text in references]
    scorer = RougeScorer(list(KINDS), use_stemmer=True)
    scored = [scorer.score(*pair) for pair in zip(targets[:150], lines[:150], strict=True)]
    means = [round(np.mean([each[kind].fmeasure for each in scored]) * 100, 4) for kind in KINDS]

    assert [metric.value for metric in rouge(log, samples, ids[:150])] == means
    (length,) = gen_len(log, samples, ids)
    assert length.value == sum(map(len, lines)) != sum(len(text.strip()) for text in texts)
