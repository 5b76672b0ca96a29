"""Does a part of a dataset keep the shares of its kinds, and does it say how it was made?"""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuracy.datasets.files import load_dataset
from accuracy.datasets.subset import Drawn, how_drawn, in_shares, subset_notes
from harness.likelihood import texts as perplexity_texts
from harness.likelihood.texts import Wanted
from harness.options.settings import load_config
from harness.result import result
from harness.result.read import read_run
from harness.running.session import Run
from harness.study.gating.outputs import read
from tests.harness.study.gating.test_gate import answers, make


def rows_of(*kinds):
    return [tuple(zip(("kind", "language"), kind, strict=False)) for kind in kinds]


def counts(samples, column=0):
    return Counter(sample.labels[column][1] for sample in samples)


def prompts(loaded):
    return [sample.prompt for sample in loaded.samples]


def test_twenty_of_the_mixed_texts_are_four_of_each_kind():
    loaded = load_dataset("mixed", 8, 20)
    assert set(counts(loaded.samples).values()) == {4}
    assert len(counts(loaded.samples, 1)) == 5  # English, and four other languages
    assert [sample.index for sample in loaded.samples] == list(range(20))
    assert loaded.source["rows"] == 20
    assert loaded.source["subset"] == {"taken": 20, "of": 80, "by": ["category", "language"]}


def test_both_columns_keep_their_shares():
    """200 questions: 20 subjects of 10, and kinds of 20 to 29."""
    few = load_dataset("qa", 8, 40).samples
    everything = counts(load_dataset("qa", 8).samples, 1)
    assert set(counts(few).values()) == {2}
    found = counts(few, 1)
    assert all(abs(found[kind] - everything[kind] * 40 / 200) < 1 for kind in everything)


@pytest.mark.parametrize(
    "name", ["qa", "mixed", "stories", "articles", "word-problems", "subjects"]
)
def test_a_smaller_set_is_part_of_a_larger_one_in_the_order_of_the_file(name):
    whole = prompts(load_dataset(name, 8))
    smaller = []
    for count in (1, 2, 7, 20, 59, 60):
        larger = prompts(load_dataset(name, 8, count))
        assert set(smaller) <= set(larger)
        assert larger == [prompt for prompt in whole if prompt in set(larger)]
        smaller = larger
    assert load_dataset(name, 8, len(whole)).samples == load_dataset(name, 8).samples
    assert "subset" not in load_dataset(name, 8).source


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("aaaabbc"), st.sampled_from("xxy")), min_size=1))
def test_every_set_holds_every_kind_s_share_to_about_one_row(kinds):
    whole, labels = Counter(kind for kind, _ in kinds), rows_of(*kinds)
    for count in range(1, len(kinds) + 1):
        chosen, drawn = in_shares(labels, count)
        assert drawn == Drawn(count, len(kinds), ("kind", "language"))
        assert chosen == sorted(set(chosen))
        assert len(chosen) == count
        found = Counter(kinds[row][0] for row in chosen)
        assert all(
            abs(found[kind] - count * rows / len(kinds)) < 1.1 for kind, rows in whole.items()
        )


def test_unequal_shares_are_rounded_by_the_largest_remainder():
    labels = rows_of(*["a"] * 50, *["b"] * 30, *["c"] * 15, *["d"] * 5)
    found = Counter(labels[row][0][1] for row in in_shares(labels, 7)[0])
    assert found == {"a": 4, "b": 2, "c": 1}  # of 3.5, 2.1, 1.05 and 0.35


def test_fewer_samples_than_kinds_are_of_the_largest_ones():
    labels = rows_of(*"abbcccdddd")
    assert in_shares(labels, 2)[0] == [3, 6]


def test_a_row_without_a_label_is_of_a_kind_of_its_own():
    assert in_shares([(), (("kind", "a"),), (("kind", "a"),)], 2)[0] == [0, 1]
    assert in_shares([(), ()], 1) == ([0], Drawn(1, 2, ()))


def test_a_file_without_labels_gives_its_first_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "x"}\n{"prompt": "y"}\n{"prompt": "z"}\nno JSON')
    loaded = load_dataset(str(path), 8, 2)  # the rest is not even read
    assert prompts(loaded) == ["x", "y"]
    assert loaded.source["subset"] == {"taken": 2, "of": None, "by": []}
    assert subset_notes(loaded.source) == ["samples: the first 2 rows of the dataset"]


def test_mlperf_s_files_give_their_first_rows_as_its_scripts_do(tmp_path):
    path = tmp_path / "orca.json"
    origins = ["cot", "cot", "cot", "flan"]
    path.write_text(
        json.dumps(
            [
                {"system_prompt": "", "question": f"{i}?", "output": "So.", "origin": origin}
                for i, origin in enumerate(origins)
            ]
        )
    )
    loaded = load_dataset(f"openorca:{path}", 8, 2)
    assert [(s.prompt, s.labels[0][1]) for s in loaded.samples] == [("0?", "cot"), ("1?", "cot")]


def test_the_note_names_the_columns():
    source = load_dataset("mixed", 8, 20).source
    assert subset_notes(source) == [
        "samples: 20 of 80 rows, by the shares of category and language"
    ]
    assert subset_notes(load_dataset("mixed", 8).source) == []


def test_a_set_of_an_older_version_was_of_the_first_rows():
    by_share, whole = load_dataset("mixed", 8, 20).source, load_dataset("mixed", 8).source
    assert how_drawn(by_share) == "shares of category, language"
    assert how_drawn(whole) == how_drawn({"rows": 20}) == "first rows"


# ---- through the doors that use it


def test_perplexity_takes_the_same_share_of_every_category():
    found = perplexity_texts.read(Wanted("mixed", num_samples=20))
    assert set(Counter(row["category"] for row in found.rows).values()) == {4}
    assert found.source["subset"]["of"] == 80
    assert found.notes == ["texts: 20 of 80 rows, by the shares of category and language"]
    tested = perplexity_texts.read(Wanted("stories", split="test", num_samples=8))
    assert len({row["category"] for row in tested.rows}) == 8


def test_perplexity_reads_no_more_of_a_file_without_categories_than_it_needs(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{"text": "y"}\nno JSON')
    found = perplexity_texts.read(Wanted(str(path), num_samples=2))
    assert [row["text"] for row in found.rows] == ["x", "y"]
    assert found.notes == ["texts: the first 2 rows of the dataset"]


def test_a_run_says_how_its_samples_were_chosen(tmp_path, tiny_llama):
    flags = {"scenario": "offline", "model": str(tiny_llama), "dataset": "mixed", "num_samples": 5}
    flags |= {"max_new_tokens": 2, "min_queries": 5, "warmup": 0, "in_process": True}
    flags |= {"truncate": True, "output_dir": tmp_path}
    with Run(load_config(flags), lambda text: None, progress=False) as run:
        made = run.execute()
    assert made.settings["dataset"]["subset"]["by"] == ["category", "language"]
    assert "samples: 5 of 80 rows, by the shares of category and language" in made.notes
    again = result.build(run.folder, read_run(run.folder))
    assert again.notes == made.notes


def test_a_run_whose_samples_were_the_first_ones_is_not_scored_with_others(tmp_path):
    """As runs of an older version are: its settings do not say how the samples were chosen."""
    folder = make(tmp_path, answers(n=20), file="mixed")
    assert read(folder).samples is None
