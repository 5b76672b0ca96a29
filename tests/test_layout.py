"""Can every page be read on a phone, by a screen reader and on paper?

What the HTML must have is read from the pages themselves. How they are laid out on a screen of 390
pixels is measured by a browser, where one is installed.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from reports.pages import compare, gate
from reports.pages.likelihood.screen import write_page
from tests.harness.study.comparison.test_compare import compared, oom, row
from tests.harness.study.gating.test_gate import answers, invoke, make
from tests.reports.pages.likelihood.test_page import folder as measured

pytestmark = pytest.mark.pictures

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
KINDS = ("report", "compare", "gate", "perplexity", "sweep")
PHONE = 390  # CSS pixels


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page of each kind, with long names, failures and many columns."""
    place = tmp_path_factory.mktemp("pages")
    words = ["run", "--scenario", "server", "--sut", "simulated", "--clock", "virtual"]
    words += ["--sut-option", "fault=two_eos", "--output-dir", str(place)]
    assert CliRunner().invoke(app, words).exit_code == 1
    variants = ("fp32", "bf16", "int8-quanto", "lora-int4-quanto", "nf4")
    found = compared(*(row(variant) for variant in variants), oom("fp16"))
    (place / "compare.html").write_text(compare.render(found))
    runs = [make(place, answers(), variant) for variant in ("fp32", "bf16", "lora-int4-quanto")]
    (place / "gate.html").write_text(gate.render(invoke(*runs)[1]))
    made = {"compare": place / "compare.html", "gate": place / "gate.html"}
    made["report"] = next(place.glob("*_server_simulated_*/report.html"))
    made["perplexity"] = write_page(measured(place / "perplexity"))
    words = "sweep --scenario server --sut simulated --clock virtual --min-queries 60 --target-qps"
    words += f" 5,10,20..40 --max-concurrency 1234567,12345678 --output-dir {place / 'swept'}"
    assert CliRunner().invoke(app, words.split()).exit_code == 0
    made["sweep"] = next(place.glob("swept/*/sweep.html"))
    return made


class Tables(HTMLParser):
    """Heads with their scope, and the classes that stand around each table."""

    def __init__(self, source):
        super().__init__()
        self.scopes, self.around, self.open = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag == "th":
            self.scopes.append(named.get("scope"))
        if tag == "table":
            self.around.append(" ".join(classes for _, classes in self.open))
        if tag in ("div", "section", "details", "figure"):
            self.open.append((tag, named.get("class") or ""))

    def handle_endtag(self, tag):
        if self.open and self.open[-1][0] == tag:
            self.open.pop()


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_of_a_table_says_what_it_is_the_head_of(pages, kind):
    scopes = Tables(pages[kind].read_text()).scopes
    assert set(scopes) <= {"col", "row", "rowgroup", "colgroup"}
    assert "col" in scopes


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_that_may_be_wide_can_be_scrolled(pages, kind):
    around = Tables(pages[kind].read_text()).around
    assert around
    assert all(re.search(r"\b(wide|pairs)\b", classes) or classes == "card" for classes in around)


@pytest.mark.parametrize("kind", KINDS)
def test_pages_fit_a_phone_and_open_what_is_folded_on_paper(pages, kind):
    source = pages[kind].read_text()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in source
    _, _, paper = source.partition("@media print {\n  @page")
    assert "details::details-content { content-visibility: visible; display: block;" in paper
    assert "thead { display: table-header-group; }" in paper
    assert not re.search(r"\.card[^{]*{[^}]*break-inside: avoid", paper), "half-empty pages"


@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_picture_has_a_twin_for_the_phone_with_the_same_points(pages, kind):
    source = pages[kind].read_text()
    assert source.count('class="roomy"') == source.count('class="narrow"')
    assert len(re.findall(r'class="[^"]*\broomy"', source)) >= 1


MEASURE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
%s<pre id="found"></pre><script>onload = () => {
const found = {};
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, wide = page.documentElement.clientWidth;
  const beyond = [];
  for (const element of page.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    const shown = box.width && box.height && getComputedStyle(element).clipPath === "none";
    if (!shown || (box.right <= wide + 1 && box.left >= -1)) continue;
    let inside = element.parentElement;
    const visible = (node) => getComputedStyle(node).overflowX === "visible";
    while (inside && visible(inside)) inside = inside.parentElement;
    if (!inside) beyond.push(element.tagName + " " + element.textContent.trim().slice(0, 40));
  }
  const scrolled = [...page.querySelectorAll(".wide")].filter(
    (box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.textContent.trim());
  const columns = [...page.querySelectorAll("table:first-of-type thead")][0].querySelectorAll("th");
  const seen = [...columns].filter((head) => head.getBoundingClientRect().right <= wide).length;
  found[frame.id] = {width: page.documentElement.scrollWidth, beyond: beyond.slice(0, 5),
    heads: page.querySelectorAll("th").length, scrolled: scrolled, columns: seen};
}
document.getElementById("found").textContent = JSON.stringify(found);
}</script>"""


def browse(path: Path, profile: Path) -> str:
    """The page as a browser has it after its scripts ran. Nothing is asked of a network."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom"]
    command = [CHROMIUM, *flags, f"--user-data-dir={profile}", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


@pytest.fixture(scope="module")
def laid_out(pages, tmp_path_factory):
    """Of each page on a phone: how wide it is, what is outside, what must be scrolled."""
    if CHROMIUM is None:
        pytest.skip("no chromium: pages are not laid out here")
    place = tmp_path_factory.mktemp("layout")
    style = f"border:0;width:{PHONE}px;height:800px"
    frame = '<iframe id="{}" style="{}" src="{}"></iframe>'
    frames = "".join(frame.format(kind, style, pages[kind].as_uri()) for kind in KINDS)
    (place / "measure.html").write_text(MEASURE % frames)
    dumped = browse(place / "measure.html", place / "profile")
    return json.loads(html.unescape(re.search(r'id="found">(.+?)</pre>', dumped)[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_a_phone_but_what_can_be_scrolled(laid_out, kind):
    assert laid_out[kind]["heads"] > 5, "the page was not read"
    assert laid_out[kind]["beyond"] == []
    assert laid_out[kind]["width"] <= PHONE


def test_conditions_and_settings_need_no_scrolling_on_a_phone(laid_out):
    scrolled = laid_out["report"]["scrolled"]
    assert not [table for table in scrolled if re.match("(status)?condition|setting", table)]


def test_a_phone_shows_several_variants_side_by_side(laid_out):
    assert laid_out["compare"]["columns"] >= 3
