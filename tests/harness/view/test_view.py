"""What does `harness view` show of a folder, and does it leave everything as it was?"""

from __future__ import annotations

import json
import os
import re

import pytest

from harness.view import listing
from harness.view.index import Index
from tests.harness.view.helpers import ask, fingerprint, indexed, make_run


def paths_of(root):
    return {entry.kind: entry.path for entry in indexed(root).entries}


def runs_of(root):
    return sorted(entry.path for entry in indexed(root).entries if entry.kind == "run")


def rows(text):
    return re.findall(r'<tr data-path="([^"]+)"', text)


def test_a_study_and_its_runs_are_a_tree(measured):
    study = paths_of(measured)["study"]
    answer = ask(measured, "/")
    assert rows(answer.text) == [study], "its runs stand in it"
    assert "2 inside" in answer.text
    assert "2 of 2 cells: 2 VALID" in answer.text
    inside = ask(measured, f"/inside/{study}").text
    assert rows(inside) == runs_of(measured)
    assert inside.index("max-concurrency=1") < inside.index("max-concurrency=2")
    page = ask(measured, f"/at/{study}")
    assert "max-concurrency=2" in page.text
    assert all(f'href="/at/{run}"' in page.text for run in runs_of(measured))


def test_a_run_has_a_page_with_its_figures_conditions_and_files(measured):
    run = runs_of(measured)[0]
    text = ask(measured, f"/at/{run}").text
    for words in ("every condition holds", "tokens/s", "samples_complete", "result.json"):
        assert words in text
    assert '"status": "VALID"' in ask(measured, f"/file/{run}/result.json").text


def test_the_page_of_a_study_is_its_own_and_has_a_way_back(measured):
    answer = ask(measured, f"/page/{paths_of(measured)['study']}")
    assert "<title>comparison" in answer.text
    assert '<a href="/">All runs</a>' in answer.text


def test_a_run_without_a_page_gets_one_in_memory(measured):
    run = runs_of(measured)[0]
    page = measured / run / "report.html"
    kept = page.read_bytes()
    page.unlink()
    try:
        answer = ask(measured, f"/page/{run}")
        assert answer.status == 200
        assert "VALID" in answer.text
        assert not page.exists()
    finally:
        page.write_bytes(kept)


def test_runs_are_compared_in_memory(measured):
    one, two = runs_of(measured)
    answer = ask(measured, f"/compare?run={one}&run={two}")
    assert answer.status == 200
    assert "comparison" in answer.text
    assert len(re.findall("tokens/s", answer.text)) >= 2


def test_nothing_is_written_whatever_is_asked(measured):
    before = fingerprint(measured)
    study, (one, two) = paths_of(measured)["study"], runs_of(measured)
    asked = ["/", "/part?q=valid", "/version", f"/at/{study}", f"/at/{one}", f"/page/{one}"]
    asked += [f"/file/{one}/result.json", f"/inside/{study}", f"/compare?run={one}&run={two}"]
    assert [ask(measured, path).status for path in asked] == [200] * len(asked)
    assert fingerprint(measured) == before


@pytest.mark.parametrize("count", [0, 1, 21])
def test_a_comparison_of_too_few_or_too_many_is_a_sentence(measured, count):
    query = "&".join(f"run=r{i}" for i in range(count))
    answer = ask(measured, f"/compare?{query}")
    assert answer.status == 400
    assert "Choose 2 to 20 runs" in answer.text


def test_a_run_that_cannot_be_compared_is_a_sentence(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path, name)  # a result.json without a schema
    answer = ask(tmp_path, "/compare?run=a&run=b")
    assert answer.status == 422
    assert "This cannot be shown" in answer.text
    assert "Traceback" not in answer.text


# ---- the list


def test_words_filter_names_and_what_is_said_of_a_run(tmp_path):
    make_run(tmp_path, "one", model="llama", variant="int8")
    make_run(tmp_path, "two", model="llama", variant="bf16")
    make_run(tmp_path / "study", "three", model="qwen", status="INVALID")
    assert rows(ask(tmp_path, "/?q=llama+int8").text) == ["one"]
    assert rows(ask(tmp_path, "/?q=THREE").text) == ["study/three"]
    assert rows(ask(tmp_path, "/?status=INVALID").text) == ["study/three"]
    assert "1 of 3 runs and studies match" in ask(tmp_path, "/?q=qwen").text


def test_a_figure_sorts_with_the_best_first_and_the_unknown_last(tmp_path):
    for name, rate in (("a", 5.0), ("b", None), ("c", 50.0)):
        make_run(tmp_path, name, throughput={"tokens_per_s": rate})
    assert rows(ask(tmp_path, "/?sort=tokens_per_s").text) == ["c", "a", "b"]
    assert rows(ask(tmp_path, "/?sort=tokens_per_s&reverse=1").text) == ["a", "c", "b"]
    assert 'aria-sort="descending"' in ask(tmp_path, "/?sort=tokens_per_s").text


@pytest.mark.parametrize("query", ["sort=nothing", "page=-1", "page=x", "page=99999999", "kind=7"])
def test_an_address_that_makes_no_sense_shows_the_list(tmp_path, query):
    make_run(tmp_path, "a")
    answer = ask(tmp_path, f"/?{query}")
    assert (answer.status, rows(answer.text)) == (200, ["a"])


def test_of_thousands_only_those_of_the_page_are_read(tmp_path):
    for number in range(3 * listing.PAGE):
        make_run(tmp_path, f"2026010{1 + number % 9}T000000Z_{number:04d}")
    index = indexed(tmp_path)
    answer = ask(index, "/")
    assert len(rows(answer.text)) == listing.PAGE
    assert index.read == listing.PAGE
    assert "Page 1 of 3" in answer.text
    shown = {path for page in (1, 2, 3) for path in rows(ask(index, f"/?page={page}").text)}
    assert len(shown) == 3 * listing.PAGE


def test_an_unchanged_summary_is_not_read_again(tmp_path, monkeypatch):
    make_run(tmp_path, "a")
    index = indexed(tmp_path)
    first = ask(index, "/")
    monkeypatch.setattr("harness.view.index._summary", lambda *_: pytest.fail("it was read again"))
    assert rows(ask(index, "/").text) == rows(first.text)


def test_a_new_run_a_new_verdict_and_a_deleted_run_change_the_version(tmp_path):
    index = Index(tmp_path)
    index.look()
    versions = [index.version]

    def changed():
        index.look()
        ask(index, "/")
        versions.append(index.version)
        assert versions[-1] > versions[-2]

    folder = make_run(tmp_path, "a")
    changed()
    (folder / "result.json").unlink()
    changed()
    assert "UNFINISHED" in ask(index, "/").text
    (folder / "result.json").unlink(missing_ok=True)
    (folder / "settings.json").unlink()
    folder.rmdir()
    changed()


def test_a_run_that_goes_on_says_how_far_it_is(tmp_path):
    folder = make_run(tmp_path, "a")
    (folder / "result.json").unlink()
    lines = [json.dumps({"t_ns": i, "issued": i + 3, "done": i}) for i in (1, 2)]
    (folder / "telemetry.jsonl").write_text("\n".join(lines) + '\n{"t_ns": 3, "iss')
    text = ask(tmp_path, "/").text
    assert "RUNNING" in text
    assert "2 samples answered, 3 open" in text
    os.utime(folder / "telemetry.jsonl", (1, 1))
    assert "it ended before it was judged" in ask(tmp_path, "/").text


def test_a_measurement_of_perplexity_is_unfinished_until_it_has_its_object(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "texts.parquet").write_bytes(b"")
    assert "it has no perplexity.json" in ask(tmp_path, "/").text
    (folder / "perplexity.json").write_text('{"status": "DONE"}')
    assert "DONE" in ask(tmp_path, "/").text


def test_a_family_is_listed_with_its_page(tmp_path):
    folder = tmp_path / "20261128T000000Z_family_abcdef"
    folder.mkdir()
    (folder / "family.json").write_text('{"schema": "touchstone.family/1"}')
    (folder / "family.html").write_text("<body>the members")
    text = ask(tmp_path, "/").text
    assert "family" in text
    assert "DONE" in text
    assert f'href="/page/{folder.name}"' in ask(tmp_path, f"/at/{folder.name}").text
    assert "the members" in ask(tmp_path, f"/page/{folder.name}").text


def test_a_study_without_a_page_offers_none(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.json").write_text('{"kind": "sweep", "cells": []}')
    assert 'href="/page/' not in ask(tmp_path, "/at/study").text
    (folder / "sweep.html").write_text("<body>x")
    assert 'href="/page/study"' in ask(tmp_path, "/at/study").text


def test_an_empty_folder_says_how_to_make_a_run(tmp_path):
    assert "There are no runs here yet" in ask(tmp_path, "/").text
