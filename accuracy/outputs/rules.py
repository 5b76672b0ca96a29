"""Did the SUT produce what it claims? Rules on what came out, checked on every run of every SUT.

MLPerf's TEST06 samples 100 outputs, looks at trailing EOS only and accepts an empty first token;
these rules look at every token of every sample and name the sample and the position. A rule that
cannot apply is SKIPPED and says why.

`facts` are what the SUT says of itself (`eos_ids`) and what the run adds to it: `max_new_tokens`,
the limit it was given (a number, or one by index), `texts_from`, see `accuracy.outputs.texts`, and
`evidence`: which of ids, counts and text this SUT may send (all of them if it is not there). A rule
on what it never sends is SKIPPED, even where a vacuous PASS would be as true.

TOGETHER_NS and MOST_AT_ONCE are the thresholds of `streamed`. Tokens up to 50 us apart came
together: one request would have to be decoded at 20,000 tokens/s. A step gives 1 token, with
speculation 4 or so, and servers that save messages gather 10; 16 at a time is no stream. The least
tail that a run is judged by is p90, so whoever fakes the first token of fewer than FAKED_SHARE of
the answers gains nothing there; and an honest run would have to stand still for that share of its
time. Fewer, but more than p99 leaves out (DOUBTED_SHARE), are UNDECIDED: a pause of the machine can
do that.
"""

from __future__ import annotations

from functools import wraps

import numpy as np
from numpy.typing import NDArray

from harness.kernel.endings import to_finish
from harness.kernel.entries import ALL_EVIDENCE
from harness.kernel.protocols import Rule
from harness.kernel.types import FINISHES, NEVER, Int64s, RunLog, SutFacts, Verdict

TOGETHER_NS = 50_000
MOST_AT_ONCE = 16  # tokens, in the mean of an answer
FAKED_SHARE, DOUBTED_SHARE = 0.10, 0.01
TEXT_DIFFERS = "text_differs"  # the kind of an Anomaly

_NAMED = 5
_CUT = FINISHES.index("length")
_OF_OTHER_RULES = ("stream_differs", "after_failure", TEXT_DIFFERS)


def _skipped_without_ids(rule: Rule) -> Rule:
    """Skip a rule on token ids where the SUT sends none."""

    @wraps(rule)
    def judged(log: RunLog, facts: SutFacts) -> Verdict:
        if "ids" not in facts.get("evidence", ALL_EVIDENCE):
            return Verdict(rule.__name__, "SKIPPED", detail="the SUT sends no ids")
        return rule(log, facts)

    return judged


def samples_complete(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that every issued sample came back, none failed."""
    bad = np.flatnonzero(~log.completed)
    reason = ""
    if len(bad):
        never_ended = int((log.done_ns[bad] < 0).sum())
        i = int(bad[0])
        reason = (
            f"{len(bad)} of {len(log)}: sample {i} {log.errors.get(i, 'was still open at the end')}"
        )
        reason += f"; {never_ended} still open" if never_ended > 1 else ""
    return _verdict(
        "samples_complete",
        bad,
        reason or f"all {len(log)} completed",
        to_finish(log, failed="see the system's own reason, and sut.log"),
    )


def events_in_order(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that there is no event for an unknown sample, none after completion, no tokens before
    the first one.
    """
    strays = [a for a in log.anomalies if a.kind not in _OF_OTHER_RULES]
    ids = np.array(sorted({a.sample_id for a in strays}), np.int64)
    detail = "no stray, repeated or premature events"
    if strays:
        i, kind, words = strays[0]
        early = kind == "unknown_sample" and 0 <= i < len(log)
        detail = f"sample {i}: " + (
            words.replace("a sample that was never issued", "it came before its query")
            if early
            else words
        )
    return _verdict(
        "events_in_order", ids, detail, "report each sample once: first token, tokens, completion"
    )


@_skipped_without_ids
def first_token(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that the token that stopped the TTFT clock is the first token of the final output, and
    the stream is that output.
    """
    streams = {a.sample_id: a.detail for a in log.anomalies if a.kind == "stream_differs"}
    if not log.tokens.any() and not streams:
        return Verdict("first_token", "SKIPPED", detail="the SUT returned no tokens")
    counted = np.diff(log.token_start)
    some = np.flatnonzero(log.completed & (counted > 0))
    final_first = log.token_ids[log.token_start[some]]
    never = some[log.first_ns[some] < 0]
    differs = some[(log.first_ns[some] >= 0) & (final_first != log.first_token[some])]
    bad = np.unique(np.concatenate((never, differs, np.array(sorted(streams), np.int64)))).astype(
        np.int64
    )
    detail = "each is the first token of its output"
    if len(bad):
        i = int(bad[0])
        detail = f"sample {i}: " + (
            "no first token was reported"
            if log.first_ns[i] < 0
            else streams.get(i)
            or f"position 0: reported {log.first_token[i]}, final {log.record(i).token_ids[0]}"
        )
    return _verdict(
        "first_token",
        bad,
        detail,
        "report the first token of the output you return, not another one",
    )


@_skipped_without_ids
def eos(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that end-of-sequence comes at most once, only last, and the finish reason says so."""
    eos_ids = facts.get("eos_ids") or []
    if not eos_ids or not len(log.token_ids):
        return Verdict(
            "eos",
            "SKIPPED",
            detail="the SUT names no EOS token" if len(log.token_ids) else "no token ids",
        )
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
    detail = "at most one per answer, always last"
    if early.any():
        k = int(np.flatnonzero(early)[0])
        detail = (
            f"sample {owner[k]}: EOS {log.token_ids[k]} at position {position[k]} is not the last"
            " token"
        )
    elif len(bad):
        record = log.record(int(bad[0]))
        last = f"{record.token_ids[-1]} at position {len(record.token_ids) - 1}"
        detail = (
            f"sample {bad[0]}: finish reason {record.finish!r} does not agree with its last token,"
            f" {last}"
        )
    return _verdict(
        "eos", bad, detail, "end the output at the first EOS and report finish 'eos' only there"
    )


@_skipped_without_ids
def token_count(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that the reported number of tokens is the number of ids returned."""
    counted = np.diff(log.token_start)
    claims = log.completed & (log.reported_tokens >= 0) & (counted > 0)
    if not claims.any():
        return Verdict(
            "token_count",
            "SKIPPED",
            detail="the SUT reported no counts, or sent no ids to compare them with",
        )
    bad = np.flatnonzero(claims & (log.reported_tokens != counted))
    detail = f"{int(claims.sum())} reported counts match the ids"
    if len(bad):
        i = int(bad[0])
        detail = f"sample {i}: reported {log.reported_tokens[i]} tokens, sent {counted[i]}"
    return _verdict("token_count", bad, detail, "count the ids you return")


def times_in_order(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that nothing came back before its query was issued, no token after completion."""
    last_ns = np.full(len(log), NEVER, np.int64)
    streamed = np.diff(log.stamp_start) > 0
    last_ns[streamed] = log.stamp_ns[log.stamp_start[1:][streamed] - 1]
    last_ns = np.maximum(last_ns, log.first_ns)
    moments = {"first token": log.first_ns, "completion": log.done_ns}
    early = {name: (at_ns != NEVER) & (at_ns < log.issued_ns) for name, at_ns in moments.items()}
    late = (last_ns != NEVER) & (log.done_ns != NEVER) & (last_ns > log.done_ns)
    bad = np.flatnonzero(early["first token"] | early["completion"] | late)
    detail = "each was issued, then answered, then completed"
    if len(bad):
        i = int(bad[0])
        name = next((name for name, seen in early.items() if seen[i]), "")
        by_ns = log.issued_ns[i] - moments[name][i] if name else last_ns[i] - log.done_ns[i]
        detail = f"sample {i}: " + (f"its {name} came" if name else "its last token came")
        detail += f" {by_ns / 1e6:.4g} ms " + (
            "before its query was issued" if name else "after its completion"
        )
    return _verdict(
        "times_in_order",
        bad,
        detail,
        "answer a query only after it was issued, and report its completion last",
    )


def not_empty(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that every completed answer begins with a token; where a SUT sends no ids at all, it
    has text or a count.
    """
    done, has_ids = log.completed, np.diff(log.token_start) > 0
    remedy = "answer with at least one token, and report that one first"
    if not has_ids.any():
        has_text = np.array([bool(log.texts.get(i)) for i in range(len(log))], np.bool_)
        if not has_text.any() and not (log.reported_tokens > 0).any():
            return Verdict("not_empty", "SKIPPED", detail="the SUT returned nothing at all")
        bad = np.flatnonzero(done & ~has_text & (log.reported_tokens <= 0))
        detail = (
            f"sample {bad[0]}: no ids, no text, no count"
            if len(bad)
            else "all have text or a count; no ids to see"
        )
        return _verdict("not_empty", bad, detail, remedy)
    begins = np.full(len(log), NEVER, np.int64)
    begins[has_ids] = log.token_ids[log.token_start[:-1][has_ids]]
    bad = np.flatnonzero(done & ((begins < 0) | ((log.first_ns >= 0) & (log.first_token < 0))))
    detail = "every answer begins with a token"
    if len(bad):
        i = int(bad[0])
        tokens = (
            f"first token {log.first_token[i]}, final {begins[i]}"
            if has_ids[i]
            else "completed without any token"
        )
        detail = f"sample {i}: position 0: {tokens}"
    return _verdict("not_empty", bad, detail, remedy)


def length_limit(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that an answer that ends for its length has reached the limit, and none exceeds it."""
    limit, tokens = limits(log, facts), log.tokens
    done = log.completed & (tokens > 0)
    if limit is None or not done.any():
        words = _why_uncounted(facts) if limit is not None else "no limit is known"
        return Verdict("length_limit", "SKIPPED", detail=words)
    cut, over = done & (log.finish == _CUT) & (tokens < limit), done & (tokens > limit)
    bad = np.flatnonzero(cut | over)
    detail = "no answer exceeds the limit"
    if len(bad):
        i = int(bad[0])
        how = "ends with reason 'length'" if cut[i] else "continues"
        detail = (
            f"sample {i}: {how} at position {min(tokens[i], limit[i])}, the limit is {limit[i]}"
            " tokens"
        )
    return _verdict(
        "length_limit", bad, detail, "generate to EOS or to --max-new-tokens, as the reference does"
    )


def _why_uncounted(facts: SutFacts) -> str:
    has_counts = not {"ids", "counts"}.isdisjoint(facts.get("evidence", ALL_EVIDENCE))
    return "no tokens were counted" if has_counts else "the SUT sends no ids and no counts"


def limits(log: RunLog, facts: SutFacts) -> Int64s | None:
    """Return (n,) the most tokens that each answer may have; None if nobody says."""
    given = facts.get("max_new_tokens")
    if isinstance(given, dict):
        return np.array([given[index] for index in log.index.tolist()], np.int64)
    return None if given is None else np.full(len(log), given, np.int64)


def streamed(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that no first token runs ahead of an answer that then comes all at once: TTFT would
    measure a token, and no model.
    """
    rest = np.diff(log.stamp_start) - 1
    judged = log.completed & (rest > MOST_AT_ONCE)
    count = int(judged.sum())
    if not count:
        return Verdict(
            "streamed",
            "SKIPPED",
            detail=f"no answer has more than {MOST_AT_ONCE + 1} streamed {_pieces(facts)}s",
        )
    owner = np.repeat(np.arange(len(log)), rest + 1)
    apart = (owner[1:] == owner[:-1]) & (np.diff(log.stamp_ns) > TOGETHER_NS)
    arrivals = np.bincount(owner[1:][apart], minlength=len(log))  # after that of the first token
    bad = np.flatnonzero(judged & (arrivals > 0) & (rest > MOST_AT_ONCE * arrivals))
    whole = int((judged & (arrivals == 0)).sum())
    detail = (
        f"{whole} of {count} answers arrived all at once, so their TPOT says nothing"
        if whole
        else f"{count} arrived {_pieces(facts)} by {_pieces(facts)}"
    )
    if len(bad):
        detail = f"{len(bad)} of {count} answers arrived in bursts: " + _lump(
            log, int(bad[0]), int(arrivals[bad[0]])
        )
    doubted = len(bad) > DOUBTED_SHARE * count
    return Verdict(
        rule="streamed",
        status="FAIL" if len(bad) > FAKED_SHARE * count else "UNDECIDED" if doubted else "PASS",
        measured=len(bad),
        limit=int(FAKED_SHARE * count),
        unit="in bursts",
        detail=detail,
        evidence=tuple(bad[:_NAMED].tolist()) if doubted else (),
        remedy="report each token when it is generated, the first one included" if doubted else "",
    )


def _pieces(facts: SutFacts) -> str:
    """Return what a stream is made of."""
    return "token" if "ids" in facts.get("evidence", ALL_EVIDENCE) else "piece"


def _lump(log: RunLog, i: int, arrivals: int) -> str:
    """Return the longest wait in an answer, and what came after it."""
    record = log.record(i)
    gaps_ns = np.diff(record.chunk_ns)
    at = int(np.argmax(gaps_ns)) + 1
    token = f" (token {record.token_ids[at]})" if at < len(record.token_ids) else ""
    waited = f"position {at}{token} came {gaps_ns[at - 1] / 1e6:.4g} ms after the one before it"
    return (
        f"sample {i}: {len(gaps_ns)} tokens in {arrivals} burst{'s' * (arrivals > 1)} after the"
        f" first; {waited}"
    )


@_skipped_without_ids
def text(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that the text that is scored is the decoding of the ids that were timed."""
    differing = [a for a in log.anomalies if a.kind == TEXT_DIFFERS]
    if not differing and facts.get("texts_from") != "ids":
        words = (
            "the SUT cannot decode its ids: its own texts are scored"
            if log.texts
            else "there are no texts"
        )
        return Verdict("text", "SKIPPED", detail=words)
    bad = np.array(sorted({a.sample_id for a in differing}), np.int64)
    detail = (
        f"sample {differing[0].sample_id}: {differing[0].detail}"
        if differing
        else f"{len(log.texts)} texts decoded from the ids"
    )
    return _verdict("text", bad, detail, "send the text of the ids you return, or none")


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
