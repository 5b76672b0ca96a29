"""The table of a model card, and which variant is best, in words, tables and pictures."""

import pytest

from harness.kernel.errors import BadInput
from reports.blocks import markdown
from reports.pages import compare as page
from reports.pages.comparison import best
from reports.pages.comparison.card import card, columns_of
from reports.pages.comparison.columns import table
from tests.harness.study.comparison.test_compare import compared, oom, row

ASKED = (
    "trainable_parameters,disk_bytes,eval_loss,perplexity,token_accuracy,samples_per_s,"
    "tokens_per_s,peak_bytes"
)


def test_a_model_card_has_a_row_per_variant_and_the_columns_that_were_asked_for():
    gpu = {"device": "cuda:0"}
    found = compared(
        row(trainable_parameters=134_515_008, conditions=gpu),
        row("lora", trainable_parameters=460_800, eval_loss=2.5, conditions=gpu),
    )
    assert markdown([card(found, columns_of(ASKED))]).splitlines() == [
        "| Model | Trainable parameters | Size on disk, MiB | Loss | Perplexity |"
        " Token accuracy, % | Samples/s | Tokens/s | GPU memory, MiB |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
        "| m fp32 | 134.5M | 513.0 | 3.0000 | 20 | 37.00 | 3 | 100 | 1,200.0 |",
        "| m lora | 460,800 | 513.0 | 2.5000 | 20 | 37.00 | 3 | 100 | 1,200.0 |",
    ]


def test_a_variant_without_figures_has_dashes_in_a_model_card():
    lines = markdown([card(compared(row(), oom()), columns_of("loss,memory"))]).splitlines()
    assert lines[-1] == "| m int8 | - | - |"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("perplexity,tokens_per_sec", "Did you mean 'tokens_per_s'?"),
        ("perplexity,", "has an empty name"),
        ("", "has an empty name"),
    ],
)
def test_an_unknown_column_is_refused_with_the_nearest(text, said):
    with pytest.raises(BadInput, match="--columns") as refused:
        columns_of(text)
    assert said in str(refused.value)


def test_other_names_of_a_column_mean_the_same():
    assert columns_of("loss,memory,ppl,size,loss") == [
        "eval_loss", "peak_bytes", "perplexity", "disk_bytes",
    ]  # fmt: skip


# ---- which is best


def known(variant, speed, rouge, kinds=None, half=0.5, **more):
    ends = {"tokens_per_s": [speed - half, speed + half], "rougeL": [rouge - half, rouge + half]}
    return row(variant, tokens_per_s=speed, rougeL=rouge, intervals=ends, **more) | (
        {"kinds": kinds} if kinds else {}
    )


def by_kind(**values):
    return {"rougeL": {kind: [value, value - 1, value + 1] for kind, value in values.items()}}


def three():
    """The fastest is not the best, and one is beaten in both."""
    return compared(
        known("fp32", 100.0, 40.0, by_kind(code=60, reasoning=20)),
        known("bf16", 200.0, 41.0, by_kind(code=30, reasoning=50)),
        known("int8", 300.0, 30.0, by_kind(code=20, reasoning=21)),
    )


def test_a_comparison_says_who_is_beaten_in_both_and_where_figures_disagree():
    said = best.sentences(three())
    assert said[0] == "by ROUGE-L and tokens/s, int8, bf16 lead; beaten in both: fp32 (by bf16)"
    has = "bf16 has the highest ROUGE-L"
    assert f"{has}, but fp32 is better at code (ROUGE-L 60.00 against 30.00)" in said


def test_the_page_shows_fronts_and_kinds_of_task():
    found = three()
    names = [one.title for one in best.pictures(found)]
    # all take the same memory: there is no front to draw
    assert names == ["ROUGE-L against tokens/s", "ROUGE-L by kind of task, and speed"]
    text = page.render(found)
    assert "Which is best" in text
    assert "Grey: beaten in both: fp32 by bf16." in text


def test_the_table_shows_intervals_and_sets_off_who_is_first():
    ranked = best.tables(three())[0]
    speed = next(one for one in ranked.columns if one.name == "tokens_per_s")
    cells = [speed.cell(cells[ranked.columns.index(speed)]) for cells in ranked.rows]
    assert [(one.text, one.small, one.tone) for one in cells] == [
        ("100", "99.5 to 100.5", ""), ("200", "199.5 to 200.5", ""),
        ("300", "299.5 to 300.5", "strong"),
    ]  # fmt: skip


def test_a_single_run_has_no_best():
    found = compared(row(), oom())
    assert (best.sentences(found), best.tables(found), best.pictures(found)) == ([], [], [])


def test_scores_and_the_perplexity_of_texts_are_rows_of_the_table():
    texts = {"folder": "/p", "texts": "t", "label": "m fp32", "kinds": {}, "less": {},
             "figures": {"text_perplexity": [9.5, 9.0, 10.0]}}  # fmt: skip
    found = compared(row(likelihood=texts, scores={"exact_match": 41.5}), row("bf16"))
    whole = table(found)
    at = {one.name: i for i, one in enumerate(whole.columns)}
    assert whole.rows[0][at["text_perplexity"]] == 9.5
    assert whole.rows[0][at["exact_match"]] == 41.5
    assert whole.rows[1][at["exact_match"]] is None
