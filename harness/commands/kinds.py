"""Which kind of study is in this folder, and how does each kind go on?

A kind is a row: how it measures what is left, how a row and the whole are shown, and which exit
code follows. A search and a submission are shown as the runs they are. A measurement of perplexity
keeps its parts in a way of its own, text by text, and an evaluation variant by variant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.evaluators import evaluate, record, shown, unfinished
from harness.judging import judge
from harness.kernel.errors import BadInput
from harness.kernel.foreign.consent import Consent, Wish, require
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.protocols import Say
from harness.likelihood import study as laboratory
from harness.mlperf import looks
from harness.options.saved import wishes, with_secrets
from harness.study import parts
from harness.study.comparison import compare
from harness.study.decide import decide
from harness.study.family import family
from harness.study.gating import gate
from harness.study.study import FILE, Study, load
from harness.study.sweep import sweep
from reports import tables
from reports.pages import compare as compare_page
from reports.pages import evaluation as evaluation_page
from reports.pages import gate as gate_page
from reports.pages import judge as judge_page
from reports.pages.comparison.columns import table as comparison_table
from reports.pages.decide import page as decide_page
from reports.pages.family import page as family_page
from reports.pages.likelihood import screen as likelihood_page
from reports.pages.sweep import page as sweep_page
from reports.terminal import show_audit, show_result

Found = dict[str, Any]


class Kind(NamedTuple):
    """See the first lines of this file."""

    go_on: Callable[..., tuple[Found, Path]]  # (study, say, told)
    told: Callable[[Found], Any]
    show: Callable[..., None]  # (found, place, console, tables)
    table: Callable[[Found], Any]
    exit_code: Callable[[Found], int]


def _measure(asked: tuple[Path, Consent], say: Say, told: Any) -> tuple[Found, Path]:
    place, consent = asked
    flags = {"trust_remote_code": consent.remote_code or None}
    return laboratory.measure(flags, place, say, consent.everything)


def _show_audit(found: Found, place: Path, console: Any, tables: bool) -> None:
    show_audit(found, console)


_OF_A_RUN = Kind(parts.go_on, str, show_result, tables.record, parts.exit_code)
KINDS = {
    compare.KIND: Kind(
        compare.go_on, compare_page.told, compare_page.show, comparison_table, compare.exit_code
    ),
    sweep.KIND: Kind(
        sweep.go_on, sweep_page.told, sweep_page.show, sweep_page.table, sweep.exit_code
    ),
    gate.KIND: Kind(gate.go_on, gate_page.told, gate_page.show, tables.of_gate, gate.exit_code),
    decide.KIND: Kind(
        decide.go_on, decide_page.told, decide_page.show, decide_page.table, decide.exit_code
    ),
    **dict.fromkeys(parts.KINDS, _OF_A_RUN),
    looks.KIND: Kind(looks.go_on, str, _show_audit, tables.of_audit, looks.exit_code),
}
PERPLEXITY = Kind(
    _measure,
    str,
    laboratory.show,
    likelihood_page.table,
    laboratory.exit_code,
)
EVALUATION = Kind(evaluate.go_on, evaluation_page.told, shown.show, shown.table, evaluate.exit_code)


def _never(_: Any, say: Say, told: Any) -> tuple[Found, Path]:
    """Go on with what is whole: nobody gets here, since it has no study.json."""
    raise ValueError("a family, or what judges say, has nothing to go on with")


FAMILY = Kind(_never, str, family_page.show, family_page.table, family.exit_code)
JUDGE = Kind(_never, str, judge_page.show, judge_page.table, judge.exit_code)


def what(folder: Path, consent: Consent, options: Mapping[str, Any]) -> tuple[Kind, Any]:
    """Return the kind of a folder and what it goes on with. Raises BadInput if it is no study, or
    one that names what the user has not consented to. `options` of the SUT are those left out.
    """
    check_folder(folder, hard_links=False)
    if (folder / "texts.parquet").is_file():
        return PERPLEXITY, (folder, consent)
    if (folder / record.FILE).is_file():
        return EVALUATION, unfinished.unfinished(folder, consent, options)
    study = load(folder, tuple(KINDS))
    asked = [wish for cell in study.cells for wish in wishes(cell.config)]
    others = study.read(lambda saved: [str(other) for other in saved.get("others", ())])
    asked += [Wish(f"the run {other}", "place") for other in others]
    doing = f"resuming {folder}"
    require(doing, folder / FILE, asked, consent)
    study.cells = [
        cell._replace(config=with_secrets(cell.config, options, doing)) for cell in study.cells
    ]
    return KINDS[study.kind], study


def move(study: Any, executor: str) -> None:
    """Let a study go on elsewhere. Raises BadInput for what can only go on here."""
    if not isinstance(study, Study):
        fine = "a perplexity measurement and an evaluation go on here"
        raise BadInput(f"--executor {executor}", "it is for runs", fine, "Leave it out.")
    study.arguments = {**study.arguments, "executor": executor}
