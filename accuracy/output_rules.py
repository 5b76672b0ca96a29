"""Did the SUT produce what it claims? Rules on what came out, checked on every run of every SUT.

MLPerf's TEST06 samples 100 outputs, looks at trailing EOS only and accepts an empty first token; these rules look at every
token of every sample and name the sample and the position. A rule that cannot apply is SKIPPED and says why.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.types import RunLog, SutFacts, Verdict

_NAMED = 5


def samples_complete(log: RunLog, facts: SutFacts) -> Verdict:
    """Every issued sample came back, none failed."""
    bad = np.flatnonzero(~log.completed)
    reason = ""
    if len(bad):
        never_ended = int((log.done_ns[bad] < 0).sum())
        i = int(bad[0])
        reason = f"{len(bad)} of {len(log)}: sample {i} {log.errors.get(i, 'was still open at the end')}"
        reason += f"; {never_ended} still open" if never_ended > 1 else ""
    return _verdict("samples_complete", bad, reason or f"all {len(log)} completed", "see the reason; raise --sample-timeout")


def events_in_order(log: RunLog, facts: SutFacts) -> Verdict:
    """No event for an unknown sample, none after completion, no tokens before the first one."""
    strays = [a for a in log.anomalies if a.kind not in ("stream_differs", "after_failure")]
    ids = np.array(sorted({a.sample_id for a in strays}), np.int64)
    detail = f"sample {strays[0].sample_id}: {strays[0].detail}" if strays else "none stray, repeated, early"
    return _verdict("events_in_order", ids, detail, "report each sample once: first token, tokens, completion")


def first_token(log: RunLog, facts: SutFacts) -> Verdict:
    """The token that stopped the TTFT clock is the first token of the final output, and the stream is that output."""
    streams = {a.sample_id: a.detail for a in log.anomalies if a.kind == "stream_differs"}
    if not log.tokens.any() and not streams:
        return Verdict("first_token", "SKIPPED", detail="the SUT returned no tokens")
    counted = np.diff(log.token_start)
    some = np.flatnonzero(log.completed & (counted > 0))
    final_first = log.token_ids[log.token_start[some]]
    never = some[log.first_ns[some] < 0]
    differs = some[(log.first_ns[some] >= 0) & (final_first != log.first_token[some])]
    bad = np.unique(np.concatenate((never, differs, np.array(sorted(streams), np.int64)))).astype(np.int64)
    detail = "first of its output"
    if len(bad):
        i = int(bad[0])
        detail = f"sample {i}: " + (
            "no first token was reported"
            if log.first_ns[i] < 0
            else streams.get(i) or f"position 0: reported {log.first_token[i]}, final {log.record(i).token_ids[0]}"
        )
    return _verdict("first_token", bad, detail, "stamp the token you return, not another one")


def eos(log: RunLog, facts: SutFacts) -> Verdict:
    """End-of-sequence at most once, only last, and the finish reason says so."""
    eos_ids = facts.get("eos_ids") or []
    if not eos_ids or not len(log.token_ids):
        return Verdict("eos", "SKIPPED", detail="the SUT named no EOS id" if len(log.token_ids) else "no token ids")
    owner = np.repeat(np.arange(len(log)), np.diff(log.token_start))
    position = np.arange(len(log.token_ids)) - log.token_start[owner]
    is_last = position == np.diff(log.token_start)[owner] - 1
    is_eos = np.isin(log.token_ids, eos_ids)
    early = is_eos & ~is_last
    ends_in_eos = np.zeros(len(log), np.bool_)
    ends_in_eos[owner[is_eos & is_last]] = True
    has_ids = np.diff(log.token_start) > 0
    wrong_reason = log.completed & has_ids & ((log.finish == 1) != ends_in_eos)
    bad = np.union1d(owner[early], np.flatnonzero(wrong_reason))
    detail = "at most one, always last"
    if early.any():
        k = int(np.flatnonzero(early)[0])
        detail = f"sample {owner[k]}: EOS {log.token_ids[k]} at position {position[k]} is not the last token"
    elif len(bad):
        detail = f"sample {bad[0]}: finish reason {log.record(int(bad[0])).finish!r} does not agree with its last token"
    return _verdict("eos", bad, detail, "end the output at the first EOS and report finish 'eos' only there")


def token_count(log: RunLog, facts: SutFacts) -> Verdict:
    """The reported number of tokens is the number of ids returned."""
    counted = np.diff(log.token_start)
    claims = log.completed & (log.reported_tokens >= 0) & (counted > 0)
    if not claims.any():
        return Verdict("token_count", "SKIPPED", detail="the SUT reported no counts, or sent no ids to count")
    bad = np.flatnonzero(claims & (log.reported_tokens != counted))
    detail = f"{int(claims.sum())} counts agree with the ids"
    if len(bad):
        i = int(bad[0])
        detail = f"sample {i}: reported {log.reported_tokens[i]} tokens, sent {counted[i]}"
    return _verdict("token_count", bad, detail, "count the ids you return")


def _verdict(rule: str, bad: NDArray[np.int64], detail: str, remedy: str) -> Verdict:
    return Verdict(
        rule=rule,
        status="FAIL" if len(bad) else "PASS",
        measured=len(bad),
        limit=0,
        unit="faulty",
        detail=detail,
        evidence=tuple(int(i) for i in bad[:_NAMED]),
        remedy=remedy if len(bad) else "",
    )
