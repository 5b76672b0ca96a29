"""Can a path, a name, a page or another site reach what it should not?"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

import pytest

from tests.harness.view.helpers import ask, make_run

SCRIPT = "<script>document.title='hit'</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "{{ 7919 * 7907 }}",
    "\u202etxt.exe",
    "a\x1b[2Jb",
)


@pytest.fixture
def root(tmp_path):
    """A folder with a run; secrets stand beside it, above it and behind links in it."""
    place = tmp_path / "runs"
    run = make_run(place, "run")
    for secret in (tmp_path / "secret.txt", place / "secret.txt", run / ".hidden"):
        secret.write_text("a secret")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret.txt").write_text("a secret")
    (run / "link.txt").symlink_to(tmp_path / "secret.txt")
    (run / "folder").symlink_to(tmp_path / "out")
    (place / "elsewhere").symlink_to(tmp_path / "out")
    os.mkfifo(run / "pipe.txt")
    return place


WAYS_OUT = (
    "/file/run/../secret.txt", "/file/../secret.txt", "/file/run/../../secret.txt",
    "/file/run//../secret.txt", "/file//etc/passwd", "/file/run/./result.json",
    "/file/secret.txt", "/file/run/.hidden", "/file/run/link.txt", "/file/run/folder/secret.txt",
    "/file/elsewhere/secret.txt", "/file/run/pipe.txt", "/file/run/result.json\0.txt",
    "/file/run\\..\\secret.txt", "/file/C:/secret.txt", "/file/", "/file/run", "/at/", "/at/..",
    "/at/elsewhere", "/at/run/..", "/page/../runs/run", "/inside/..", "/static/../pages.py",
    "/static/../../../pyproject.toml", "/compare?run=../runs/run&run=elsewhere",
)  # fmt: skip


@pytest.mark.parametrize("path", WAYS_OUT)
def test_no_path_leads_out_of_the_runs(root, path):
    answer = ask(root, path)
    assert answer.status in (404, 400)
    assert "a secret" not in answer.text
    assert "Traceback" not in answer.text


def test_a_folder_that_is_swapped_for_a_link_is_not_followed(root, tmp_path):
    inner = root / "run" / "part"
    inner.mkdir()
    (inner / "secret.txt").write_text("ours")
    assert ask(root, "/file/run/part/secret.txt").text == "ours"
    (inner / "secret.txt").unlink()
    inner.rmdir()
    inner.symlink_to(tmp_path / "out")
    assert ask(root, "/file/run/part/secret.txt").status == 404


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9", "localhost", "LOCALHOST:80", "[::1]:8321", "[::1]"]
)
def test_this_machine_may_ask_by_each_of_its_names(root, host):
    assert ask(root, "/", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8321", "127.0.0.1.evil.example", "localhost.evil.example:1",
     "127.0.0.1:x", "[::1", "127.0.0.1:80:80", "0.0.0.0"],
)  # fmt: skip
def test_a_name_that_was_bound_to_this_machine_is_refused(root, host):
    answer = ask(root, "/", host=host)
    assert answer.status == 421
    assert "run" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_the_pages_can_only_be_read(root, method):
    assert ask(root, "/", method).status == 405


def test_another_site_may_lead_here_but_not_read(root):
    assert ask(root, "/", sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200
    for site in ("cross-site", "same-site"):
        for mode in ("no-cors", "cors"):
            assert ask(root, "/", sec_fetch_site=site, sec_fetch_mode=mode).status == 403


@pytest.mark.parametrize(
    "path", ["/", "/at/run", "/file/run/result.json", "/none", "/static/view.js"]
)
def test_every_answer_forbids_what_is_not_ours(root, path):
    headers = ask(root, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in re.sub("style-src 'unsafe-inline'", "", policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_a_page_of_a_run_is_in_a_sandbox_without_scripts(root):
    (root / "run" / "report.html").write_text(f"<html><body>{SCRIPT}</body></html>")
    policy = ask(root, "/page/run").headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "script-src" not in policy


def test_a_file_that_could_be_a_page_is_saved_not_shown(root):
    (root / "run" / "x.html").write_text(SCRIPT)
    headers = ask(root, "/file/run/x.html").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment")
    assert ask(root, "/file/run/result.json").headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("words", HOSTILE)
def test_what_strangers_wrote_is_shown_as_words(tmp_path, words):
    name = words.replace("/", "")
    make_run(tmp_path, name, model=words, variant=words, status=words, status_reason=words)
    for path in ("/", "/?q=" + "x", "/part"):
        text = ask(tmp_path, path).text
        assert "<script>d" not in text
        assert "<img src=x" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "62615533" not in text
    (path,) = re.findall(r'href="(/at/[^"]+)"', ask(tmp_path, "/").text)
    assert ask(tmp_path, unquote(path)).status == 200, "its page can be opened"


def test_a_folder_whose_name_is_not_text_is_counted(tmp_path):
    make_run(tmp_path, "good")
    os.mkdir(os.fsencode(tmp_path) + b"/bad\xff")
    text = ask(tmp_path, "/").text
    assert "Left out, for a name that is not UTF-8: 1 folder." in text


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"status": 7}', b"\xff\xfe", b"[" * 10**5, b"{}"]
)
def test_a_damaged_result_is_a_row_that_says_so(tmp_path, content):
    folder = make_run(tmp_path, "a")
    (folder / "result.json").write_bytes(content)
    assert "DAMAGED" in ask(tmp_path, "/").text
    page = ask(tmp_path, "/at/a")
    assert page.status == 200
    assert "DAMAGED" in page.text


def test_a_damaged_study_is_a_row_that_says_so(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.json").write_text('{"kind": "compare", "cells": [3]}')
    (folder / "rows.jsonl").write_text("{\n[]\n")
    assert "DAMAGED" in ask(tmp_path, "/").text
    assert ask(tmp_path, "/at/study").status == 200


def test_a_row_that_names_a_run_elsewhere_makes_no_way_out(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    cell = '{"name": "x", "needs": "", "settings": {}}'
    (folder / "study.json").write_text(f'{{"kind": "compare", "cells": [{cell}]}}')
    row = '{"cell": "x", "run": "../../etc", "status": "VALID", "figures": {"tokens_per_s": "x"}}'
    (folder / "rows.jsonl").write_text(row + "\n")
    assert ask(tmp_path, "/at/study").status == 200
    assert ask(tmp_path, "/at/study/../../etc").status == 404
