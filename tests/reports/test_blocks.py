"""One table, three ways to write it: what people see, what programs read, hostile names."""

import csv
import io

import pytest
from rich.console import Console

from reports.blocks import (
    Column,
    Table,
    between,
    by_group,
    csv_text,
    grid,
    markdown,
    screen,
    screens,
    tone,
)
from reports.pages import html

COLUMNS = (
    Column("name", "", words=True),
    Column("ttft_p90_ms", "TTFT p90", "ms"),
    Column("loss", "loss", write=lambda nats: f"{nats:.2f}", interval=True),
    Column("cost_usd", "cost", "USD", optional=True),
    Column("run", "run", raw=True),
)
ROWS = [("fp32", 1234.5678, (0.123456, 0.1, 0.2), None, "a"), ("int8", None, None, None, "b")]
TABLE = Table("Variants", COLUMNS, ROWS, "A note.")


def read(table):
    return list(csv.DictReader(io.StringIO(csv_text([table]), newline="")))


def terminal(table, **how):
    out = io.StringIO()
    Console(file=out, width=80).print(screen(table, **how))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_csv_has_raw_names_every_digit_and_nothing_for_unknown():
    assert read(TABLE) == [
        {"name": "fp32", "ttft_p90_ms": "1234.5678", "loss": "0.123456", "loss_low": "0.1",
         "loss_high": "0.2", "cost_usd": "", "run": "a"},
        {"name": "int8", "ttft_p90_ms": "", "loss": "", "loss_low": "", "loss_high": "",
         "cost_usd": "", "run": "b"},
    ]  # fmt: skip


def test_markdown_has_labels_units_and_rounded_figures():
    assert markdown([TABLE]).splitlines() == [
        "**Variants**",
        "",
        "|  | TTFT p90, ms | loss |",
        "| :-- | --: | --: |",
        "| fp32 | 1,235 | 0.12 (0.10 to 0.20) |",
        "| int8 | - | - |",
        "",
        "A note.",
    ]


def test_the_terminal_shows_the_cells_of_markdown_with_intervals_below():
    assert terminal(TABLE) == [
        "Variants",
        "      TTFT p90, ms       loss",
        "fp32         1,235       0.12",
        "                    0.10–0.20",
        "int8             -          -",
    ]


def test_a_sideways_table_is_turned_for_people_and_not_for_programs():
    turned = Table("", COLUMNS, ROWS, sideways=True)
    assert grid(turned).heads == ["", "fp32", "int8"]
    assert [cell.plain for cell in grid(turned).rows[0]] == ["TTFT p90, ms", "1,235", "-"]
    assert csv_text([turned]) == csv_text([TABLE])


def test_an_optional_column_is_shown_as_soon_as_one_row_has_it():
    rows = [(*ROWS[0][:3], 0.5, "a"), ROWS[1]]
    assert grid(Table("", COLUMNS, rows)).heads[-1] == "cost, USD"


NASTY = [
    "a,b", 'say "yes"', "two\nlines", "a\rreturn", "dos\r\nline", "a|b", r"a\|b", "<script>",
    "[x](javascript:y)", "`code`", "é·µ", "",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_a_name_comes_back_from_csv_as_it_was(text):
    table = Table("", (Column("name", "name"), Column("n", "n")), [(text, 1), ("after", 2)])
    assert read(table) == [{"name": text, "n": "1"}, {"name": "after", "n": "2"}]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_is_never_a_formula_of_a_spreadsheet_and_a_number_stays_one(text):
    table = Table("", (Column("name", "name"), Column("n", "n")), [(text, -1.5)])
    assert read(table) == [{"name": "'" + text, "n": "-1.5"}]


def test_a_flag_is_no_formula():
    table = Table("", (Column("from", "from"),), [("--target-qps",)])
    assert read(table) == [{"from": "--target-qps"}]


@pytest.mark.parametrize("text", NASTY)
def test_a_name_stays_in_its_cell_of_markdown(text):
    table = Table("", (Column("name", "name", words=True), Column("n", "n")), [(text, 1)])
    lines = markdown([table]).splitlines()
    assert len(lines) == 3
    unescaped = lines[2].replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 3
    assert "<script" not in unescaped.replace("\\<", "")
    assert "](" not in unescaped.replace("\\]", "")


def test_unseen_characters_become_marks_in_markdown():
    table = Table("", (Column("name", "name"),), [("\x1b[31mred\u202e",)])
    assert "⟨U+001B⟩\\[31mred⟨U+202E⟩" in markdown([table])


def test_markup_of_the_terminal_library_is_only_text():
    table = Table("", (Column("name", "[bold]name", words=True),), [("[red]x[/red]",)])
    assert terminal(table) == ["[bold]name", "[red]x[/red]"]


def test_tables_of_the_same_columns_are_one_csv():
    assert csv_text([TABLE, TABLE]).splitlines() == [
        *csv_text([TABLE]).splitlines(),
        *csv_text([TABLE]).splitlines()[1:],
    ]


# ---- groups, second values, parts

GROUPED = Table(
    "Gate",
    (
        Column("label", "", words=True),
        Column("ratio", "ratio", interval=True, group="Kept"),
        Column("keeps", "99 %", second="mlperf", words=True, toned=tone, group="Kept"),
        Column("n", "samples", group="Outputs"),
    ),
    [("bf16", (99.5, 99.0, 100.0), ("PASS", "FAIL"), 24), ("nf4", None, None, 24)],
    sideways=True,
)


def test_groups_of_columns_are_headed_rows_or_tables_of_their_own():
    assert [group for group, _ in grid(GROUPED).bodies] == ["Kept", "Outputs"]
    parts = by_group(GROUPED)
    assert list(parts) == ["Kept", "Outputs"]
    assert grid(parts["Outputs"]).heads == ["", "samples"]
    assert "| **Kept** |  |  |" in markdown([GROUPED])


def test_a_second_value_stands_small_for_people_and_in_a_column_for_programs():
    assert read(GROUPED)[0] == {
        "label": "bf16", "ratio": "99.5", "ratio_low": "99.0", "ratio_high": "100.0",
        "keeps": "PASS", "keeps_mlperf": "FAIL", "n": "24",
    }  # fmt: skip
    assert "PASS (FAIL)" in markdown([GROUPED])


@pytest.mark.parametrize(("width", "count"), [(20, 3), (80, 1)])
def test_a_table_too_wide_for_the_screen_comes_in_parts_that_fit(width, count):
    table = Table("", [Column("x", "", words=True), *(Column(f"c{i}", "a" * 9) for i in "123")],
                  [("row", 1, 2, 3)])  # fmt: skip
    out = io.StringIO()
    parts = screens(table, width)
    for part in parts:
        Console(file=out, width=width).print(part)
    assert len(parts) == count
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert out.getvalue().count("a" * 9) == 3


def test_a_page_shows_the_same_cells_with_their_tone_and_escapes_them():
    name = "<b>nf4"
    rows = [*GROUPED.rows[:1], (name, *GROUPED.rows[1][1:])]
    text = html.page("compare.html", **PARTS, table=Table("", GROUPED.columns, rows))
    assert '<span class="tone good"><bdi>PASS</bdi></span><small><bdi>FAIL</bdi></small>' in text
    assert "99.5<small><bdi>99 to 100</bdi></small>" in text
    assert "&lt;b&gt;nf4" in text
    assert '<a href="runs/bf16"><bdi>bf16</bdi></a>' in text


PARTS = {
    "found": {"comparable": True}, "subject": "s", "sentences": ["best"], "missing": [],
    "comparable": "yes", "links": {"bf16": "runs/bf16"}, "failed": Table("", (), []),
    "picture": {"svg": ""}, "details": {}, "headline": "", "tone": "", "best": [], "tested": [],
    "limits": Table("", (), []), "effects": Table("", (), []), "pictures": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "text"), [(1.0, 1.0, "exactly"), (None, 1.0, ""), (0.5, 1.25, "0.50 to 1.25")]
)
def test_an_interval_has_both_ends_to_one_place(low, high, text):
    assert between(low, high, lambda value: f"{value:g}") == text
