"""The page of a run: complete, self-contained, and deaf to whatever a model or a name tries to say
to the browser.
"""

from __future__ import annotations

import copy
import errno
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine import runlog
from harness.kernel.texts import shown
from harness.options.settings import load_config
from harness.result.publish import publish
from harness.running.session import Run
from reports.pages import run as html
from tests.scenario_helpers import Row, hand_log

pytestmark = pytest.mark.pictures

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></pre></td></table>",
    "<!--",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f",
    "\x00\x85\ufeff\u2028",
    "\ud800 alone",
)
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags[-1:] != [("style", {})]:
            self.words.append(data)

    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]


def make(parent, **flags):
    """A finished run of the simulated SUT on the virtual clock."""
    config = load_config({"sut": "simulated", "clock": "virtual", "output_dir": parent, **flags})
    with Run(config, lambda _: None, progress=False) as run:
        result = run.execute()
    log, _ = runlog.read_log(run.folder)
    return SimpleNamespace(folder=run.folder, result=result, data=result.to_json(), log=log)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    return make(tmp_path_factory.mktemp("valid"), scenario="server")


@pytest.fixture(scope="module")
def invalid(tmp_path_factory):
    return make(
        tmp_path_factory.mktemp("invalid"), scenario="server", sut_options={"fault": "lost_sample"}
    )


def changed(run, **fields):
    return copy.deepcopy(run.data) | fields


def test_a_run_leaves_its_page_and_report_makes_the_same_one_again(valid):
    page = valid.folder / "report.html"
    written = page.read_text(encoding="utf-8")
    page.unlink()
    publish(valid.folder)
    assert page.read_text(encoding="utf-8") == written
    assert not list(valid.folder.glob("*.tmp"))


def test_the_verdict_comes_first_with_its_reason(valid, invalid):
    assert (
        Page(html.render(valid.data, valid.log, {})).text.index("VALID every condition holds") < 200
    )
    text = Page(html.render(invalid.data, invalid.log, {})).text
    assert re.search(r"INVALID failed: [a-z0-9_, ]*samples_complete", text)


def test_a_run_that_is_no_mlperf_result_says_so_and_one_that_is_does_not(valid):
    assert "Not an MLPerf result" in html.render(valid.data, valid.log, {})
    assert "Not an MLPerf result" not in html.render(changed(valid, official=True), valid.log, {})


def test_a_failed_condition_shows_what_was_seen_the_samples_and_the_remedy(invalid):
    (failed,) = [v for v in invalid.data["verdicts"] if v["rule"] == "samples_complete"]
    page = Page(html.render(invalid.data, invalid.log, {}))
    assert failed["detail"] in page.text
    assert f"→ {failed['remedy']}" in page.text
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert f"#sample-{failed['evidence'][0]}" in links
    assert {link[1:] for link in links} <= {attributes.get("id") for _, attributes in page.tags}


def test_a_condition_that_holds_keeps_its_remedy_to_itself(valid):
    assert not any("→" in word for word in Page(html.render(valid.data, valid.log, {})).words)


def test_figures_carry_units_and_counts(valid):
    text = Page(html.render(valid.data, valid.log, {})).text
    assert "Milliseconds from the due time mean p50 p90 p95 p97 p99 p99.9 max n TTFT" in text
    assert re.search(r"completed 64 of 64", text)
    assert "samples/s" in text
    row = changed(
        valid, memory={**valid.data["memory"], "weights_bytes": 3 << 29, "source": "told"}
    )
    assert "weights 1.5 GiB" in Page(html.render(row, valid.log, {})).text


def test_unknown_figures_are_left_out_rather_than_shown_as_zero(valid):
    data = changed(
        valid,
        memory={"source": ""},
        accuracy={},
        latency={k: {"n": 0} for k in valid.data["latency"]},
    )
    titles = re.findall(r"<h2>(.*?)</h2>", html.render(data, hand_log([]), {}))
    assert "Throughput" in titles
    assert not {"Memory", "Quality", "Latency", "Samples"} & set(titles)


def test_lengths_alone_are_not_called_quality(valid):
    assert "Quality" not in html.render(valid.data, valid.log, {})
    scored = changed(valid, accuracy={"rougeL": 21.5, "tokens_per_sample": 32.0})
    page = Page(html.render(scored, valid.log, {})).text
    assert "Quality rougeL 21.5 of 100 Answers tokens_per_sample 32 tokens" in page


def test_the_page_needs_no_network_and_runs_nothing(valid):
    source = html.render(valid.data, valid.log, {})
    page = Page(source)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in source
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(
        page.names()
    )
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", source)


def test_what_is_looked_at_first_comes_first_and_the_settings_are_folded_at_the_end(invalid):
    source = html.render(invalid.data, invalid.log, {})
    order = ['class="reason"', 'class="tiles"', "<svg", ">Notes<", 'id="conditions"']
    order += [
        ">Milliseconds from the due time<",
        ">Throughput<",
        ">Samples<",
        "<summary>Settings</summary>",
    ]
    places = [source.index(part) for part in order]
    assert places == sorted(places)
    assert source.index("</svg>") < source.rindex("<svg") < source.index('id="conditions"')
    tags = Page(source).tags
    assert not [attributes for tag, attributes in tags if tag == "details" and "open" in attributes]


def test_the_reason_of_a_failed_run_leads_to_its_conditions(valid, invalid):
    link = '<p class="reason"><a href="#conditions">'
    assert link in html.render(invalid.data, invalid.log, {})
    assert link not in html.render(valid.data, valid.log, {})


def test_each_picture_is_there_once_and_telemetry_adds_one(valid):
    without = html.render(valid.data, valid.log, {})
    telemetry = {"t_ns": [0, 10**9], "sut_rss_bytes": [1 << 30, 1 << 30]}
    assert without.count("<svg") == 4 + 1  # the wide one once more for a phone
    assert html.render(valid.data, valid.log, telemetry).count("<svg") == 5 + 1


def everywhere(run, text):
    """The run with `text` wherever a person, a model or a server can put some."""
    data = changed(
        run,
        model=text,
        variant=text,
        dataset=text,
        sut="local",
        status_reason=text,
        run_id=text,
        notes=[text],
    )
    data["verdicts"][0] |= {
        "status": "FAIL",
        "detail": text,
        "remedy": text,
        "rule": text,
        "unit": text,
    }
    data["accuracy"] = {text: 1.0}
    data["memory"] = {"weights_bytes": 1, "source": text}
    data["settings"]["config"]["model"] = text
    data["environment"]["variables"] = {text: text}
    data["files"] = {text: text}
    return data


def test_hostile_text_stays_text(valid):
    rows = [Row(text=text, error=text, finish="error") for text in HOSTILE]
    everything = "\n".join(HOSTILE)
    source = html.render(
        everywhere(valid, everything), hand_log([*rows, Row(text=everything * 9)]), {}
    )
    tame = html.render(
        everywhere(valid, "tame"),
        hand_log([Row(text="x", error="x", finish="error")] * 12 + [Row(text="x")]),
        {},
    )
    source.encode("utf-8")
    assert not UNSEEN.search(source.replace("\n", ""))
    assert Page(source).names().count("script") == 0
    assert set(Page(source).names()) == set(Page(tame).names())
    for text in HOSTILE:
        assert Page(source).text.count(" ".join(shown(text).split())) > 10


ANY = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40)
UNKNOWN = ANY.map(lambda text: f"x{text}")  # no word that means something to the page: "none"


@settings(max_examples=25, deadline=None)
@given(UNKNOWN)
def test_no_text_changes_the_structure_of_the_page(valid, text):
    empty = hand_log([])
    page, tame = (
        Page(html.render(everywhere(valid, words), empty, {})) for words in (text, "tame")
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in tame.tags]
    assert [sorted(attributes) for _, attributes in page.tags] == [
        sorted(attributes) for _, attributes in tame.tags
    ]
    assert " ".join(shown(text).split()) in page.text


@given(st.text(st.characters(exclude_categories=())))
def test_visible_text_has_nothing_unseen_and_plain_text_is_left_alone(text):
    assert not UNSEEN.search(shown(text))
    assert shown(shown(text)) == shown(text)
    assert (
        shown("Zoë said: 你好, שלום, naïve 👩‍💻\n\tok") == "Zoë said: 你好, שלום, naïve 👩‍💻\n\tok"
    )


def test_long_texts_are_cut_and_say_how_much_is_missing():
    slowest, _ = html.shown_samples(hand_log([Row(text="a" * 1000), Row(text="a" * html.MAX_TEXT)]))
    assert [(len(s.text), s.more) for s in slowest] == [(html.MAX_TEXT, 600), (html.MAX_TEXT, 0)]


@given(st.lists(st.none() | st.integers(1, 50), max_size=60))
def test_the_slowest_ten_then_the_first_ten_of_the_others(latencies):
    log = hand_log([Row(ttft=1, latency=ms, finish="eos" if ms else "") for ms in latencies])
    slowest, first = html.shown_samples(log)
    rank = [float("inf") if ms is None else ms for ms in latencies]
    assert [rank[s.id] for s in slowest] == sorted(rank, reverse=True)[:10]
    assert not {s.id for s in slowest} & {s.id for s in first}
    others = [i for i in range(len(log)) if i not in {s.id for s in slowest}]
    assert [s.id for s in first] == others[:10]


def test_a_page_that_cannot_be_written_is_a_note_and_an_old_page_does_not_stay(
    tmp_path, capsys, monkeypatch
):
    run = make(tmp_path, scenario="offline")

    def refuse(path, text):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("reports.pages.html.files.write_text", refuse)
    assert "report" not in publish(run.folder).files
    assert "note: no report.html (" in capsys.readouterr().err
    assert not (run.folder / "report.html").exists()
    assert (run.folder / "result.json").exists()


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
def test_every_scenario_has_a_page(tmp_path, scenario):
    run = make(tmp_path, scenario=scenario)
    source = (run.folder / "report.html").read_text(encoding="utf-8")
    assert f"<b>{scenario}</b>" in source
    assert "TTFT limit" not in source, "limits are the server scenario's"
    assert ("(p90:" in source) == (scenario != "offline"), "offline judges no percentile"


def test_accuracy_mode_and_a_run_that_broke_have_pages_too(tmp_path):
    accuracy = make(tmp_path, scenario="server", mode="accuracy")
    broke = make(tmp_path, scenario="server", sut_options={"fault": "crash", "fault_at": 0})
    assert (accuracy.folder / "report.html").exists()
    assert "crashed on request" in (broke.folder / "report.html").read_text(encoding="utf-8")
