"""A share of nothing is never agreement: gates over scripts that ROUGE cannot read, answers of one
word, and runs that have nothing to keep.
"""

import json

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.result.read import read_json
from tests.harness.study.gating.test_gate import invoke, make

CHINESE = ("巴黎是法国的首都。", "水在一百度时沸腾。", "地球绕着太阳转。", "猫喜欢吃鱼。")
WRONG = ("我不知道答案。", "今天天气很好。", "苹果是水果。", "请稍后再试。")
SCRIPTS = {
    "Chinese": (CHINESE, WRONG),
    "Chinese with names": (
        [f"GPU {i}：{text}" for i, text in enumerate(CHINESE)],
        [f"GPU {i}：{text}" for i, text in enumerate(WRONG)],
    ),
    "Japanese": (["東京は日本の首都です。", "猫は魚を食べます。"], ["わかりません。", "天気だ。"]),
    "Thai": (["กรุงเทพ", "แมวชอบปลา"], ["ไม่รู้จัก", "อากาศร้อน"]),
    "Russian": (["Москва столица России", "Кошка ест рыбу"], ["Не знаю ответа", "Погода хорошая"]),
    "Hindi": (["दिल्ली भारत की राजधानी है"] * 2, ["मुझे नहीं पता"] * 2),
    "emoji": (["👍🎉", "👎💥"], ["🐱🐟", "🐶🦴"]),
}
ENGLISH = [f"the quick brown fox number {i} jumps over it" for i in range(40)]
MULTILINGUAL = ("--metric", "multilingual_rouge")


def forty(texts):
    return [texts[i % len(texts)] for i in range(40)]


def questions(folder, references):
    file = folder / "questions.jsonl"
    rows = [{"prompt": f"q {i}", "reference": text} for i, text in enumerate(references)]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


@pytest.fixture
def gate(tmp_path):
    """Judge a candidate's texts beside the reference's, which are the dataset's answers unless
    `own` says otherwise: (exit code, the row, all of gate.json, what was said).
    """

    def judged(answers, candidate, *flags, own=None):
        file = questions(tmp_path, answers)
        runs = [make(tmp_path, own or answers, "fp32", file)]
        runs.append(make(tmp_path, candidate, "int8", file))
        code, found, said = invoke(str(runs[0]), runs[1], flags=["--target", "99", *flags])
        return code, found and found["rows"][0], found, said

    return judged


def ratios(row, reading="dataset"):
    return {ratio["name"]: ratio for ratio in row["readings"][reading]["ratios"]}


@pytest.mark.parametrize("script", SCRIPTS)
def test_answers_in_a_script_that_rouge_cannot_read_are_undecided_and_it_is_said(script, gate):
    right, wrong = SCRIPTS[script]
    code, row, found, said = gate(forty(right), forty(wrong))
    assert (code, found["status"], row["status"], row["official"]) == (1, *["UNDECIDED"] * 3)
    assert row["reason"].startswith("ROUGE cannot read 40 of 40 reference answers")
    assert "--metric multilingual_rouge" in row["reason"]
    assert "exactly 100" not in said.replace("tokens", "")
    assert {ratio["value"] for name, ratio in ratios(row).items() if name != "tokens"} == {None}
    assert row["readings"]["reference"]["verdicts"]["99"]["status"] == "UNDECIDED"


@pytest.mark.parametrize("script", SCRIPTS)
def test_multilingual_rouge_gives_the_verdict(script, gate):
    right, wrong = map(forty, SCRIPTS[script])
    code, row, found, said = gate(right, wrong, *MULTILINGUAL)
    assert (code, row["status"], found["metric"]) == (1, "FAIL", "multilingual_rouge")
    assert "multilingual ROUGE-" in row["reason"]
    assert "Multilingual ROUGE against" in said
    same = gate(right, [f"{text} " for text in right], *MULTILINGUAL)
    assert (same[0], same[1]["status"]) == (0, "PASS")


def test_outputs_that_are_the_references_own_keep_all_of_it_by_any_metric(gate):
    code, row, _, _ = gate(forty(CHINESE), forty(CHINESE))
    assert (code, row["status"]) == (0, "PASS")
    assert row["reason"] == "every output is the reference's own, word for word"


@pytest.mark.parametrize(("unread", "status"), [(1, "UNDECIDED"), (4, "UNDECIDED"), (0, "PASS")])
def test_a_loss_cannot_hide_in_the_few_texts_that_rouge_cannot_read(unread, status, gate):
    answers = ENGLISH[unread:] + forty(CHINESE)[:unread]
    candidate = ENGLISH[unread:] + forty(WRONG)[:unread]
    _, row, found, _ = gate(answers, candidate)
    assert row["status"] == status
    if unread:
        assert f"cannot read {unread} of 40" in row["reason"]
        assert any(f"cannot read {unread} of 40" in note for note in found["notes"])


def test_a_share_is_kept_only_if_it_is_kept_with_what_cannot_be_read_lost(gate):
    answers = ENGLISH[1:] + forty(CHINESE)[:1]
    candidate = [f"{text} indeed" for text in ENGLISH[1:]] + forty(WRONG)[:1]
    _, row, _, _ = gate(answers, candidate, "--target", "90")  # ROUGE-1 94.7 %, and 2.5 % unread
    assert row["status"] == "PASS"
    candidate[:12] = [f"{text} oh well" for text in ENGLISH[1:13]]  # ROUGE-2: 91.7 to 93.2 %
    _, row, _, _ = gate(answers, candidate, "--target", "91")
    assert (row["status"], row["reason"][:23]) == ("UNDECIDED", "ROUGE cannot read 1 of ")


def test_unread_texts_that_did_not_change_are_kept(gate):
    answers = ENGLISH[4:] + forty(CHINESE)[:4]
    changed = [f"{text}." for text in ENGLISH[4:]] + forty(CHINESE)[:4]
    _, row, found, _ = gate(answers, changed)
    assert row["status"] == "PASS"
    assert row["readings"]["dataset"]["unread"] == 4
    assert row["readings"]["dataset"]["unread_changed"] == 0
    assert any("cannot read 4 of 40" in note for note in found["notes"])


def test_a_loss_that_no_unread_text_could_make_good_fails(gate):
    answers = ENGLISH[4:] + forty(CHINESE)[:4]
    _, row, _, _ = gate(answers, ["nothing at all"] * 36 + forty(WRONG)[:4])
    assert row["status"] == "FAIL"
    half = [*ENGLISH[4:7], *ENGLISH[7:]]
    half[0] = "nothing"
    _, row, _, _ = gate(answers, half + forty(WRONG)[:4])
    assert row["status"] == "UNDECIDED"


def test_changed_chinese_outputs_do_not_fail_against_the_reference_for_want_of_words(gate):
    changed = [text.replace("的", "之") for text in forty(CHINESE)]
    _, row, _, _ = gate(forty(CHINESE), changed, "--against", "reference")
    assert row["status"] == "UNDECIDED"
    assert row["reason"].startswith("ROUGE cannot read 10 of 40 outputs of fp32, which changed")


# ---- answers of one word


def one_word(wrong=4):
    right = forty(["Paris", "Rome", "Oslo", "Bern"])
    return right, ["London"] * wrong + right[wrong:]


def test_rouge_2_of_one_word_is_not_defined_and_the_other_kinds_decide(gate):
    code, row, _, said = gate(*one_word())
    assert (code, row["status"]) == (1, "FAIL")
    assert row["reason"].startswith("ROUGE-1 90.00 %")
    why = "not defined: 40 of 40 samples have an answer of fewer than two words"
    assert row["reason"].endswith(f"ROUGE-2 is {why}")
    found = ratios(row)["rouge2"]
    assert (found["value"], found["calls"], found["not_judged"]) == (None, {}, why)
    assert "exactly 100" not in said


def test_rouge_2_that_is_not_defined_stands_in_nobodys_way(gate):
    right, _ = one_word()
    code, row, _, _ = gate(right, [f"{word}." for word in right])
    assert (code, row["status"]) == (0, "PASS")
    assert "ROUGE-2 is not defined" in row["reason"]


def test_rouge_2_is_judged_where_one_answer_in_ten_has_two_words(gate):
    words = forty(["Paris", "Rome"])
    answers = [*(f"{word} city" for word in words[:10]), *words[10:]]
    _, row, _, _ = gate(answers, [*("city of lights" for _ in range(10)), *words[10:]])
    assert ratios(row)["rouge2"]["calls"]["99"]["status"] == "FAIL"
    assert ratios(row)["rouge2"]["not_judged"] == ""


# ---- nothing to keep


def test_a_reference_that_shares_no_word_with_the_answers_has_nothing_to_keep(gate):
    code, row, _, _ = gate(ENGLISH, ["xxx www"] * 40, own=["zzz yyy"] * 40)
    assert (code, row["status"]) == (1, "UNDECIDED")
    assert row["reason"].startswith("ROUGE-1 of the reference is 0: there is nothing to keep")
    assert "--against reference" in row["reason"]


def test_a_reference_of_empty_outputs_decides_nothing_and_empty_candidates_fail(gate):
    code, row, found, _ = gate(ENGLISH, [""] * 40, own=[""] * 40)
    assert (code, row["status"]) == (1, "UNDECIDED")
    assert row["reason"] == "the reference cannot be judged: all its 40 outputs are empty"
    assert found["reference"]["problem"] == "all its 40 outputs are empty"
    assert gate(ENGLISH, [""] * 40)[1]["status"] == "FAIL"


def test_answers_without_any_word_name_no_metric_that_cannot_help(gate):
    for flags in ((), MULTILINGUAL):
        _, row, _, _ = gate(["?!"] * 40, ["…"] * 40, *flags)
        assert row["status"] == "UNDECIDED"
        assert row["reason"].endswith("use a dataset whose answers have words")


def test_a_metric_that_is_not_known_or_not_mlperfs_is_refused(gate):
    for flags, words in (
        (("--metric", "meteor"), "mlperf_scores, multilingual_rouge"),
        (("--target", "gpt-j-99", *MULTILINGUAL), "--metric multilingual_rouge"),
    ):
        code, _, _, said = gate(ENGLISH, ENGLISH, *flags)
        assert code == 2
        assert words in said


def test_the_pages_of_such_gates_are_written(gate, tmp_path):
    for flags in ((), MULTILINGUAL):
        _, _, found, _ = gate(forty(CHINESE), forty(WRONG), *flags)
        page = next((tmp_path / "out").glob(f"{found['folder'].rsplit('/', 1)[-1]}/gate.html"))
        text = page.read_text()
        assert not [word for word in (">nan", ">None", "Infinity") if word in text]
    assert read_json(page.parent / "gate.json")["metric"] == "multilingual_rouge"


def test_a_gate_of_runs_that_it_makes_keeps_its_metric(tiny_llama, tmp_path):
    file = questions(tmp_path, ["猫喜欢吃鱼"] * 4)
    words = f"gate --model {tiny_llama} --candidates bf16 --metric multilingual_rouge --in-process"
    words += f" --no-control --dataset {file} --max-new-tokens 2 --output-dir {tmp_path / 'made'}"
    done = CliRunner().invoke(app, [*words.split(), "--device", "cpu", "--json"])
    found = json.loads(done.stdout)
    assert found["metric"] == "multilingual_rouge"
    (place,) = (tmp_path / "made").iterdir()
    study = json.loads((place / "study.json").read_text())
    assert study["arguments"]["asked"]["metric"] == "multilingual_rouge"
    again = CliRunner().invoke(app, ["resume", str(place), "--json"])
    assert json.loads(again.stdout)["metric"] == "multilingual_rouge"
    study["arguments"]["asked"]["metric"] = "moon"
    (place / "study.json").write_text(json.dumps(study))
    damaged = CliRunner().invoke(app, ["resume", str(place), "--trust-folder"])
    assert (damaged.exit_code, "'moon' is not known" in damaged.stderr) == (2, True)
