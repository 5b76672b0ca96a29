"""Does `harness judge` report what a scripted judge said, however badly it behaves?"""

from __future__ import annotations

import json
import re
import socket
from collections import Counter

import jsonschema
import psutil
import pytest

from harness.judging import asking
from tests import ROOT
from tests.harness.judging.conftest import call
from tests.judge_server import Refusal, judging, part

KEY = "sk-judge-1234567890abcdef"


def likes_long(prompt, number):
    """Prefer the longer answer, and the one that comes first in the alphabet of two as long."""
    a, b = part(prompt, "ANSWER A"), part(prompt, "ANSWER B")
    return f"It says more.\n**verdict: {'A' if (len(a), a) > (len(b), b) else 'B'}**"


def test_a_judge_who_knows_what_it_wants_is_consistent(judged):
    with judging(likes_long) as judge:
        code, found, rows, _ = judged(judge.url)
    (row,) = found["judges"][0]["pairs"]
    assert code == 0
    assert (row["asked"], row["judged"], row["turned"]) == (12, 12, 0)
    assert row["wins"] + row["losses"] + row["equal"] == 12
    compared = 12 - row["equal"]
    assert len(rows) == len(judge.bodies) == 2 * compared > 0
    assert row["consistent"]["value"] == 1.0
    assert row["first"]["value"] == 0.5  # each side is first once
    prompts = {body["messages"][0]["content"] for body in judge.bodies}
    assert len(prompts) == len(rows)
    assert judge.keys == {None}
    assert {(body["model"], body["temperature"]) for body in judge.bodies} == {("fake", 0)}
    assert found["judges"][0]["tokens_out"] == 10 * len(rows)


def test_a_judge_who_takes_the_first_is_found_out(judged):
    with judging(lambda prompt, number: "verdict: A") as judge:
        code, found, _, output = judged(judge.url)
    (row,) = found["judges"][0]["pairs"]
    assert (code, row["status"], row["wins"], row["losses"]) == (0, "INCONCLUSIVE", 0, 0)
    assert (row["first"]["value"], row["consistent"]["value"]) == (1.0, 0.0)
    assert "changes with the order" in row["reason"]
    assert "prefers the first" in output


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("banana", "no verdict"),
        ("", "empty"),
        ("verdict: A\nverdict: B", "two verdicts"),
        ({"content": None, "refusal": "I cannot compare these."}, "refused"),
        ({"content": "It depends on", "choice": {"finish_reason": "length"}}, "cut"),
        (Refusal(200, "[]"), "failed"),
        (Refusal(200, "not json"), "failed"),
        (Refusal(422, '{"error": "no"}'), "failed"),
        (Refusal(429, headers={"Retry-After": "0"}), "failed"),
        (Refusal(503), "failed"),
    ],
)
def test_nonsense_is_counted_and_named(judged, said, problem):
    with judging(lambda prompt, number: dict(said) if isinstance(said, dict) else said) as judge:
        code, found, rows, _ = judged(judge.url, "--judge-concurrency 2")
    (one,) = found["judges"]
    assert (code, found["status"], one["pairs"][0]["status"]) == (1, "INVALID", "INVALID")
    assert one["problems"][problem] >= min(asking.MOST_IN_A_ROW, len(rows))
    assert sum(one["problems"].values()) == one["calls"] == len(rows)
    assert Counter(row["problem"] for row in rows) == one["problems"]
    is_off_form = problem in ("no verdict", "two verdicts", "cut")
    assert ("--judge-format choice" in " ".join(found["notes"])) == is_off_form
    assert all(shown["problem"] for shown in one["examples"])
    if problem == "failed":
        assert "in a row failed" in one["stopped"]
        assert one["problems"]["not asked"] == len(rows) - one["problems"]["failed"]


def test_a_judge_who_is_busy_is_asked_again(judged):
    def busy_at_first(prompt, number):
        return Refusal(429, headers={"Retry-After": "0"}) if number < 4 else "verdict: tie"

    with judging(busy_at_first) as judge:
        code, found, rows, _ = judged(judge.url, "--judge-concurrency 1")
    (one,) = found["judges"]
    assert (code, one["problems"], one["stopped"]) == (0, {}, "")
    assert (rows[0]["tries"], one["tries"]) == (5, len(rows) + 4)


@pytest.mark.parametrize(("status", "words"), [(401, "another API key"), (404, "no such model")])
def test_a_judge_who_never_answers_is_asked_once(judged, status, words):
    with judging(lambda prompt, number: Refusal(status)) as judge:
        code, found, _, output = judged(judge.url, "--judge-concurrency 1")
        assert len(judge.bodies) == 1
    assert code == 1
    assert words in found["judges"][0]["stopped"]
    assert words in output


def test_a_dead_server_is_named(judged):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}#none"
    code, found, _, _ = judged(url)
    assert (code, found["status"]) == (1, "INVALID")
    assert "refused" in found["judges"][0]["stopped"].lower()


def test_the_limits_and_the_cost_are_kept(judged):
    with judging(likes_long) as judge:
        code, found, rows, _ = judged(
            judge.url, "--judge-limit 5 --judge-concurrency 3 --judge-price 100,200"
        )
    (one,) = found["judges"]
    assert (code, found["questions"], found["of"]) == (0, 5, 12)
    assert judge.most <= 3
    assert len({row["index"] for row in rows}) <= 5
    assert one["usd"] == pytest.approx((one["tokens_in"] + 2 * one["tokens_out"]) / 10_000)
    assert one["usd"] > 0
    assert any("drawn by chance" in note for note in found["notes"])


def test_the_key_is_sent_and_never_written(judged, monkeypatch, tmp_path):
    monkeypatch.setenv("JUDGE_KEY", KEY)

    def tells_it(prompt, number):
        return f"Your key is {KEY}.\nverdict: tie"

    with judging(tells_it) as judge:
        judged(judge.url, "--api-key-env JUDGE_KEY")
    assert judge.keys == {f"Bearer {KEY}"}
    files = [path for path in (tmp_path / "judged").rglob("*") if path.is_file()]
    assert files
    assert all(KEY not in path.read_text(encoding="utf-8") for path in files)


def test_points_and_two_judges_are_compared(judged):
    def kind(prompt, number):
        return f"score: {3 + len(part(prompt, 'ANSWER TO GRADE')) % 5}"

    with judging(kind) as judge, judging(kind) as other:
        code, found, _, _ = judged(judge.url, f"--by scores --judge {other.url}")
    reference, candidate = found["judges"][0]["scores"]
    assert (code, reference["judged"], candidate["judged"]) == (0, 12, 12)
    assert 3 <= reference["points"]["value"] <= 7
    assert reference["difference"]["value"] is None
    assert candidate["difference"]["value"] == pytest.approx(
        candidate["points"]["value"] - reference["points"]["value"]
    )
    (between,) = found["between"]
    assert (between["kind"], between["n"], between["same"]) == ("score", 24, 1.0)


def test_one_run_is_given_points(judged):
    with judging(lambda prompt, number: "score: 7") as judge:
        code, found, _, _ = judged(judge.url, of=1)
    assert (code, found["by"], found["judges"][0]["scores"][0]["points"]) == (
        0, "scores", {"value": 7.0, "low": 7.0, "high": 7.0},
    )  # fmt: skip


def test_a_local_model_is_served_and_gone_afterwards(judged, tiny_llama):
    """Its 64 tokens of context do not hold the question, which the server says in its words."""
    code, found, _, _ = judged(f"local:{tiny_llama}@bf16", "--judge-limit 3")
    (one,) = found["judges"]
    assert (code, found["status"]) == (1, "INVALID")
    assert "HTTP 400" in one["stopped"]
    assert not [
        each for each in psutil.Process().children(recursive=True) if "serve" in each.cmdline()
    ]


def test_a_local_model_that_is_not_there_is_named(runs, tmp_path):
    done = call(f"judge {runs[0]} --judge local:no-such-model --output-dir {tmp_path}")
    assert done.exit_code == 3
    assert "no-such-model" in done.output
    (folder,) = tmp_path.iterdir()
    assert [path.suffix for path in folder.iterdir()] == [".log"]  # it says more


def test_the_commands_of_the_page_work(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python -m harness (judge .+)$", page, re.MULTILINE)
    assert len(commands) == 3
    with judging(likes_long) as judge:
        for command in commands:
            made = command.replace("runs/REFERENCE", str(runs[0]))
            made = made.replace("runs/CANDIDATE", str(runs[1])).replace("--by both", "")
            made = re.sub(r"--judge (\S+)", f"--judge {judge.url}", made)
            assert call(made).exit_code == 0, command


def test_the_prompts_are_shown_in_full(runs, judged):
    done = call(f"judge {runs[0]} {runs[1]} --print-prompt --by both")
    assert done.exit_code == 0
    assert "verdict: tie" in done.output
    assert "score: 7" in done.output
    assert "why is the sky a" in done.output
    with judging(lambda prompt, number: "verdict: tie") as judge:
        _, found, _, _ = judged(judge.url)
    assert found["prompts"]["pair"].startswith("You judge two answers")
    assert "{question}" in call("judge --print-prompt").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "no judge is named"),
        ("--judge gpt", "no address"),
        ("--judge local:", "names no model"),
        ("--judge http://h#m --judge http://h#m", "named twice"),
        ("--judge http://h#m --by pair", "Did you mean 'pairs'"),
        ("--judge http://h#m --judge-price 3", "no IN,OUT"),
        ("--judge http://h#m --judge-price -1,2", "no IN,OUT"),
        ("--judge http://h#m --api-key-env NOT_THERE_1", "it is not set"),
        ("--judge http://u:p@h#m", "user name or a password"),
        ("--judge http://h#m", "no run is given"),
    ],
)
def test_bad_input_is_four_facts(words, said, tmp_path):
    done = call(f"judge --output-dir {tmp_path} {words}")
    assert done.exit_code == 2
    assert said in re.sub(r"\s+", " ", done.output)
    assert not list(tmp_path.iterdir())


def test_runs_of_other_questions_are_refused(runs, tmp_path, tiny_llama):
    (tmp_path / "q.jsonl").write_text('{"prompt": "x"}\n{"prompt": "y"}\n')
    call(
        f"run --model {tiny_llama} --dataset {tmp_path / 'q.jsonl'} --mode accuracy --scenario"
        f" offline --max-new-tokens 4 --in-process --output-dir {tmp_path / 'other'}"
    )
    (other,) = (tmp_path / "other").iterdir()
    done = call(f"judge {runs[0]} {other} --judge http://h#m --output-dir {tmp_path / 'judged'}")
    assert done.exit_code == 2
    assert "data" in done.output


def chosen(prompt, number):
    """Prefer the longer answer, as JSON."""
    if "ANSWER B" not in prompt:
        return '{\n"score": 7\n}'
    return json.dumps({"verdict": likes_long(prompt, number).split("verdict: ")[1][0]})


def test_a_judge_held_to_a_choice_is_sent_a_schema_and_read(judged):
    with judging(chosen) as judge:
        code, found, _, _ = judged(judge.url, "--judge-format choice --by both")
    assert (code, found["form"]) == (0, "choice")
    assert found["judges"][0]["problems"] == {}
    schemas = [body["response_format"]["json_schema"]["schema"] for body in judge.bodies]
    for body, schema in zip(judge.bodies, schemas, strict=True):
        jsonschema.validate(json.loads(chosen(body["messages"][0]["content"], 0)), schema)
        assert "reasons" not in body["messages"][0]["content"]
    assert {name for schema in schemas for name in schema["properties"]} == {"verdict", "score"}
    assert all("Give your reasons" not in text for text in found["prompts"].values())


def test_a_judge_that_reasons_is_sent_no_schema(judged):
    with judging(likes_long) as judge:
        _, found, _, _ = judged(judge.url)
    assert found["form"] == "text"
    assert not [body for body in judge.bodies if "response_format" in body]


def test_a_server_that_takes_no_schema_is_given_up_at_once_and_says_why(judged):
    words = '{"error": {"message": "response_format must be text"}}'
    with judging(lambda prompt, number: Refusal(400, words)) as judge:
        code, found, _, output = judged(judge.url, "--judge-format choice --judge-concurrency 1")
    assert (code, found["status"], len(judge.bodies)) == (1, "INVALID", 1)
    why = "it does not take --judge-format choice (HTTP 400: response_format must be text)"
    assert found["judges"][0]["stopped"] == why
    assert "--judge-format choice" in output


def test_a_form_that_is_none_is_refused(runs, tmp_path):
    folders = " ".join(map(str, runs))
    done = call(f"judge {folders} --judge http://127.0.0.1:9 --judge-format yaml")
    assert done.exit_code == 2
    assert not [word for word in ("'yaml'", "text", "choice") if word not in done.output]


def test_a_run_of_several_attempts_is_refused(tmp_path, tiny_llama):
    call(
        f"run --model {tiny_llama} --task word-problems --num-samples 2 --attempts 2 --temperature"
        f" 1 --truncate --mode accuracy --scenario offline --max-new-tokens 4 --in-process"
        f" --output-dir {tmp_path / 'run'}"
    )
    (run,) = (tmp_path / "run").iterdir()
    (run / "scores.parquet").unlink()  # what it was asked says so
    done = call(f"judge {run} --judge http://h#m --output-dir {tmp_path / 'judged'}")
    assert done.exit_code == 2
    assert "several answers each" in re.sub(r"\s+", " ", done.output)
