"""What did the SUT do, or say, where nobody measures? Each verdict is about one way to gain by it.

UNTIMED prepare     answers made while the prompts were loaded, before the clock started
UNTIMED read_back   texts made while they were asked for, after it stopped
UNTIMED padding     tokens that decode to nothing, which count as tokens all the same
MEMORY as_seen      the peak that the SUT tells of, beside the one that the system saw
PROCESS own         a SUT in the driver's process can change what the driver noted
"""

from __future__ import annotations

from dataclasses import replace

from accuracy.compliance.audited import Audited
from accuracy.compliance.quality import LENGTH
from harness.kernel.types import Verdict

SHARE, LEAST_S = 0.10, 1.0  # of the run's duration; what takes less than a second is not doubted
TOLD = 0.90  # of the peak that the system saw: it is read a moment later
_GIB = 2**30


def untimed(run: Audited) -> list[Verdict]:
    """Judge the parts of a run outside its timed part."""
    return [
        _took(run, "prepare_s", "UNTIMED prepare", "the prompts were loaded", _load(run)),
        _took(run, "read_back_s", "UNTIMED read_back", "the texts and the memory were asked for"),
        _vocabulary(run),
        _padding(run),
        _memory(run),
        _process(run),
    ]


def _load(run: Audited) -> str:
    load_s = run.driver.get("load_s")
    return "" if load_s is None else f"; the first load took {load_s:.3g} s"


def _took(run: Audited, name: str, rule: str, what: str, more: str = "") -> Verdict:
    """Doubt work that takes a tenth of the run's own time."""
    took_s = run.driver.get(name)
    if took_s is None:
        return Verdict(rule, "SKIPPED", detail="nobody noted how long it took")
    duration_s = float(run.log.done_ns.max(initial=0)) / 1e9
    limit_s = max(SHARE * duration_s, LEAST_S)
    detail = f"{took_s:.3g} s while {what}, {duration_s:.4g} s timed{more}"
    found = Verdict(rule, "PASS", took_s, limit_s, "s", detail)
    if took_s <= limit_s:
        return found
    todo = "do the work of an answer between its query and its last token"
    return replace(found, status="UNDECIDED", remedy=todo)


def _vocabulary(run: Audited) -> Verdict:
    """Doubt ids whose meaning nobody heard before the run (`accuracy.outputs.vocabulary`)."""
    rule, committed = "UNTIMED vocabulary", run.driver.get("committed_ids")
    if committed is None:
        return Verdict(rule, "SKIPPED", detail="the SUT decodes no ids")
    if committed:
        detail = f"{committed:.0f} ids meant the same before the run and after it"
        return Verdict(rule, "PASS", detail=detail)
    detail = "the SUT decoded no id before the run, so its answers may have been written after it"
    todo = "decode any id from the first load on; one that is none of the vocabulary is empty"
    return Verdict(rule, "UNDECIDED", detail=detail, remedy=todo)


def _padding(run: Audited) -> Verdict:
    """Allow as much padding as TEST09 allows in length."""
    rule, silent = "UNTIMED padding", run.driver.get("silent_tokens")
    total = len(run.log.token_ids)
    if silent is None or not total:
        return Verdict(rule, "SKIPPED", detail="the SUT decodes no ids")
    share = silent / total
    detail = f"{silent:.0f} of {total} tokens decode to nothing"
    found = Verdict(rule, "PASS", 100 * share, 100 * LENGTH, "% of the tokens", detail)
    if share <= LENGTH:
        return found
    return replace(found, status="FAIL", remedy="return tokens that say something, then EOS")


def _memory(run: Audited) -> Verdict:
    rule, told = "MEMORY as_seen", run.memory.get("rss_peak_bytes")
    seen = run.memory.get("system_peak_bytes")
    if told is None or seen is None:
        return Verdict(rule, "SKIPPED", detail="told by the SUT, or seen by the system, alone")
    detail = f"the SUT tells of a peak of {told / _GIB:.3g} GiB, the system saw {seen / _GIB:.3g}"
    found = Verdict(rule, "PASS", told / _GIB, TOLD * seen / _GIB, "GiB", detail)
    if told >= TOLD * seen:
        return found
    return replace(found, status="FAIL", remedy="tell of the peak that the system has booked")


def _process(run: Audited) -> Verdict:
    if not run.in_process:
        return Verdict("PROCESS own", "PASS", detail="the SUT could not reach the driver's memory")
    words = "the SUT ran in the driver's process, and can change what the driver noted"
    return Verdict("PROCESS own", "UNDECIDED", detail=words, remedy="run without --in-process")
