"""Is each published dataset told by its columns, and are its prompts, references and labels what
people expect?
"""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accuracy.datasets.files import load_dataset
from accuracy.datasets.formats import NAMES
from harness.kernel.errors import BadInput

GSM8K = [
    {
        "question": "Two hens lay 3 eggs each. How many?",
        "answer": "2 * 3 = <<2*3=6>>6 eggs.\n#### 6",
    }
]
MATH500 = [
    {
        "problem": "What is $1+1$?",
        "solution": "We add: $\\boxed{2}$.",
        "answer": "2",
        "subject": "Prealgebra",
        "level": 1,
        "unique_id": "test/prealgebra/1.json",
    }
]
MMLU = [
    {
        "question": "Which is a metal?",
        "subject": "chemistry",
        "choices": ["Neon", "Iron", "Sulfur", "Argon"],
        "answer": 1,
    }
]
MMLU_PROMPT = "Which is a metal?\nA. Neon\nB. Iron\nC. Sulfur\nD. Argon\nAnswer:"
ORCA = [
    {
        "id": "cot.1",
        "system_prompt": "You are kind.",
        "question": "Why?",
        "input": "<s>[INST] <<SYS>>\nYou are kind.\n<</SYS>>\n\nWhy? [/INST]",
        "output": "So.",
        "tok_input": [1, 518, 29871],
        "tok_input_length": 3,
        "tok_output": [1105],
        "tok_output_length": 1,
        "origin": "cot",
    }
]
CNN = [
    {
        "instruction": {"llama": "Sum up.\nArticle: {input}\nSummary: "},
        "input": "A {odd} day.",
        "tok_input": [7],
        "output": "Odd.",
    }
]
HUB = [{"article": "A long day.", "highlights": "Long .", "id": "ab12"}]


@pytest.fixture
def save(tmp_path):
    def save(rows, ending):
        path = tmp_path / f"rows{ending}"
        if ending == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text(
                json.dumps(rows) if ending == ".json" else "\n".join(map(json.dumps, rows))
            )
        return str(path)

    return save


def load(name, **options):
    return load_dataset(name, max_new_tokens=8, **options)


def complaint(name, **options):
    with pytest.raises(BadInput) as caught:
        load(name, **options)
    return str(caught.value)


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize(
    ("rows", "name", "prompt", "reference", "labels"),
    [
        (GSM8K, "gsm8k", GSM8K[0]["question"], GSM8K[0]["answer"], ()),
        (
            MATH500,
            "math500",
            "What is $1+1$?",
            "We add: $\\boxed{2}$.",
            (("subject", "Prealgebra"), ("level", "1")),
        ),
        (MMLU, "mmlu", MMLU_PROMPT, "B", (("subject", "chemistry"),)),
        (ORCA, "openorca", "You are kind.\n\nWhy?", "So.", (("origin", "cot"),)),
        (CNN, "cnn-dailymail", "Sum up.\nArticle: A {odd} day.\nSummary: ", "Odd.", ()),
        (
            HUB,
            "cnn-dailymail",
            "Summarise the article in at most three sentences.\n\nA long day.",
            "Long .",
            (),
        ),
    ],
)
def test_a_dataset_is_told_by_its_columns_or_by_its_name(
    save, ending, rows, name, prompt, reference, labels
):
    path = save(rows, ending)
    told, named = load(path), load(f"{name}:{path}")
    sample = told.samples[0]
    assert (sample.prompt, sample.reference, sample.labels) == (prompt, reference, labels)
    assert told.samples == named.samples
    assert told.source["format"] == named.source["format"] == name


@pytest.mark.parametrize(
    ("rows", "ids"), [(ORCA, (1, 518, 29871)), (CNN, (7,)), (HUB, None), (GSM8K, None)]
)
def test_token_ids_come_along(save, rows, ids):
    assert load(save(rows, ".json")).samples[0].prompt_ids == ids


def test_token_ids_belong_to_the_format_s_own_prompt(save):
    sample = load("openorca:" + save(ORCA, ".json"), prompt_column="question").samples[0]
    assert (sample.prompt, sample.prompt_ids, sample.reference) == ("Why?", None, "So.")


@pytest.mark.parametrize(
    ("ids", "found"),
    [([1, "x"], "str"), ([-1], "-1"), ("12", "str"), ([1.5], "float"), ([True], "bool")],
)
def test_token_ids_are_whole_numbers(save, ids, found):
    text = complaint(save([{**ORCA[0], "tok_input": ids}], ".jsonl"))
    assert text.startswith("dataset rows.jsonl, line 1, column 'tok_input': ")
    assert found in text


def test_the_licence_is_certain_only_where_the_user_names_the_dataset(save):
    path = save(GSM8K, ".jsonl")
    assert load(path).source["licence"] == "unknown (gsm8k as published: MIT)"
    assert load(f"gsm8k:{path}").source["licence"] == "MIT"


def test_a_table_with_a_prompt_is_read_as_it_always_was(save):
    loaded = load(save([{**GSM8K[0], "prompt": "x", "reference": "y"}], ".jsonl"))
    assert (loaded.samples[0].prompt, loaded.samples[0].reference, loaded.source["format"]) == (
        "x",
        "y",
        "table",
    )


def test_columns_that_are_named_leave_nothing_to_be_told(save):
    loaded = load(save(GSM8K, ".jsonl"), prompt_column="question")
    assert (loaded.samples[0].prompt, loaded.samples[0].reference) == (GSM8K[0]["question"], None)


def test_questions_without_the_mark_are_questions(save):
    loaded = load(save([{"question": "x", "answer": "y"}], ".jsonl"))
    assert (loaded.samples[0].prompt, loaded.samples[0].reference, loaded.source["format"]) == (
        "x",
        "y",
        "questions",
    )


def test_gsm8k_without_the_mark_is_a_complaint_if_it_is_named(save):
    path = save([*GSM8K, {"question": "x", "answer": "y"}], ".jsonl")
    for name in (path, f"gsm8k:{path}"):
        assert complaint(name).startswith(
            "dataset rows.jsonl, line 2, column 'answer': no '#### n' at its end;"
        )


def test_a_solution_without_a_box_gets_one(save):
    loaded = load(save([{**MATH500[0], "solution": "We add."}], ".jsonl"))
    assert loaded.samples[0].reference == "We add.\n\\boxed{2}"


# ---- MMLU


def test_mmlu_s_own_files_have_no_header(tmp_path):
    text = io.StringIO()
    csv.writer(text).writerows(
        [["Which is a metal?", "Neon", "Iron", "Sulfur", "Argon", "B"], ["One, two?", *"1234", "D"]]
    )
    (tmp_path / "high_school_chemistry_test.csv").write_text(text.getvalue())
    for prefix in ("", "mmlu:"):
        loaded = load(f"{prefix}{tmp_path}/high_school_chemistry_test.csv")
        assert [(s.prompt, s.reference) for s in loaded.samples] == [
            (MMLU_PROMPT, "B"),
            ("One, two?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:", "D"),
        ]
        assert loaded.samples[0].labels == (("subject", "high_school_chemistry"),)


def test_mmlu_with_a_header_is_read_too(tmp_path):
    (tmp_path / "a.csv").write_text("question,A,B,C,D,answer\nx,1,2,3,4,C\n")
    assert load(f"{tmp_path}/a.csv").samples[0].reference == "C"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"answer": 4}, "column 'answer': 4; expected a whole number from 0 to 3"),
        ({"answer": "E"}, "column 'answer': 'E'; expected a letter from A to D"),
        ({"answer": None}, "column 'answer': nothing"),
        ({"choices": ["x"]}, "column 'choices': a list of 1; expected a list of 2 to 26 texts"),
        ({"choices": ["x", 2]}, "column 'choices': a value of type int"),
        ({"choices": "x"}, "column 'choices': a value of type str"),
    ],
)
def test_a_question_with_impossible_choices_is_named(save, change, found):
    assert f"dataset rows.jsonl, line 2, {found}" in complaint(
        save([MMLU[0], {**MMLU[0], **change}], ".jsonl")
    )


# ---- OpenOrca and CNN/DailyMail


def test_no_system_prompt_leaves_the_question(save):
    assert load(save([{**ORCA[0], "system_prompt": ""}], ".parquet")).samples[0].prompt == "Why?"


@pytest.mark.parametrize(
    ("instruction", "prompt"),
    [
        ("Sum up: {input} Now.", "Sum up: A {odd} day. Now."),
        ("Sum up.", "Sum up.\n\nA {odd} day."),
    ],
)
def test_an_instruction_may_say_where_the_article_goes(save, instruction, prompt):
    assert load(save([{**CNN[0], "instruction": instruction}], ".json")).samples[0].prompt == prompt


def test_instructions_without_token_ids_are_nobody_s_in_particular(save):
    loaded = load(save([{"instruction": "Name a colour.", "input": "", "output": "Red."}], ".json"))
    assert (loaded.samples[0].prompt, loaded.samples[0].reference) == ("Name a colour.", "Red.")
    assert (loaded.source["format"], loaded.source["licence"]) == ("instructions", "unknown")


# ---- TinyStories


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_texts_are_their_own_prompts(save, ending):
    loaded = load(save([{"text": "Once."}, {"text": "Twice."}], ending))
    assert [(s.prompt, s.reference) for s in loaded.samples] == [("Once.", None), ("Twice.", None)]
    assert loaded.source["format"] == "texts"


def test_tinystories_has_a_licence_by_its_name(tmp_path):
    (tmp_path / "TinyStories-valid.txt").write_text(
        "Once.\nThen.\n<|endoftext|>\nTwice.\n<|endoftext|>\n"
    )
    loaded = load(f"tinystories:{tmp_path}/TinyStories-valid.txt")
    assert [s.prompt for s in loaded.samples] == ["Once.\nThen.", "Twice."]
    assert (loaded.source["format"], loaded.source["licence"]) == (
        "tinystories",
        "CDLA-Sharing-1.0",
    )


# ---- names


def test_a_file_that_is_not_what_it_is_called_says_what_is_needed(save):
    assert (
        complaint("mmlu:" + save(GSM8K, ".jsonl"))
        == "dataset rows.jsonl as mmlu, line 1: its columns are question, answer; "
        "needed: question, choices, answer or question, A, B, C, D, answer. Check the file."
    )


def test_a_missing_column_in_a_later_row_is_named(save):
    text = complaint(save([HUB[0], {"article": "x"}], ".jsonl"))
    assert text.startswith(
        "dataset rows.jsonl, line 2: column: 'highlights' is not known; known: article."
    )


def test_an_unknown_format_lists_the_known(save):
    text = complaint("mml:" + save(MMLU, ".jsonl"))
    assert (
        text
        == f"dataset format: 'mml' is not known; known: {', '.join(sorted(NAMES))}. Did you mean"
        " 'mmlu'?"
    )
