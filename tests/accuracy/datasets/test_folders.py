"""Are the files of a folder one table, as MMLU, MATH and the hub publish them?"""

import csv
import json

import pytest

from accuracy.tasks.load import Asked, load_task
from harness.kernel.errors import BadInput

PROBLEM = {"problem": "1 + 1?", "level": "Level 1", "type": "Algebra", "solution": r"\boxed{2}"}


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def subject(folder, name, *questions, part="test"):
    """Write a file of MMLU as its authors do: without a header, its subject in its name."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}_{part}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([question, *"wxyz", "B"] for question in questions)


def samples(task, folder):
    return load_task(Asked(f"{task}:{folder}")).samples


def complaint(task, folder):
    with pytest.raises(BadInput) as caught:
        samples(task, folder)
    return str(caught.value)


def test_the_subjects_of_mmlu_are_read_from_the_folder_of_its_files(tmp_path):
    subject(tmp_path / "test", "virology", "Three?")
    subject(tmp_path / "test", "anatomy", "One?", "Two, or more?")
    found = samples("mmlu", tmp_path / "test")
    assert [dict(sample.labels)["subject"] for sample in found] == ["anatomy"] * 2 + ["virology"]
    assert [sample.reference for sample in found] == ["B"] * 3
    assert "Two, or more?" in found[1].prompt


def test_the_examples_of_mmlu_are_read_from_a_folder_too(tmp_path):
    subject(tmp_path / "test", "anatomy", "One?")
    subject(tmp_path / "dev", "virology", "Other?", part="dev")
    subject(tmp_path / "dev", "anatomy", "Shown?", part="dev")
    asked = Asked(f"mmlu:{tmp_path / 'test'}", shots=1, shots_file=tmp_path / "dev")
    (sample,) = load_task(asked).samples
    assert "Shown?" in sample.prompt
    assert "Other?" not in sample.prompt


def test_the_problems_of_math_are_read_in_the_order_of_their_numbers(tmp_path):
    for place in ("test/algebra/10", "test/algebra/9", "test/geometry/1"):
        put(tmp_path / f"{place}.json", json.dumps(PROBLEM | {"problem": place}))
    for folder in (tmp_path, tmp_path / "test"):
        prompts = [sample.prompt.splitlines()[1] for sample in samples("math500", folder)]
        assert prompts == ["test/algebra/9", "test/algebra/10", "test/geometry/1"]


def test_what_is_wrong_in_a_folder_is_named_with_its_file(tmp_path):
    put(tmp_path / "algebra" / "1.json", json.dumps(PROBLEM))
    put(tmp_path / "geometry" / "1.json", json.dumps(PROBLEM | {"solution": "2"}))
    assert "dataset geometry/1.json, line 1, column 'solution'" in complaint("math500", tmp_path)
    put(tmp_path / "geometry" / "1.json", "{")
    assert f"folder {tmp_path}/geometry: dataset 1.json, line 1" in complaint("math500", tmp_path)


def test_of_several_splits_the_test_part_is_offered(tmp_path):
    for part in ("dev", "test", "val"):
        subject(tmp_path / "data" / part, "anatomy", "One?", part=part)
    for folder in (tmp_path, tmp_path / "data"):
        found = complaint("mmlu", folder)
        assert "several splits: dev, test, val" in found
        assert found.endswith(f"Pass those of one, such as {tmp_path}/data/test.")


def test_splits_are_known_by_the_end_of_a_name_too(tmp_path):
    for part in ("dev", "test"):
        subject(tmp_path, "anatomy", "One?", part=part)
    assert complaint("mmlu", tmp_path).endswith(f"such as {tmp_path}/anatomy_test.csv.")


def test_several_kinds_are_no_table(tmp_path):
    subject(tmp_path, "anatomy", "One?")
    put(tmp_path / "more.jsonl", "{}")
    assert "several kinds, such as anatomy_test.csv and more.jsonl" in complaint("mmlu", tmp_path)


def test_notes_and_hidden_files_hold_no_rows(tmp_path):
    subject(tmp_path, "anatomy", "One?")
    for name in ("README.md", "dataset_info.json", "._anatomy_test.csv", "_note.csv"):
        put(tmp_path / name, "{")
    assert len(samples("mmlu", tmp_path)) == 1


def test_what_datasets_saved_is_to_be_written_as_parquet(tmp_path):
    put(tmp_path / "test" / "data-00000-of-00001.arrow", "x")
    put(tmp_path / "dataset_dict.json", "{}")
    assert "load_from_disk(FOLDER).to_parquet(FILE)" in complaint("mmlu", tmp_path)
