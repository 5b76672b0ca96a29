"""Does a browser run anything, or ask the network for anything, that strangers wrote into a page?

Pages of all kinds, full of what usually breaks out of HTML, are opened in headless Chromium. Each
is opened a second time without its policy against scripts: the escaping alone must hold. A page
that was left unescaped on purpose shows that the browser would have told.
"""

from __future__ import annotations

import copy
import functools
import http.server
import re
import shutil
import threading
from pathlib import Path

import pytest

from reports.pages import compare, gate
from reports.pages import run as run_page
from reports.pages.likelihood.screen import write_page
from tests.harness.study.comparison.test_compare import CONDITIONS, compared, oom, row
from tests.harness.study.gating.test_gate import answers, invoke
from tests.harness.study.gating.test_gate import make as gate_run
from tests.reports.pages.likelihood.test_page import changed
from tests.reports.pages.likelihood.test_page import folder as measured
from tests.reports.pages.test_run import make as run_of
from tests.scenario_helpers import Row, hand_log
from tests.test_layout import CHROMIUM, browse

pytestmark = pytest.mark.pictures

SAY = "top.document.title+='PWNED'"
KINDS = ("report", "compare", "gate", "perplexity")


def breakouts(address: str) -> tuple[str, ...]:
    """Return what runs a script or sends a request to `address` where it is not escaped."""
    call = f"{SAY};new Image().src='{address}/script'"
    return (
        f"<script>{call}</script>",
        f"</script><script>{call}</script>",
        f"</style></title></textarea><script>{call}</script>",
        f"--><script>{call}</script><!--",
        f"]]><script>{call}</script>",
        f'<img src="{address}/image" onerror="{call}">',
        f"<svg onload=\"{call}\"><image href='{address}/svg'/></svg>",
        f'"><iframe src="{address}/frame"></iframe>',
        f"' autofocus onfocus='{call}' x='",
        f'" style="background:url({address}/css)" onmouseover="{call}',
        f"}} body {{ background: url({address}/style) }} @import '{address}/import';",
        f"<style>@import '{address}/import2'; body {{ background: url({address}/style2) }}</style>",
        f'<link rel="stylesheet" href="{address}/link"><link rel="prefetch" href="{address}/pre">',
        f'<meta http-equiv="refresh" content="0;url={address}/meta"><base href="{address}/">',
        f'<object data="{address}/object"></object><embed src="{address}/embed">',
        f'<video src="{address}/video" poster="{address}/poster"></video>',
        f"<details open ontoggle=\"{call}\"><input onfocus='{call}' autofocus></details>",
        f'<form action="{address}/form"><button autofocus>x</button></form>',
        f'<math><mtext><table><mglyph><style><img src=x onerror="{call}">',
        f"<noscript><p title='</noscript><img src=x onerror=\"{call}\">'>",
        f"javascript:{call}",
        f"+ADw-script+AD4-{SAY}+ADw-/script+AD4-",
        f"{{{{ 7*7 }}}}{{% include 'base.html' %}}<script>{call}</script>",
        "&lt;script&gt;&#60;script&#62;",
    )


class Site(http.server.ThreadingHTTPServer):
    """A network that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), functools.partial(_Answer))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def site():
    if CHROMIUM is None:
        pytest.skip("no chromium: pages are not opened here")
    with Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def opened(site, tmp_path_factory):
    """What the browser has after it opened all pages in frames, and what it asked for."""
    place = tmp_path_factory.mktemp("opened")
    evil = breakouts(site.address)
    make = {"report": _report, "compare": _compare, "gate": _gate, "perplexity": _perplexity}
    frames = []
    for kind, render in make.items():
        whole = render(place, evil)
        bare = re.sub("<meta http-equiv=.Content-Security-Policy.*?>", "", whole)
        assert bare != whole
        for name, source in ((kind, whole), (f"{kind}-bare", bare)):
            (place / f"{name}.html").write_text(source, encoding="utf-8")
            frames.append(f'<iframe id="{name}" src="{name}.html" width=900 height=900></iframe>')
    return place, frames, evil


def open_all(site, place: Path, frames: list[str]) -> tuple[str, list[str]]:
    """Return the title after all scripts ran, and the addresses that were asked for."""
    site.asked.clear()
    index = place / "index.html"
    page = '<!doctype html><meta charset="utf-8"><title>quiet</title>'
    index.write_text(page + "".join(frames), encoding="utf-8")
    profile = place / "profile"
    dumped = browse(index, profile)
    shutil.rmtree(profile, ignore_errors=True)
    return re.search("<title>(.*?)</title>", dumped)[1], sorted(site.asked)


def test_no_page_runs_a_script_or_asks_the_network_even_without_its_policy(site, opened):
    place, frames, _ = opened
    assert open_all(site, place, frames) == ("quiet", [])


def test_the_browser_would_have_told(site, opened):
    place, _, evil = opened
    (place / "control.html").write_text("\n".join(evil[5:7]), encoding="utf-8")
    (place / "script.html").write_text(evil[0], encoding="utf-8")
    names = ("control", "script")
    title, asked = open_all(site, place, [f'<iframe src="{name}.html"></iframe>' for name in names])
    assert title.count("PWNED") >= 2
    assert {"/script", "/image"} <= set(asked)


@pytest.mark.parametrize("kind", KINDS)
def test_what_strangers_wrote_is_read_as_they_wrote_it(opened, kind):
    """A page that left it all out would be quiet too."""
    place, _, evil = opened
    source = (place / f"{kind}.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in source
    assert sum(f"src={text}" in source for text in evil) == 0


def _report(place, evil):
    run = run_of(place, scenario="server")
    found = copy.deepcopy(run.data)
    everything = "\n".join(evil)
    log = hand_log([Row(text=text, error=text, finish="error") for text in evil])
    found |= {"model": evil[0], "variant": evil[1], "dataset": evil[2], "run_id": evil[3]}
    found["status_reason"] = everything
    found["notes"] = list(evil)
    found["missing"] = [{"kind": "file", "name": evil[0], "reason": evil[1], "later": True}]
    found["environment"] |= {text: text for text in evil}
    found["settings"]["config"] |= {"model": everything, "sut_options": {evil[0]: evil[1]}}
    for verdict, text in zip(found["verdicts"], evil, strict=False):
        verdict |= {"rule": text, "detail": text, "remedy": text, "status": "FAIL", "error": text}
        verdict |= {"evidence": [0, 1, 2]}
    return run_page.render(found, log, {"t_ns": [0, 1], evil[0]: [1.0, 2.0]})


def _compare(place, evil):
    texts = ["\n".join(evil[i::3]) for i in range(3)]
    rows = [row(text, reason=text, model=text, label=text) for text in texts]
    conditions = CONDITIONS | {text: text for text in evil}
    return compare.render(compared(*rows, row("bf16", conditions=conditions), oom(evil[3])))


def _gate(place, evil):
    runs = [gate_run(place, answers(), variant) for variant in ("fp32", "bf16")]
    found = copy.deepcopy(invoke(*runs)[1])
    for each in found["rows"]:
        each["reason"] = each["variant"] = each["label"] = "\n".join(evil)
        one = {"key": evil[0], "label": evil[0], "ratio": dict(value=1.0, low=0.9, high=1.0, n=9)}
        each["labels"] = [one]
        for sample, text in zip(each["worst"], evil * 9, strict=False):
            sample |= {"prompt": text, "answer": text, "labels": [text]}
            sample["texts"] = {"reference": [[text, True]], "candidate": [[text, False]]}
    found["notes"], found["dataset"] = list(evil), evil[0]
    return gate.render(found)


def _perplexity(place, evil):
    texts = [
        {"id": f"{text}-{i}", "category": f"{text}{i % 2}", "title": text, "text": f"{text} end."}
        for i, text in enumerate("\n".join(evil[i::4]) for i in range(4))
    ]
    names = [f"<img src=x onerror={SAY}>", f"<svg onload={SAY}>", f'" onmouseover="{SAY}']
    sizes = {name: 10 ** (7 + i) for i, name in enumerate(names)}  # they name folders: no slash
    made = measured(place / "perplexity", sizes=sizes, texts=texts)
    changed(made, notes=list(evil), dataset={"name": evil[6], "texts": 4, "tokens": 100})
    return write_page(made).read_text(encoding="utf-8")
