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

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.answers import failures_allowed
from harness.kernel.entries import ALL_EVIDENCE
from harness.kernel.log import Anomaly, RunLog
from harness.kernel.protocols import Rule
from harness.kernel.types import FINISHES, NEVER, TOGETHER_NS, Int64s, SutFacts, Verdict
from harness.kernel.words.endings import to_finish

MOST_AT_ONCE = 16  # tokens, in the mean of an answer
FAKED_SHARE, DOUBTED_SHARE = 0.10, 0.01
TEXT_DIFFERS = "text_differs"  # the kind of an Anomaly

_NAMED = 5
_NAMES = {"_all_complete": "samples_complete"}  # of checks that are part of a rule
_EOS, _CUT = FINISHES.index("eos"), FINISHES.index("length")
_STREAM = "report each token when it is generated, the first one included"
_ANSWER = "answer with at least one token, and report that one first"
_OF_OTHER_RULES = ("stream_differs", "after_failure", TEXT_DIFFERS)


class Faults(NamedTuple):
    """The samples at fault, what was seen, and what to do where there are any."""

    ids: NDArray[Any]
    detail: str
    remedy: str


Check = Callable[[RunLog, SutFacts], Faults | str]


def _rule(check: Check) -> Rule:
    """Make a rule of a check, which returns the samples at fault, or why it does not apply."""

    name = _NAMES.get(check.__name__, check.__name__)

    @wraps(check)
    def rule(log: RunLog, facts: SutFacts) -> Verdict:
        found = check(log, facts)
        if isinstance(found, str):
            return Verdict(name, "SKIPPED", detail=found)
        count, evidence = len(found.ids), tuple(int(i) for i in found.ids[:_NAMED])
        if count:
            blamed = evidence, found.remedy
            return Verdict(name, "FAIL", count, 0, "faulty", found.detail, *blamed)
        return Verdict(name, "PASS", 0, 0, "faulty", found.detail)

    return rule


def _rule_on_ids(check: Check) -> Rule:
    """Make a rule that is SKIPPED where the SUT sends no token ids."""

    @wraps(check)
    def with_ids(log: RunLog, facts: SutFacts) -> Faults | str:
        if "ids" not in facts.get("evidence", ALL_EVIDENCE):
            return "the SUT sends no ids"
        return check(log, facts)

    return _rule(with_ids)


def samples_complete(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that every issued sample came back, none failed; of a server, no more than the error
    budget allows.
    """
    verdict = _all_complete(log, facts)
    allowed = failures_allowed(facts.get("error_budget", 0.0), len(log))
    if allowed == 0 or verdict.measured is None:
        return verdict
    words = f"{verdict.detail} (the error budget allows {allowed})"
    if verdict.measured > allowed:
        return replace(verdict, limit=allowed, detail=words)
    return Verdict("samples_complete", "PASS", verdict.measured, allowed, "faulty", words)


@_rule
def _all_complete(log: RunLog, facts: SutFacts) -> Faults | str:
    bad = np.flatnonzero(~log.completed)
    detail = f"all {len(log)} completed"
    if len(bad):
        i, open_ = int(bad[0]), int((log.done_ns[bad] < 0).sum())
        how = log.errors.get(i, "was still open at the end")
        detail = f"{len(bad)} of {len(log)}{_by_class(log)}: sample {i} {how}"
        detail += f"; {open_} still open" if open_ > 1 else ""
    todo = to_finish(log, failed="see the system's own reason, and sut.log")
    return Faults(bad, detail, todo)


def _by_class(log: RunLog) -> str:
    """Return how many failed in which way, where that is known."""
    counts = Counter(log.failures.values()).most_common()
    words = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts)
    return f" ({words})" if words else ""


@_rule
def events_in_order(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that there is no event for an unknown sample, none after completion, no tokens before
    the first one.
    """
    strays = [a for a in log.anomalies if a.kind not in _OF_OTHER_RULES]
    detail = "no stray, repeated or premature events"
    if strays:
        i, kind, words = strays[0]
        if kind == "unknown_sample" and 0 <= i < len(log):
            words = words.replace("a sample that was never issued", "it came before its query")
        detail = f"sample {i}: {words}"
    todo = "report each sample once: first token, tokens, completion"
    return Faults(_samples_of(strays), detail, todo)


def _samples_of(anomalies: Iterable[Anomaly]) -> Int64s:
    return np.array(sorted({anomaly.sample_id for anomaly in anomalies}), np.int64)


@_rule_on_ids
def first_token(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that the token that stopped the TTFT clock is the first token of the final output, and
    the stream is that output.
    """
    streams = {a.sample_id: a.detail for a in log.anomalies if a.kind == "stream_differs"}
    if not log.tokens.any() and not streams:
        return "the SUT returned no tokens"
    some = np.flatnonzero(log.completed & (np.diff(log.token_start) > 0))
    final_first = log.token_ids[log.token_start[some]]
    never = log.first_ns[some] < 0
    wrong = some[never | (final_first != log.first_token[some])]
    bad = np.union1d(wrong, np.array(sorted(streams), np.int64))
    detail = "each is the first token of its output"
    if len(bad):
        i = int(bad[0])
        if log.first_ns[i] < 0:
            words = "no first token was reported"
        elif i in streams:
            words = streams[i]
        else:
            final = log.record(i).token_ids[0]
            words = f"position 0: reported {log.first_token[i]}, final {final}"
        detail = f"sample {i}: {words}"
    todo = "report the first token of the output you return, not another one"
    return Faults(bad, detail, todo)


@_rule_on_ids
def eos(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that end-of-sequence comes at most once, only last, and the finish reason says so."""
    eos_ids = facts.get("eos_ids") or []
    if not len(log.token_ids):
        return "no token ids"
    if not eos_ids:
        return "the SUT names no EOS token"
    counted = np.diff(log.token_start)
    has_ids = counted > 0
    is_eos = np.isin(log.token_ids, eos_ids)
    ends = log.token_start[1:][has_ids] - 1
    ends_in_eos = np.zeros(len(log), np.bool_)
    ends_in_eos[has_ids] = is_eos[ends]
    is_eos[ends] = False
    early = np.flatnonzero(is_eos)
    owner = np.searchsorted(log.token_start, early, "right") - 1
    is_bad = log.completed & has_ids & ((log.finish == _EOS) != ends_in_eos)
    is_bad[owner] = True
    bad = np.flatnonzero(is_bad)
    detail = "at most one per answer, always last"
    if len(early):
        position = early[0] - log.token_start[owner[0]]
        detail = f"sample {owner[0]}: EOS {log.token_ids[early[0]]} at position {position}"
        detail += " is not the last token"
    elif len(bad):
        record = log.record(int(bad[0]))
        last = f"{record.token_ids[-1]} at position {len(record.token_ids) - 1}"
        detail = f"sample {bad[0]}: finish reason {record.finish!r} does not agree with its last"
        detail += f" token, {last}"
    todo = "end the output at the first EOS and report finish 'eos' only there"
    return Faults(bad, detail, todo)


@_rule_on_ids
def token_count(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that the reported number of tokens is the number of ids returned."""
    counted = np.diff(log.token_start)
    claims = log.completed & (log.reported_tokens >= 0) & (counted > 0)
    if not claims.any():
        return "the SUT reported no counts, or sent no ids to compare them with"
    bad = np.flatnonzero(claims & (log.reported_tokens != counted))
    detail = f"{int(claims.sum())} reported counts match the ids"
    if len(bad):
        i = int(bad[0])
        detail = f"sample {i}: reported {log.reported_tokens[i]} tokens, sent {counted[i]}"
    return Faults(bad, detail, "count the ids you return")


@_rule
def times_in_order(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that nothing came back before its query was issued, no token after completion."""
    last_ns = np.full(len(log), NEVER, np.int64)
    streamed = np.diff(log.stamp_start) > 0
    last_ns[streamed] = log.stamp_ns[log.stamp_start[1:][streamed] - 1]
    last_ns = np.maximum(last_ns, log.first_ns)
    faults = {}  # what came when it must not -> by how much, above 0
    for name, at_ns in (("first token", log.first_ns), ("completion", log.done_ns)):
        by_ns = np.where(at_ns != NEVER, log.issued_ns - at_ns, 0)
        faults[f"its {name} came {{}} ms before its query was issued"] = by_ns
    both = (last_ns != NEVER) & (log.done_ns != NEVER)
    faults["its last token came {} ms after its completion"] = np.where(
        both, last_ns - log.done_ns, 0
    )
    bad = np.flatnonzero(np.max(list(faults.values()), axis=0) > 0)
    detail = "each was issued, then answered, then completed"
    if len(bad):
        i = int(bad[0])
        words, by_ns = next((words, by_ns) for words, by_ns in faults.items() if by_ns[i] > 0)
        detail = f"sample {i}: {words.format(f'{by_ns[i] / 1e6:.4g}')}"
    todo = "answer a query only after it was issued, and report its completion last"
    return Faults(bad, detail, todo)


@_rule
def not_empty(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that every completed answer begins with a token; where a SUT sends no ids at all, it
    has text or a count.
    """
    has_ids = np.diff(log.token_start) > 0
    if not has_ids.any():
        return _not_empty_without_ids(log, facts)
    begins = np.full(len(log), NEVER, np.int64)
    begins[has_ids] = log.token_ids[log.token_start[:-1][has_ids]]
    unknown_first = (log.first_ns >= 0) & (log.first_token < 0)
    bad = np.flatnonzero(log.completed & ((begins < 0) | unknown_first))
    detail = "every answer begins with a token"
    if len(bad):
        i, words = int(bad[0]), "completed without any token"
        if has_ids[i]:
            words = f"first token {log.first_token[i]}, final {begins[i]}"
        detail = f"sample {i}: position 0: {words}"
    return Faults(bad, detail, _ANSWER)


def _not_empty_without_ids(log: RunLog, facts: SutFacts) -> Faults | str:
    has_text = np.array([bool(log.texts.get(i)) for i in range(len(log))], np.bool_)
    has_any = has_text | (log.reported_tokens > 0)
    may_answer = bool(facts.get("evidence")) and log.completed.any()
    if not has_any.any() and not may_answer:
        return "the SUT returned nothing at all"
    bad = np.flatnonzero(log.completed & ~has_any)
    detail = "all have text or a count; no ids to see"
    if len(bad):
        detail = f"sample {bad[0]}: no ids, no text, no count"
    return Faults(bad, detail, _ANSWER)


@_rule
def length_limit(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that an answer that ends for its length has reached the limit, and none exceeds it."""
    limit, tokens = limits(log, facts), log.tokens
    done = log.completed & (tokens > 0)
    if limit is None:
        return "no limit is known"
    if not done.any():
        return _why_uncounted(facts)
    is_short = (tokens < limit) & (not facts.get("own_limits", False))  # theirs are not known here
    cut, over = done & (log.finish == _CUT) & is_short, done & (tokens > limit)
    bad = np.flatnonzero(cut | over)
    detail = "no answer exceeds the limit"
    if len(bad):
        i = int(bad[0])
        how = "ends with reason 'length'" if cut[i] else "continues"
        detail = f"sample {i}: {how} at position {min(tokens[i], limit[i])}"
        detail += f", the limit is {limit[i]} tokens"
    todo = "generate to EOS or to --max-new-tokens, as the reference does"
    return Faults(bad, detail, todo)


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
    rest, piece = np.diff(log.stamp_start) - 1, _piece(facts)
    judged = log.completed & (rest > MOST_AT_ONCE)
    count = int(judged.sum())
    if not count:
        words = f"no answer has more than {MOST_AT_ONCE + 1} streamed {piece}s"
        return Verdict("streamed", "SKIPPED", detail=words)
    owner = np.repeat(np.arange(len(log)), rest + 1)
    apart = (owner[1:] == owner[:-1]) & (np.diff(log.stamp_ns) > TOGETHER_NS)
    arrivals = np.bincount(owner[1:][apart], minlength=len(log))  # after that of the first token
    bad = np.flatnonzero(judged & (arrivals > 0) & (rest > MOST_AT_ONCE * arrivals))
    detail = f"{count} arrived {piece} by {piece}"
    if whole := int((judged & (arrivals == 0)).sum()):
        detail = f"{whole} of {count} answers arrived all at once, so they have no TPOT"
    if whole == count:
        return Verdict("streamed", "SKIPPED", detail=detail, remedy=_STREAM)
    if len(bad):
        burst = _longest_wait(log, int(bad[0]), int(arrivals[bad[0]]))
        detail = f"{len(bad)} of {count} answers arrived in bursts: {burst}"
    verdict = Verdict("streamed", "PASS", len(bad), int(FAKED_SHARE * count), "in bursts", detail)
    if len(bad) <= DOUBTED_SHARE * count:
        return verdict
    return replace(
        verdict,
        status="FAIL" if len(bad) > FAKED_SHARE * count else "UNDECIDED",
        evidence=tuple(bad[:_NAMED].tolist()),
        remedy=_STREAM,
    )


def _piece(facts: SutFacts) -> str:
    """Return what a stream is made of."""
    return "token" if "ids" in facts.get("evidence", ALL_EVIDENCE) else "piece"


def _longest_wait(log: RunLog, i: int, arrivals: int) -> str:
    """Describe the longest wait in an answer, and what came after it."""
    record = log.record(i)
    gaps_ns = np.diff(record.chunk_ns)
    at = int(np.argmax(gaps_ns)) + 1
    token = f" (token {record.token_ids[at]})" if at < len(record.token_ids) else ""
    bursts = f"{len(gaps_ns)} tokens in {arrivals} burst{'s' * (arrivals > 1)} after the first"
    waited = f"position {at}{token} came {gaps_ns[at - 1] / 1e6:.4g} ms after the one before it"
    return f"sample {i}: {bursts}; {waited}"


@_rule_on_ids
def text(log: RunLog, facts: SutFacts) -> Faults | str:
    """Check that the text that is scored is the decoding of the ids that were timed."""
    differing = [a for a in log.anomalies if a.kind == TEXT_DIFFERS]
    if not differing and facts.get("texts_from") != "ids" and log.texts:
        return "the SUT cannot decode its ids: its own texts are scored"
    if not differing and facts.get("texts_from") != "ids":
        return "there are no texts"
    detail = f"{len(log.texts)} texts decoded from the ids"
    if differing:
        detail = f"sample {differing[0].sample_id}: {differing[0].detail}"
    todo = "send the text of the ids you return, or none"
    if "url" in facts:
        todo = "give the tokenizer of the served model as --tokenizer, or none"
    return Faults(_samples_of(differing), detail, todo)
