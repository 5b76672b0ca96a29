"""Can the list be used in a browser: by keyboard alone, on a phone, in the dark, while runs come?

And does the program begin and end as it should?
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.process.children import variables
from tests.browser import CHROMIUM, Browser
from tests.harness.view.helpers import make_run
from tests.harness.view.test_strangers import HOSTILE, SCRIPT

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")


def started(root, *words):
    """The program, once it says where it can be asked."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "view", str(root), "--port", "0", "--json", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables(),
    )  # fmt: skip
    return process, json.loads(process.stdout.readline())


@pytest.fixture(scope="module")
def root(measured, tmp_path_factory):
    """Two runs, a comparison of two more, and runs whose names were written by strangers."""
    place = tmp_path_factory.mktemp("runs")
    shutil.copytree(measured, place, dirs_exist_ok=True)
    make_run(place, "20260101T000000Z_a", model="m" * 80, variant="int8")
    make_run(place, "20260101T000001Z_b", status="INVALID", status_reason="late " * 40)
    for number, words in enumerate(HOSTILE):
        make_run(place, f"20250101T00000{number}Z_x", model=words, status_reason=words)
    evil = make_run(place, "20240101T000000Z_page")
    (evil / "report.html").write_text(f"<html><title>fine</title><body>{SCRIPT}</body></html>")
    return place


@pytest.fixture(scope="module")
def url(root):
    process, facts = started(root)
    yield facts["url"]
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


FOCUSED = "document.activeElement.closest('tr')?.dataset.path"


@needs_chromium
def test_two_runs_are_found_chosen_and_compared_by_keyboard_alone(tab, url, root):
    tab.open(f"{url}/")
    tab.press("/")
    assert tab.value("document.activeElement.name") == "q"
    tab.type("compare")
    tab.wait("document.querySelectorAll('#part tbody tr').length === 3")
    assert "q=compare" in tab.value("location.search")
    tab.press("Escape")
    tab.value("document.querySelector('#filter input').value = ''")
    tab.open(f"{url}/")
    tab.press("ArrowDown")
    assert "compare" in tab.value(FOCUSED)
    tab.press("ArrowRight")
    tab.wait("document.querySelectorAll('tr.inside').length === 2")
    for _ in range(2):
        tab.press("ArrowDown")
        tab.press(" ")
    assert tab.value("document.querySelector('#go').textContent") == "Compare 2 runs"
    tab.press("c")
    tab.wait("location.pathname === '/compare' && document.readyState === 'complete'")
    assert tab.value("document.title").startswith("comparison")
    tab.open(f"{url}/")
    assert tab.value("document.querySelector('#go').textContent") == "Compare 2 runs", "kept"
    tab.value("document.querySelector('#none').click()")
    assert tab.value("document.querySelector('#go').disabled")


@needs_chromium
def test_enter_opens_a_run_and_the_left_arrow_closes_a_study(tab, url):
    tab.open(f"{url}/")
    tab.press("ArrowDown")
    tab.press("ArrowRight")
    tab.wait("document.querySelectorAll('tr.inside').length === 2")
    tab.press("ArrowLeft")
    assert tab.value("document.querySelectorAll('tr.inside').length") == 0
    tab.press("Enter")
    tab.wait("location.pathname.startsWith('/at/') && document.readyState === 'complete'")
    assert tab.value("document.querySelector('h1').textContent") == "DONE"


@needs_chromium
def test_the_tab_key_reaches_everything_in_the_order_in_which_it_is_read(tab, url):
    tab.open(f"{url}/")
    seen = []
    for _ in range(6):
        tab.press("Tab")
        seen.append(tab.value("document.activeElement.name || document.activeElement.textContent"))
    assert seen[:5] == ["Skip to the content", "q", "kind", "status", "Apply"]
    style = "getComputedStyle(document.activeElement)"
    assert tab.value(f"{style}.outlineStyle") == "solid", "the focus is seen"


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways(tab, url, root, width, dark):
    study = next(path.name for path in root.glob("*_compare_*"))
    for path in ("/", f"/at/{study}", "/at/20260101T000001Z_b", "/none"):
        tab.open(f"{url}{path}", width=width, dark=dark)
        assert tab.value("document.documentElement.scrollWidth") <= width, path
        ink, paper = (
            sum(map(int, tab.value(f"getComputedStyle(document.body).{name}")[4:-1].split(",")))
            for name in ("color", "backgroundColor")
        )
        assert (ink > paper) == dark, path


@needs_chromium
def test_a_new_run_comes_into_the_list_and_the_focus_stays(tab, url, root):
    tab.open(f"{url}/")
    tab.press("ArrowDown")
    tab.press("ArrowDown")
    focused = tab.value(FOCUSED)
    make_run(root, "20270101T000000Z_new")
    tab.wait("document.querySelector('tr[data-path=\"20270101T000000Z_new\"]')")
    assert tab.value(FOCUSED) == focused


@needs_chromium
def test_nothing_that_strangers_wrote_runs(tab, url):
    tab.said.clear()
    for path in ("/", "/at/20250101T000000Z_x", "/page/20240101T000000Z_page"):
        tab.open(f"{url}{path}")
        assert tab.value("document.title") != "hit"
    assert tab.value("document.title") == "fine"
    assert any("sandbox" in said or "script" in said for said in tab.said)


@needs_chromium
def test_the_list_is_there_without_our_script(tab, url):
    tab._tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(f"{url}/")
        assert tab.value("document.querySelectorAll('#part tbody tr').length") > 3
        assert tab.value("document.querySelector('#go').textContent") == "Compare the chosen runs"
    finally:
        tab._tell("Emulation.setScriptExecutionDisabled", value=False)


# ---- the program


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_ends_when_it_is_told_to(root, number, code):
    process, facts = started(root)
    assert facts["folder"] == str(root)
    assert facts["found"] >= 10
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "")


def test_a_page_that_takes_long_does_not_hold_up_the_end():
    code = (
        "import asyncio, threading; from harness.view.apart import apart\n"
        "async def main():\n"
        "    page = asyncio.ensure_future(apart(threading.Event().wait))\n"
        "    await asyncio.sleep(0.1)\n"
        "    page.cancel()\n"
        "    print(await apart(lambda: 'made'))\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables(), timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "made\n", "")


def test_a_port_in_use_and_a_folder_that_is_none_are_sentences(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["view", str(root), "--port", port])
    assert done.exit_code == 3
    assert "in use" in done.output
    assert "--port" in done.output
    done = CliRunner().invoke(app, ["view", str(root / "none")])
    assert done.exit_code == 2
    assert "expected a folder with runs in it" in done.output
