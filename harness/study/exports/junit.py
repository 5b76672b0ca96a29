"""How does a CI system read the verdicts? As JUnit XML: a test case for each run, for whether the
runs may be compared, and for each limit.

What fails the command is a failure, and what does not is none: a limit that is INCONCLUSIVE is
`skipped` where that is allowed.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from harness.kernel.texts import shown

Found = Mapping[str, Any]


class Case(NamedTuple):
    """A test case; `outcome` is failure, error, skipped or empty."""

    suite: str
    name: str
    outcome: str = ""
    kind: str = ""
    message: str = ""


def text(found: Found, lines: Mapping[str, str]) -> str:
    """Return the file; `lines` say for a label and limit ("int8 ttft_p99>+5%") what was found."""
    cases = list(_cases(found, lines))
    root = ET.Element("testsuites", _counts("harness compare", cases))
    for suite in dict.fromkeys(case.suite for case in cases):
        own = [case for case in cases if case.suite == suite]
        part = ET.SubElement(root, "testsuite", _counts(suite, own))
        for case in own:
            _add(part, case)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(name: str, cases: list[Case]) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {plural: str(outcomes.count(kind)) for plural, kind in kinds.items()}
    return {"name": shown(name), "tests": str(len(cases)), **counts}


def _add(suite: ET.Element, case: Case) -> None:
    about = {"classname": f"compare.{shown(case.suite)}", "name": shown(case.name)}
    element = ET.SubElement(suite, "testcase", about)
    if case.outcome:
        message = shown(case.message)
        ET.SubElement(element, case.outcome, {"type": case.kind, "message": message}).text = message


def _cases(found: Found, lines: Mapping[str, str]) -> Iterator[Case]:
    for row in found["rows"]:
        status = row["status"]
        outcome = {"VALID": "", "INVALID": "failure"}.get(status, "error")
        yield Case("runs", row["label"], outcome, status, f"{status}: {row['reason']}")
    is_fine, why = found["comparable"], "; ".join(found["differences"])
    yield Case("runs", "comparable", "" if is_fine else "failure", "NOT COMPARABLE", why)
    limits = found.get("limits") or {"terms": ()}
    for term in limits["terms"]:
        name = f"{term['label']} {term['limit']}"
        outcome = {"PASS": "", "FAIL": "failure"}.get(term["status"], "failure")
        if term["status"] == "INCONCLUSIVE" and limits["allow_inconclusive"]:
            outcome = "skipped"
        yield Case("limits", name, outcome, term["status"], lines.get(name, ""))
