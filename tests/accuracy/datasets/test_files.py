"""Are good files read as they are, and bad ones refused in one sentence with file, line and
column?
"""

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accuracy.datasets.files import absolute, check_name, load_dataset
from accuracy.datasets.readers import READERS
from harness.kernel.errors import BadInput

cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    str.strip
)
tables = st.lists(st.tuples(cells, cells), min_size=1, max_size=8)
with_folder = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)

    return write


def load(name, **options):
    return load_dataset(name, max_new_tokens=8, **options)


def pairs(loaded):
    return [(s.prompt, s.reference) for s in loaded.samples]


def complaint(name, **options):
    with pytest.raises(BadInput) as caught:
        load(name, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


# ---- the embedded questions


def test_qa_has_two_hundred_different_questions_with_answers_and_labels():
    loaded = load("qa")
    assert len(loaded.samples) == len({s.prompt for s in loaded.samples}) == 200
    assert [s.index for s in loaded.samples] == list(range(200))
    assert all(s.reference and s.reference.strip() for s in loaded.samples)
    assert {tuple(key for key, _ in s.labels) for s in loaded.samples} == {("subject", "kind")}
    assert all(value.strip() for s in loaded.samples for _, value in s.labels)


def test_qa_rows_have_unique_ids(request):
    path = request.config.rootpath / "accuracy" / "datasets" / "qa.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == 200
    assert {frozenset(row) for row in rows} == {
        frozenset({"id", "subject", "kind", "question", "answer"})
    }


def test_the_source_names_the_file_its_hash_and_its_licence(request):
    path = request.config.rootpath / "accuracy" / "datasets" / "qa.jsonl"
    assert load("qa").source == {
        "name": "qa",
        "file": "qa.jsonl",
        "format": "qa",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "Apache-2.0",
        "rows": 200,
    }


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("articles", ("subject",)),
        ("stories", ("category", "split")),
        ("mixed", ("category", "language")),
    ],
)
def test_the_other_embedded_datasets_have_labelled_prompts(request, name, labels):
    if not (request.config.rootpath / "accuracy" / "datasets" / f"{name}.jsonl").exists():
        pytest.skip(f"{name}.jsonl is not there")
    loaded = load(name)
    assert len(loaded.samples) == len({s.prompt for s in loaded.samples}) >= 60
    assert {tuple(key for key, _ in s.labels) for s in loaded.samples} == {labels}
    assert {s.reference is not None for s in loaded.samples} == {name == "articles"}
    assert loaded.source["licence"] == "Apache-2.0"


def test_an_article_comes_with_the_wish_to_summarise_it(request):
    path = request.config.rootpath / "accuracy" / "datasets" / "articles.jsonl"
    row = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    first = load("articles", num_samples=1).samples[0]
    assert first.prompt == "Summarise the article in at most three sentences.\n\n" + row["article"]
    assert first.reference == row["summary"]


def test_max_new_tokens_goes_to_every_sample():
    assert {s.max_new_tokens for s in load_dataset("qa", max_new_tokens=77).samples} == {77}


# ---- good files


@with_folder
@given(tables)
def test_jsonl_comes_back_as_it_was_written(write, table):
    lines = [json.dumps({"prompt": p, "reference": r}, ensure_ascii=False) for p, r in table]
    assert pairs(load(write("a.jsonl", "\n".join(lines)))) == table


@with_folder
@given(tables)
def test_csv_comes_back_as_it_was_written(write, table):
    text = io.StringIO()
    csv.writer(text).writerows([("prompt", "reference"), *table])
    assert pairs(load(write("a.csv", text.getvalue()))) == table


@with_folder
@given(tables)
def test_parquet_comes_back_as_it_was_written(tmp_path, table):
    prompts, references = zip(*table, strict=True)
    pq.write_table(
        pa.table({"prompt": list(prompts), "reference": list(references)}), tmp_path / "a.parquet"
    )
    assert pairs(load(str(tmp_path / "a.parquet"))) == table


@with_folder
@given(tables, st.sampled_from([None, 0, 4]))
def test_json_comes_back_as_it_was_written(write, table, indent):
    rows = [{"prompt": p, "reference": r} for p, r in table]
    assert pairs(load(write("a.json", json.dumps(rows, indent=indent)))) == table


@with_folder
@given(st.lists(cells, min_size=1, max_size=8), st.booleans())
def test_txt_comes_back_as_it_was_written(write, texts, stories):
    text = "\n<|endoftext|>\n".join([*texts, ""]) if stories else "\n".join(texts)
    assert [s.prompt for s in load(write("a.txt", text)).samples] == [
        text.strip() for text in texts
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"prompt": "é", "reference": "b"}\n'),
        ("a.csv", "prompt,reference\né,b\n"),
        ("a.json", '[{"prompt": "é", "reference": "b"}]'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_table(write, name, text):
    assert pairs(load(write(name, b"\xef\xbb\xbf" + text.encode()))) == [("é", "b")]


def test_blank_lines_are_skipped(write):
    assert len(load(write("a.jsonl", '\n{"prompt": "x"}\n\n{"prompt": "y"}\n')).samples) == 2
    assert len(load(write("a.csv", "\nprompt\n\nx\n\ny\n")).samples) == 2


def test_a_csv_field_may_hold_commas_quotes_and_lines(write):
    text = 'prompt,reference\r\n"a, ""b""\nc",d\r\n'
    assert pairs(load(write("a.csv", text))) == [('a, "b"\nc', "d")]


def test_a_byte_order_mark_is_no_part_of_a_text(write):
    assert pairs(load(write("a.txt", b"\xef\xbb\xbf" + "é\nb".encode()))) == [
        ("é", None),
        ("b", None),
    ]


def test_stories_longer_than_a_block_are_read_whole(write):
    stories = ["once " * 300_000, "é" * 2_000_000, "end"]
    loaded = load(write("a.txt", "\n<|endoftext|>\n".join(["first", *stories])))
    assert [s.prompt for s in loaded.samples] == ["first", *(story.strip() for story in stories)]


def test_a_story_keeps_its_paragraphs(write):
    assert pairs(load(write("a.txt", "One.\n\nTwo.\n<|endoftext|>\n\nThree.\n"))) == [
        ("One.\n\nTwo.", None),
        ("Three.", None),
    ]


def test_parquet_lists_are_no_prompts(tmp_path):
    pq.write_table(pa.table({"prompt": ["a"], "list": [["x"]]}), tmp_path / "a.parquet")
    assert "row 1, column 'list': a value of type list; expected text" in complaint(
        str(tmp_path / "a.parquet"), prompt_column="list"
    )


def test_columns_can_be_chosen(write):
    path = write("a.jsonl", '{"q": "x", "a": "y", "prompt": "no"}\n')
    assert pairs(load(path, prompt_column="q", reference_column="a")) == [("x", "y")]


@pytest.mark.parametrize("row", ['{"prompt": "x"}', '{"prompt": "x", "reference": null}'])
def test_a_reference_is_optional(write, row):
    assert pairs(load(write("a.jsonl", row))) == [("x", None)]


def test_a_file_of_the_user_has_no_known_licence(write):
    assert load(write("a.jsonl", '{"prompt": "x"}')).source["licence"] == "unknown"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt"])
def test_a_file_that_gzip_packed_is_read_as_it_was(write, name):
    packed = write(f"b{name[1:]}.gz", gzip.compress(KINDS[name].encode()))
    assert pairs(load(packed)) == pairs(load(write(name, KINDS[name]))) == [("x y z", None)]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.txt.gz"])
@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress(b"x" * 10_000, mtime=0)[:-9]], ids=["no gzip", "torn"]
)
def test_a_torn_packed_file_is_refused(write, name, data):
    found = complaint(write(name, data))
    assert found.startswith(f"dataset {name}: ")
    assert found.endswith("; expected a file packed by gzip. Correct the file.")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("a.zip", "unzip"),
        ("a.tar", "tar xf"),
        ("a.tar.gz", "tar xf"),
        ("a.tgz", "tar xf"),
        ("a.csv.bz2", "bunzip2"),
        ("a.jsonl.zst", "unzstd"),
    ],
)
def test_an_archive_is_to_be_unpacked_first(write, name, command):
    path = write(name, "x")
    assert f"Unpack it ({command} {path}), then pass what is in it" in complaint(path)


@pytest.mark.parametrize("between", ["", "\n", " \n\n "])
def test_json_objects_may_stand_one_after_another(write, between):
    text = between.join(['{"prompt": "x"}', '{\n  "prompt": "y"\n}', ""])
    assert pairs(load(write("a.json", text))) == [("x", None), ("y", None)]


def test_a_json_list_in_a_file_of_lines_is_named(write):
    for text in ('[{"prompt": "x"}]', '\n[\n  {"prompt": "x"}\n]'):
        found = complaint(write("a.jsonl", text))
        assert "the file is a JSON list; expected one JSON object per line" in found


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_spreadsheet_may_separate_by_semicolons_or_tabs(write, mark):
    text = f'prompt{mark}reference\n"a{mark} b"{mark}c, d\n'
    assert pairs(load(write("a.csv", text))) == [(f"a{mark} b", "c, d")]


# ---- bad names


def test_a_file_is_remembered_by_its_full_path(write, tmp_path, monkeypatch):
    path = write("a.jsonl", '{"question": "x", "answer": "#### 1"}')
    monkeypatch.chdir(tmp_path)
    assert absolute("a.jsonl") == path
    assert absolute("gsm8k:a.jsonl") == f"gsm8k:{path}"
    assert load(absolute("gsm8k:a.jsonl")).samples == load(path).samples
    assert [absolute(name) for name in ("qa", "none.jsonl", "x\0")] == ["qa", "none.jsonl", "x\0"]


def test_a_file_with_a_colon_in_its_name_is_found(write, tmp_path, monkeypatch):
    write("a:b.jsonl", '{"prompt": "x"}')
    monkeypatch.chdir(tmp_path)
    assert pairs(load("a:b.jsonl")) == [("x", None)]


def test_an_unknown_name_lists_the_known_and_guesses():
    assert complaint("qaa") == (
        "dataset: 'qaa' is not known; known: articles, boxed, mixed, qa, stories, subjects, "
        "word-problems. Did you mean 'qa'? "
        "Or pass a .jsonl, .json, .csv, .parquet, .txt or .pkl file."
    )
    assert "Did you mean" not in complaint("photographs")


@pytest.mark.parametrize("name", ["missing.jsonl", "./no/such/file", "missing.parquet"])
def test_a_missing_file_is_called_missing(name):
    assert complaint(name).startswith(f"dataset {name}: there is no such file or folder;")


def test_a_missing_file_is_offered_its_neighbour(write):
    path = write("questions.jsonl", '{"prompt": "x"}')
    assert complaint(path[:-1]).endswith(f"Did you mean {path!r}?")


def test_a_folder_without_tables_is_offered_a_text_in_it(write, tmp_path):
    path = write("a.txt", "x")
    found = complaint(str(tmp_path))
    assert "it is a folder without tables" in found
    assert found.endswith(f"Pass what is in it, such as {path}.")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("openai/gsm8k", "gsm8k:FILE"),
        ("abisee/cnn_dailymail", "cnn-dailymail:FILE"),
        ("roneneldan/TinyStories", "tinystories:FILE"),
        ("HuggingFaceH4/MATH-500", "math500:FILE"),
        ("gsm8k", "gsm8k:FILE"),
        ("rajpurkar/squad", "and pass that"),
        ("squad", "and pass that"),
    ],
)
def test_a_data_set_of_the_hub_must_be_downloaded_first(name, format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = complaint(name)
    assert "from the hub" in found or "a format needs a file" in found
    assert "Download one of its files" in found
    assert found.endswith(f"{format}.")


def test_a_web_address_is_not_taken_for_a_format():
    found = complaint("https://example.com/questions.jsonl")
    assert "it is a web address" in found
    assert found.endswith("Download it and pass the file.")


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.xlsx", "ends in '.xlsx'"),
        ("a", "has no ending"),
        ("a.JSONL", "ends in '.JSONL'"),
        ("a.parquet.gz", "ends in '.gz'"),
    ],
)
def test_an_unknown_ending_lists_the_known(write, name, ending):
    found = complaint(write(name, "x"))
    assert f"its name {ending}; expected a .jsonl, .json, .csv, .parquet, .txt" in found


def test_a_name_is_checked_without_reading_the_file(write):
    check_name("qa")
    check_name(write("a.jsonl", "not json"))
    check_name("gsm8k:" + write("b.json", "not json"))
    with pytest.raises(BadInput, match="known: articles, boxed, mixed, qa, stories, subjects, "):
        check_name("qq")
    with pytest.raises(BadInput, match="no such file"):
        check_name("none.csv")
    with pytest.raises(BadInput, match="no such file"):
        check_name("gsm8k:none.csv")
    with pytest.raises(
        BadInput, match=r"dataset format: 'gsm9k' is not known; .* Did you mean 'gsm8k'"
    ):
        check_name("gsm9k:" + write("c.jsonl", "{}"))


# ---- bad content


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.txt", "a.pkl", "a.pkl.gz"]
)
def test_an_empty_file_is_called_empty(write, name):
    assert complaint(write(name, "")).endswith(
        "the file is empty; expected at least one row. Check the file."
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n \n"),
        ("a.csv", "prompt,reference\n"),
        ("a.json", " [ ]\n"),
        ("a.txt", " \n\n"),
    ],
)
def test_a_table_without_rows_is_refused(write, name, text):
    found = complaint(write(name, text))
    assert found == f"dataset {name}: it has no rows; expected at least one. Check the file."


def test_a_parquet_table_without_rows_is_refused(tmp_path):
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert "it has no rows" in complaint(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('{"prompt": }', "line 3, column 12: Expecting value"),
        ('{"prompt": "x"', "line 3, column 15: Expecting ',' delimiter"),
        ('{"prompt": "x"} {}', "line 3, column 17: Extra data"),
        ("[1, 2]", "line 3, column 1: a JSON list"),
        ('"text"', "line 3, column 1: a JSON str"),
    ],
)
def test_a_malformed_json_line_is_named_with_its_column(write, line, where):
    found = complaint(write("a.jsonl", '{"prompt": "x"}\n\n' + line + "\n"))
    assert found.startswith(f"dataset a.jsonl, {where}; expected one JSON object per line.")


@pytest.mark.parametrize("line", ['{"prompt": "x", "n": ' + "1" * 5000 + "}", '{"n": ' * 100_000])
def test_json_that_python_cannot_hold_is_malformed_too(write, line):
    assert complaint(write("a.jsonl", line)).startswith("dataset a.jsonl, line 1: ")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"prompt": "x"}\n, {}', "line 2, column 1: ','"),
        ('"prompt"', "line 1, column 1: '\"'"),
        ('[{"prompt": "x"},\n  3]', "line 2, column 3: '3'"),
        ('[{"prompt": "x"}\n {"prompt": "y"}]', "line 2, column 2: '{'"),
        ('[{"prompt": "x"},\n {"prompt": }]', "line 2, column 13: Expecting value"),
        ('[{"prompt": "x"}]\n\n [', "line 3, column 2: Extra data"),
        ('[{"prompt": "x"},', "line 1, column 18: the end of the file"),
        ('[{"prompt": "x"},\n\n{"prompt": "y", "n": ' + "1" * 5000 + "}]", "line 3: "),
        ('[{"prompt": "x"},{"prompt": ' + "[" * 100_000, "line 1: "),
    ],
)
def test_malformed_json_is_named_with_its_line_and_column(write, text, where):
    found = complaint(write("a.json", text))
    assert found.startswith(f"dataset a.json, {where}")
    assert found.endswith("; expected a JSON list of objects. Correct the file.")


def test_a_json_object_is_known_by_its_line(write):
    rows = json.dumps([{"prompt": "x"}, {"prompt": 3}], indent=2)
    assert complaint(write("a.json", rows)).startswith(
        "dataset a.json, line 5, column 'prompt': a value of type int;"
    )


def test_a_broken_end_does_not_hide_a_good_beginning(write):
    assert (
        len(load(write("a.json", '[{"prompt": "x"}, {"prompt": "y"}, oops'), num_samples=1).samples)
        == 1
    )


@pytest.mark.parametrize(("fields", "found"), [("a,b,c", "3 fields"), ("a", "1 field")])
def test_a_csv_line_with_a_wrong_number_of_fields_is_named(write, fields, found):
    text = complaint(write("a.csv", f"prompt,reference\nx,y\n{fields}\n"))
    assert text.startswith("dataset a.csv, line 3, column ")
    assert f"{found}; expected 2 as in the header" in text


def test_a_csv_quote_that_never_ends_is_malformed(write):
    assert complaint(write("a.csv", 'prompt\n"x\n')).startswith(
        "dataset a.csv, line 2: unexpected end of data;"
    )


KINDS = {
    "a.jsonl": '{"prompt": "x y z"}\n', "a.json": '[{"prompt": "x y z"}]', "a.txt": "x y z\n",
    "a.csv": "prompt\nx y z\n",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", KINDS)
def test_a_file_in_another_encoding_is_named(write, name, encoding):
    found = complaint(write(name, KINDS[name].encode(encoding)))
    text = encoding[:6].upper()
    assert found == f"dataset {name}: the file is {text} text; expected text in UTF-8. Convert it."


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_under_another_name_is_named(write, name):
    assert "the file is a gzip archive; " in complaint(write(name, gzip.compress(b"x" * 100)))
    assert "the file is a Parquet file; " in complaint(write(name, b"PAR1\x15"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt", "a.parquet", "a.pkl"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:0aa3\nsize 439\n",
            "it is a pointer of Git LFS; expected the file itself. Fetch it: git lfs pull.",
        ),
        (
            "\n<!DOCTYPE html>\n<html><body>404</body></html>",
            "it is a web page; expected the file itself. Download the file itself.",
        ),
    ],
)
def test_what_came_in_the_place_of_a_file_is_named(write, name, text, words):
    assert complaint(write(name, text)) == f"dataset {name}: {words}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_lines_may_end_in_any_way_and_only_there(write, name, end, last, mark):
    prompts = ["x\u2028y", "x\u0085y z", "\ufefflast"]
    lines = {
        "a.txt": prompts,
        "a.jsonl": [json.dumps({"prompt": text}, ensure_ascii=False) for text in prompts],
        "a.csv": ["prompt", *prompts],
    }[name]
    path = write(name, (mark + end.join(lines) + end * last).encode())
    assert [sample.prompt for sample in load(path).samples] == prompts


@pytest.mark.parametrize("rows", [0, 1, 3000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_is_not_utf_8_is_named_by_its_byte_in_the_file(write, rows, mark):
    start = mark + b'{"prompt":"x"}\n' * rows
    found = complaint(write("a.jsonl", start + b"\xff\n"))
    assert found.startswith(f"dataset a.jsonl, byte {len(start)}: not UTF-8; expected UTF-8 text.")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("rows", [0, 1, 250_000])
def test_a_text_file_that_is_not_utf_8_is_named_by_its_byte(write, rows, mark):
    start = mark + b"once\n" * rows
    found = complaint(write("a.txt", start + b"ab\xff\n"))
    assert found.startswith(
        f"dataset a.txt, byte {len(start) + 2}: not UTF-8; expected UTF-8 text."
    )


def test_a_story_is_known_by_the_line_it_starts_in(write):
    path = write("a.txt", "One.\n\n<|endoftext|>\n\nTwo.\n<|endoftext|>\nThree.")
    assert [row.where for row in READERS[".txt"](Path(path))] == ["line 1", "line 5", "line 7"]


def test_parquet_columns_of_one_name_are_refused(tmp_path):
    pq.write_table(pa.table([["a"], ["b"]], names=["prompt", "prompt"]), tmp_path / "a.parquet")
    assert "column 'prompt' twice; expected columns of different names" in complaint(
        str(tmp_path / "a.parquet")
    )


def test_a_broken_parquet_file_is_refused(write, tmp_path):
    assert "; expected a Parquet table." in complaint(write("a.parquet", "no magic bytes here"))
    pq.write_table(pa.table({"prompt": ["x"] * 100}), tmp_path / "b.parquet")
    whole = (tmp_path / "b.parquet").read_bytes()
    assert "; expected a Parquet table." in complaint(write("c.parquet", whole[: len(whole) // 2]))


def test_a_missing_column_lists_those_that_are_there(write):
    found = complaint(write("a.jsonl", '{"question": "x", "prompts": "y"}\n'))
    assert found.startswith(
        "dataset a.jsonl, line 1: column: 'prompt' is not known; known: prompts, question."
    )
    assert "Did you mean 'prompts'?" in found
    assert "--prompt-column" in found


def test_a_reference_column_that_was_asked_for_must_be_there(write):
    found = complaint(write("a.csv", "prompt,answer\nx,y\n"), reference_column="answers")
    assert "'answers' is not known; known: answer, prompt." in found
    assert "--reference-column" in found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('""', "an empty text"),
        ('" \\t"', "an empty text"),
        ("3", "int"),
        ("null", "nothing"),
        ("[]", "list"),
    ],
)
def test_a_prompt_must_be_text_that_is_not_empty(write, value, found):
    text = complaint(write("a.jsonl", f'{{"prompt": "x"}}\n{{"prompt": {value}}}\n'))
    assert text.startswith("dataset a.jsonl, line 2, column 'prompt': ")
    assert found in text


def test_a_reference_must_be_text(write):
    text = complaint(write("a.jsonl", '{"prompt": "x", "reference": 3}\n'))
    assert text.startswith("dataset a.jsonl, line 1, column 'reference': ")


def test_an_empty_cell_is_found_in_csv_and_parquet_too(write, tmp_path):
    assert "line 3, column 'prompt': an empty text" in complaint(
        write("a.csv", "prompt,reference\nx,y\n,z\n")
    )
    pq.write_table(pa.table({"prompt": ["x", None]}), tmp_path / "a.parquet")
    assert "row 2, column 'prompt': " in complaint(str(tmp_path / "a.parquet"))


def test_asking_for_more_samples_than_there_are_is_refused(write):
    assert "it has 200 samples; --num-samples 201 asks for more. Lower it." in complaint(
        "qa", num_samples=201
    )
    assert "it has 1 samples; --num-samples 2" in complaint(
        write("a.jsonl", '{"prompt": "x"}'), num_samples=2
    )


def test_columns_that_nobody_asked_for_are_not_even_read(tmp_path):
    beyond = pa.array([2**62], pa.timestamp("us"))  # no calendar of ours has that day
    pq.write_table(pa.table({"prompt": ["a"], "when": beyond}), tmp_path / "a.parquet")
    assert [sample.prompt for sample in load(str(tmp_path / "a.parquet")).samples] == ["a"]
