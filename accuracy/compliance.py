"""Does a run keep what MLPerf's compliance tests are there to protect? Each verdict names the test it stands for.

    TEST06   the output is what it says it is             the run alone
    TEST01   answers under load are the model's answers   an accuracy run; and repeats within the run
    TEST04   no answer is kept for the next time          a run of one sample (--issue same); and repeats within the run
    TEST07   the quality holds under load                 an accuracy run and references
    TEST09   the answers are as long as they should be    an accuracy run, or a figure

The official scripts read 100 logged answers, look for EOS at the end only and by Llama 2's id, accept an empty first token
and an INVALID run, and repeat one sample that everybody knows. Here every completed sample counts, EOS is the model's own,
and the sample to repeat depends on the run.

What differs by rounding has to pass, so the limits are tolerances: a batch of another size rounds differently and breaks
near ties. SmolLM2-135M, 64 answers of 32 tokens, server against offline: all 64 the same in FP32, 47 in BF16.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import output_rules
from accuracy.rouge import KINDS, score
from harness.errors import BadInput
from harness.stats import percentile
from harness.types import FINISHES, NEVER, Int64s, RunLog, RunSettings, Sample, Status, SutFacts, Verdict

IDENTICAL = 0.99  # share of equal answers that leaves no question
TURNS_PER_TOKEN = 0.05  # where more than one token in 20 turns an answer off, it is not rounding (BF16 above: one in 100)
QUALITY = 0.99  # of the accuracy run's ROUGE
LENGTH = 0.10  # either way
FASTER, FASTER_SHORT = 1.1, 1.2  # a repeated sample may be so many times as fast
SIGNIFICANCE = 0.01  # the chance, per test, of doubting an honest run
CERTAIN = 0.001  # the chance of blaming it for caching; between the two it is UNDECIDED
_SHORT_NS = {"single-stream": 200_000, "multi-stream": 1_600_000}  # up to here timing noise earns FASTER_SHORT
_LEAST_PAIRS = 7  # 2^-7 < SIGNIFICANCE: with fewer, not even the clearest case is significant
_BESIDE = 8  # samples issued so close to one another meet the same load
_NAMED = 5
_KEEP_NOTHING = "switch off the caching of answers, prompts and key-value blocks between queries"
_CUT, _STOPPED = FINISHES.index("length"), FINISHES.index("stop")

Kind = Literal["accuracy", "same", "random"]


@dataclass(frozen=True, slots=True)
class Audited:
    """A finished run. `command` makes it again, and flags appended to it win; empty: it is written from the settings."""

    run_id: str
    settings: RunSettings
    log: RunLog
    facts: SutFacts
    model: str
    variant: str
    dataset: str
    status: str  # as in result.json
    command: str = ""
    dataset_hash: str = ""  # a file may change under its name

    @property
    def kind(self) -> str:
        return "accuracy" if self.settings.mode == "accuracy" else self.settings.issue


def audit(
    run: Audited,
    others: Sequence[Audited] = (),
    samples: Sequence[Sample] = (),
    tokens_per_sample: float | None = None,
) -> list[Verdict]:
    """All tests, TEST06 first. `others`: at most one accuracy run and one with --issue same.

    `samples` are the run's own (references, limits); `tokens_per_sample` is a published length, for TEST09.
    Raises BadInput for a companion that cannot be compared.
    """
    found = _companions(run, others)
    accuracy, same = found.get("accuracy"), found.get("same")
    return [
        _valid_runs([run, *others]),
        *_test06(run, samples),
        *_test01(run, accuracy, samples),
        *_test04(run, same),
        _test07(run, accuracy, samples),
        _test09(run, accuracy, tokens_per_sample),
    ]


# ---- companions: which runs may stand beside this one, and how to make them


def _companions(run: Audited, others: Sequence[Audited]) -> dict[str, Audited]:
    found: dict[str, Audited] = {}
    for other in others:
        if run.kind in ("accuracy", "same"):
            words = f"it is the companion itself ({_what(run)})"
            raise _refused(run, words, "Audit the ordinary performance run, and name this one with it.")
        if other.kind not in ("accuracy", "same"):
            raise _refused(run, f"{other.run_id} is {_what(other)}", f"Make one: {_command(run, 'accuracy')}")
        if other.kind in found:
            words = f"{found[other.kind].run_id} and {other.run_id} are both {_what(other)}"
            raise _refused(run, words, "Name one of them.")
        _check_same_task(run, other)
        found[other.kind] = other
    return found


def _check_same_task(run: Audited, other: Audited) -> None:
    names, terms = ["model", "variant", "dataset", "dataset_hash"], ["max_new_tokens"]
    if other.kind == "same":
        terms += ["scenario", "samples_per_query"] if run.settings.scenario != "server" else ["scenario", "target_qps"]
    pairs = [(name, getattr(run, name), getattr(other, name)) for name in names]
    pairs += [(name, getattr(run.settings, name), getattr(other.settings, name)) for name in terms]
    for name, ours, theirs in pairs:
        if ours != theirs:
            words = f"{other.run_id} has {name.replace('_', ' ')} {theirs!r}, this run {ours!r}"
            raise _refused(run, words, f"Make one: {_command(run, 'same' if other.kind == 'same' else 'accuracy')}")


def _what(run: Audited) -> str:
    names = {"accuracy": "an accuracy run", "same": "a run of one sample"}
    return names.get(run.kind, f"a performance run, issue {run.kind}")


def _refused(run: Audited, found: str, todo: str) -> BadInput:
    fine = "an accuracy run and a run with --issue same, of the same task, would be fine"
    return BadInput(f"auditing {run.run_id}", found, fine, todo)


def _command(run: Audited, kind: Kind) -> str:
    """The command line of a companion. The sample to repeat depends on the run, so that nobody can prepare for it."""
    flags = ["--mode accuracy"] if kind == "accuracy" else [f"--mode performance --issue {kind}"]
    if kind == "same":
        flags.append(f"--same-index {zlib.crc32(run.run_id.encode()) % max(run.settings.performance_samples, 1)}")
    if kind == "same" and run.settings.scenario == "server" and run.command:
        flags.append(f"--target-qps {run.settings.target_qps!r}")  # where it was calibrated, it must not be again
    return " ".join([run.command or _from_settings(run), *flags])


def _from_settings(run: Audited) -> str:
    s = run.settings
    flags: dict[str, object] = {
        "scenario": s.scenario,
        "model": run.model,
        "variant": run.variant,
        "dataset": run.dataset,
        "num-samples": s.num_samples,
        "performance-samples": s.performance_samples if s.performance_samples < s.num_samples else "",
        "max-new-tokens": s.max_new_tokens,
        "target-qps": repr(s.target_qps),
        "samples-per-query": s.samples_per_query if s.scenario == "multi-stream" else "",
        "min-queries": s.min_queries,
        "min-duration": f"{s.min_duration_ns / 1e9:.10g}s",
        "percentile": f"{100 * s.percentile:.10g}",
        "ttft-limit": f"{s.ttft_limit_ns / 1e9:.10g}s",
        "tpot-limit": f"{s.tpot_limit_ns / 1e9:.10g}s",
        "seeds": f"{s.seeds.qsl},{s.seeds.sample_index},{s.seeds.schedule}",
    }
    given = [f"--{name} {shlex.quote(str(value))}" for name, value in flags.items() if value != ""]
    return " ".join(["python -m harness run", *given])


def _needs(run: Audited, rule: str, kind: Kind) -> Verdict:
    if run.kind in ("accuracy", "same"):
        words = f"this is {_what(run)}: audit the ordinary performance run, with this one beside it"
        return Verdict(rule, "SKIPPED", detail=words, remedy=_command(run, "random"))
    words = "needs an accuracy run" if kind == "accuracy" else "needs a run of one sample"
    return Verdict(rule, "SKIPPED", detail=words, remedy=_command(run, kind))


# ---- TEST06: the output is what it says it is


def _valid_runs(runs: Sequence[Audited]) -> Verdict:
    """TEST06 takes an INVALID run, and so does the submission checker; TEST01 and TEST04 do not, and neither do we."""
    bad = [f"{run.run_id} is {run.status}" for run in runs if run.status != "VALID"]
    fine = f"{len(runs)} of {len(runs)} VALID"
    remedy = "see why: python -m harness report RUN"
    return _faults("TEST06 valid_runs", len(bad), "; ".join(bad) or fine, (), remedy, "invalid")


def _test06(run: Audited, samples: Sequence[Sample]) -> list[Verdict]:
    """The output rules of every run, and what an audit asks beyond them."""
    log, facts = run.log, run.facts
    found = [
        output_rules.samples_complete(log, facts),
        output_rules.events_in_order(log, facts),
        output_rules.first_token(log, facts),
        output_rules.token_count(log, facts),
        _eos(log, facts),
        _not_empty(log),
        _not_cut_short(run, samples),
    ]
    return [replace(verdict, rule=f"TEST06 {verdict.rule}") for verdict in found]


def _eos(log: RunLog, facts: SutFacts) -> Verdict:
    """The rule of every run, but naming no EOS id does not switch it off."""
    found = output_rules.eos(log, facts)
    if found.status != "SKIPPED" or not len(log.token_ids):
        return found
    return replace(found, status="UNDECIDED", remedy="let the SUT name the model's EOS ids in its facts (eos_ids)")


def _not_empty(log: RunLog) -> Verdict:
    """Every completed answer begins with a token; where a SUT sends no ids at all, it has text or a count."""
    done, has_ids = log.completed, np.diff(log.token_start) > 0
    remedy = "answer with at least one token, and report that one first"
    if not has_ids.any():
        has_text = np.array([bool(log.texts.get(i)) for i in range(len(log))], np.bool_)
        bad = np.flatnonzero(done & ~has_text & (log.reported_tokens <= 0))
        detail = f"sample {bad[0]}: no ids, no text, no count" if len(bad) else "all have text or a count; no ids to see"
        return _faults("not_empty", len(bad), detail, bad, remedy)
    begins = np.full(len(log), NEVER, np.int64)
    begins[has_ids] = log.token_ids[log.token_start[:-1][has_ids]]
    bad = np.flatnonzero(done & ((begins < 0) | ((log.first_ns >= 0) & (log.first_token < 0))))
    detail = "all begin with a token"
    if len(bad):
        i = int(bad[0])
        tokens = f"first token {log.first_token[i]}, final {begins[i]}" if has_ids[i] else "completed without any token"
        detail = f"sample {i}: position 0: {tokens}"
    return _faults("not_empty", len(bad), detail, bad, remedy)


def _not_cut_short(run: Audited, samples: Sequence[Sample]) -> Verdict:
    """An answer ends by EOS or at its limit, neither before nor after it (rules, section 8.2)."""
    log, tokens = run.log, run.log.tokens
    limits = {s.index: s.max_new_tokens for s in samples}
    limit = np.array([limits.get(index, run.settings.max_new_tokens) for index in log.index.tolist()], np.int64)
    done = log.completed & (tokens > 0)
    cut, over = done & (log.finish == _CUT) & (tokens < limit), done & (tokens > limit)
    bad = np.flatnonzero(cut | over)
    if not done.any():
        return Verdict("not_cut_short", "SKIPPED", detail="no tokens were counted")
    if len(bad):
        i = int(bad[0])
        how = "cut off for its length" if cut[i] else "goes on"
        detail = f"sample {i}: {how} at position {min(tokens[i], limit[i])}, the limit is {limit[i]} tokens"
        remedy = "generate to EOS or to --max-new-tokens, as the reference does"
        return _faults("not_cut_short", len(bad), detail, bad, remedy)
    early = np.flatnonzero(done & (log.finish == _STOPPED) & (tokens < limit) & (np.diff(log.token_start) > 0))
    if not len(early):
        return _faults("not_cut_short", 0, "all end by EOS or at the limit", early, "")
    detail = f"sample {early[0]}: says it stopped at position {tokens[early[0]]}, without EOS; no stop text was asked for"
    found = _faults("not_cut_short", len(early), detail, early, "return the EOS too, and report finish 'eos'")
    return replace(found, status="UNDECIDED")


def _faults(rule: str, count: int, detail: str, bad: Iterable[int], remedy: str, unit: str = "faulty") -> Verdict:
    status: Status = "FAIL" if count else "PASS"
    return Verdict(rule, status, count, 0, unit, detail, _ids(bad), remedy if count else "")


def _ids(ids: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in ids)[:_NAMED]


# ---- TEST01: answers under load are the model's answers


class _Pairs(NamedTuple):
    """Two answers to the same question: sample ids[k] of `log` and sample their_ids[k] of `their_log`."""

    whose: str  # the other answers are those ...
    log: RunLog
    ids: Int64s
    their_log: RunLog
    their_ids: Int64s
    unmatched: int = 0  # completed samples that have no counterpart

    @property
    def more(self) -> str:
        return f"; {self.unmatched} more have no counterpart" if self.unmatched else ""


def _test01(run: Audited, accuracy: Audited | None, samples: Sequence[Sample]) -> list[Verdict]:
    """The official test takes the first logged answer per question of the accuracy run; so do we, for every sample."""
    rule = "TEST01 same_answers"
    first_ids, again_ids = _repeats(run.log)
    repeats = _Pairs("given the first time", run.log, again_ids, run.log, first_ids)
    return [
        _needs(run, rule, "accuracy") if accuracy is None else _same_answers(rule, _matched(run, accuracy), samples),
        _same_answers("TEST01 repeats_agree", repeats, samples),
    ]


def _matched(run: Audited, accuracy: Audited) -> _Pairs:
    """Every completed sample with the accuracy run's first completed answer to the same question."""
    log, reference = run.log, accuracy.log
    ids, theirs = np.flatnonzero(log.completed), np.flatnonzero(reference.completed)
    known, first = np.unique(reference.index[theirs], return_index=True)
    matched = ids[np.isin(log.index[ids], known)]
    at = first[np.searchsorted(known, log.index[matched])]
    return _Pairs("of the accuracy run", log, matched, reference, theirs[at], len(ids) - len(matched))


def _repeats(log: RunLog) -> tuple[Int64s, Int64s]:
    """(first_ids, again_ids): every later completed issue of a question, and its first one."""
    ids = np.flatnonzero(log.completed)
    _, first, question = np.unique(log.index[ids], return_index=True, return_inverse=True)
    first_ids = ids[first[question]]
    again = first_ids != ids
    return first_ids[again], ids[again]


def _same_answers(rule: str, pairs: _Pairs, samples: Sequence[Sample]) -> Verdict:
    """Equal up to rounding: nearly all the same; or, as TEST01's fallback has it, seldom turning off and as good."""
    n = len(pairs.ids)
    ours, theirs = _answers(pairs)
    if not n or not any(map(len, ours + theirs)):
        detail = "no question was answered twice" if not n else "no token ids and no texts to compare"
        return Verdict(rule, "SKIPPED", detail=detail)
    lengths = np.array([(len(a), len(b)) for a, b in zip(ours, theirs, strict=True)])
    at = np.array([_first_difference(a, b) for a, b in zip(ours, theirs, strict=True)])
    differ, ends = at != NEVER, at == lengths.min(1)
    worst = sorted(np.flatnonzero(differ), key=lambda k: (not ends[k], at[k]))
    detail = f"{n - len(worst)} of {n} answers are those {pairs.whose}"
    if worst:
        k = int(worst[0])
        here, there = (str(answer[at[k]]) if at[k] < len(answer) else "the end" for answer in (ours[k], theirs[k]))
        detail += (
            f"; sample {pairs.ids[k]} (index {pairs.log.index[pairs.ids[k]]}) has {here} at position {at[k]}, not {there}"
        )
    share = 1 - len(worst) / n
    found = Verdict(rule, "PASS", 100 * share, 100 * IDENTICAL, "% the same", detail, _ids(pairs.ids[worst]))
    turns, compared = len(worst), int(np.where(differ, at + 1, lengths[:, 0]).sum())

    if ends[differ].any():
        why = f"; {int(ends[differ].sum())} end early or run on, which rounding cannot do"
        return replace(
            found, status="FAIL", detail=detail + why, remedy="run the same code with the same limits in every mode"
        )
    if pairs.unmatched:
        remedy = "let the accuracy run answer every sample"
        return replace(found, status="UNDECIDED", detail=detail + pairs.more, remedy=remedy)
    if share >= IDENTICAL:
        return found
    if _beyond_rounding(turns, compared):
        why = f"; one token in {compared / turns:.0f} turns an answer off, rounding at most one in {1 / TURNS_PER_TOKEN:.0f}"
        remedy = "use the same weights, precision and prompts in every mode; keep no answers"
        return replace(found, status="FAIL", detail=detail + why, remedy=remedy)
    return _by_quality(found, _quality(pairs, samples))


def _answers(pairs: _Pairs) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Token ids; the words of the texts if one of the runs has no ids."""
    with_ids = len(pairs.log.token_ids) > 0 and len(pairs.their_log.token_ids) > 0

    def answer(log: RunLog, i: int) -> NDArray[Any]:
        if with_ids:
            return log.token_ids[log.token_start[i] : log.token_start[i + 1]]
        return np.array(log.texts.get(i, "").split(), np.str_)

    ours = [answer(pairs.log, i) for i in pairs.ids.tolist()]
    return ours, [answer(pairs.their_log, i) for i in pairs.their_ids.tolist()]


def _first_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> int:
    """The first position where they differ, the end of the shorter one included; NEVER if they are equal."""
    n = min(len(ours), len(theirs))
    unlike = np.flatnonzero(ours[:n] != theirs[:n])
    if len(unlike):
        return int(unlike[0])
    return NEVER if len(ours) == len(theirs) else n


def _beyond_rounding(turns: int, compared: int) -> bool:
    """More than chance makes of TURNS_PER_TOKEN. (A rate per token says the same of long and short answers.)"""
    from scipy.stats import binom

    return bool(binom.sf(turns - 1, compared, TURNS_PER_TOKEN) < SIGNIFICANCE)


def _by_quality(found: Verdict, quality: _Quality | None) -> Verdict:
    """Answers that differ as rounding makes them differ have to be as good."""
    if quality is None:
        why = "; to see whether the others are as good takes texts and reference answers"
        return replace(found, status="UNDECIDED", detail=found.detail + why, remedy="use a dataset with reference answers")
    return replace(
        found,
        status=quality.status,
        measured=quality.percent,
        limit=100 * QUALITY,
        unit="% of its ROUGE",
        detail=f"{found.detail}; {quality.detail}",
        remedy=quality.remedy,
    )


# ---- TEST07: the quality holds under load


class _Quality(NamedTuple):
    status: Status
    percent: float  # of the others' ROUGE
    detail: str
    remedy: str
    worst: tuple[int, ...]  # samples that lost most


def _test07(run: Audited, accuracy: Audited | None, samples: Sequence[Sample]) -> Verdict:
    """On the same questions. The official test compares a subset with a published figure."""
    rule = "TEST07 quality_under_load"
    if accuracy is None:
        return _needs(run, rule, "accuracy")
    pairs = _matched(run, accuracy)
    quality = _quality(pairs, samples)
    if quality is None:
        words = "no texts with reference answers to score"
        return Verdict(rule, "SKIPPED", detail=words, remedy="use a dataset with reference answers (--reference-column)")
    status, percent, detail, remedy, worst = quality
    evidence = worst if status != "PASS" else ()
    return Verdict(rule, status, percent, 100 * QUALITY, "% of its ROUGE", detail + pairs.more, evidence, remedy)


def _quality(pairs: _Pairs, samples: Sequence[Sample]) -> _Quality | None:
    """The kind of ROUGE that lost most. Below the limit it is a FAIL if chance cannot explain it, else UNDECIDED."""
    scored = _scores(pairs, samples)
    if scored is None or not scored[1].any():
        return None
    ours, theirs, ids = scored
    n, mine, other = len(ours), ours.mean(0), theirs.mean(0)
    ratio = np.divide(mine, other, out=np.full(len(KINDS), np.inf), where=other > 0)
    k = int(np.argmin(ratio))
    margin = _chance(ours[:, k] - QUALITY * theirs[:, k]) / other[k]
    detail = f"{KINDS[k]} {100 * mine[k]:.2f}, those {pairs.whose} {100 * other[k]:.2f}, over {n} questions"
    worst = _ids(ids[np.argsort(ours[:, k] - theirs[:, k], kind="stable")])
    percent = 100 * float(ratio[k])
    if ratio[k] >= QUALITY:
        return _Quality("PASS", percent, detail, "", worst)
    if ratio[k] + margin < QUALITY:
        return _Quality("FAIL", percent, detail, "use the same weights, precision and limits in every mode", worst)
    needed = f"about {int(np.ceil(n * (margin / (1 - QUALITY)) ** 2)):,}" if np.isfinite(margin) else "more"
    detail += f", and chance alone moves it by {100 * margin:.1f} %" if np.isfinite(margin) else ""
    return _Quality("UNDECIDED", percent, detail, f"ask more questions (--min-queries): {needed} would decide it", worst)


def _scores(pairs: _Pairs, samples: Sequence[Sample]) -> tuple[NDArray[Any], NDArray[Any], Int64s] | None:
    """(ours, theirs, a sample id): one row per question, one column per kind. An answer without text scores 0."""
    references = {s.index: s.reference for s in samples if s.reference}
    index = pairs.log.index[pairs.ids]
    there = np.isin(index, list(references))
    if not there.any() or not pairs.log.texts or not pairs.their_log.texts:
        return None

    @cache
    def scored(question: int, text: str) -> tuple[float, ...]:
        return score(text, references[question])

    questions, first, row = np.unique(index[there], return_index=True, return_inverse=True)
    times = np.bincount(row)[:, None]
    means = []
    for log, ids in ((pairs.log, pairs.ids[there]), (pairs.their_log, pairs.their_ids[there])):
        total = np.zeros((len(questions), len(KINDS)))
        np.add.at(
            total, row, [scored(q, log.texts.get(i, "")) for q, i in zip(index[there].tolist(), ids.tolist(), strict=True)]
        )
        means.append(total / times)
    return means[0], means[1], pairs.ids[there][first]


def _chance(differences: NDArray[Any]) -> float:
    """How far chance moves their mean (one-sided, by Student's t); infinite for one difference."""
    from scipy.stats import t

    n = len(differences)
    return float(t.ppf(1 - SIGNIFICANCE, n - 1) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")


# ---- TEST09: the answers are as long as they should be


def _test09(run: Audited, accuracy: Audited | None, tokens_per_sample: float | None) -> Verdict:
    """Mean tokens within 10 % of a published figure or, question by question, of the accuracy run."""
    rule, log, more = "TEST09 output_length", run.log, ""
    evidence: tuple[int, ...] = ()
    ids = np.flatnonzero(log.completed)
    if tokens_per_sample is not None:
        expected, whose = tokens_per_sample, "published"
    elif accuracy is not None:
        pairs = _matched(run, accuracy)
        ids, theirs = pairs.ids, accuracy.log.tokens[pairs.their_ids]
        expected, whose, more = float(theirs.mean()) if len(theirs) else 0.0, "in the accuracy run", pairs.more
        evidence = _ids(ids[np.argsort(-np.abs(log.tokens[ids] - theirs), kind="stable")])
    else:
        return _needs(run, rule, "accuracy")
    tokens = log.tokens[ids]
    if expected <= 0 or not log.tokens.any():
        return Verdict(rule, "SKIPPED", detail="no tokens were counted, or no question is in common")
    mean, low, high = float(tokens.mean()), (1 - LENGTH) * expected, (1 + LENGTH) * expected
    inside = low <= mean <= high
    return Verdict(
        rule=rule,
        status="PASS" if inside else "FAIL",
        measured=mean,
        limit=low if mean < expected else high,
        unit="tokens",
        detail=f"{mean:.2f} a sample, {expected:.2f} {whose}; {low:.2f} to {high:.2f} would be fine{more}",
        evidence=() if inside else evidence,
        remedy="" if inside else "generate to EOS or to --max-new-tokens in every mode, without padding",
    )


# ---- TEST04: no answer is kept for the next time


def _test04(run: Audited, same: Audited | None) -> list[Verdict]:
    """The official test needs a second run, of a sample that all know; repeats within the run tell of every sample."""
    log, tokens = run.log, np.maximum(run.log.tokens, 1)
    pairs = _side_by_side(log)
    streamed = pairs[(log.first_ns[pairs] >= 0).all(1)]
    if run.settings.scenario == "offline":  # all wait in one queue: only what follows the first token is a sample's own
        ttft = Verdict("TEST04 repeats_ttft", "SKIPPED", detail="offline, the first token waits for all before it")
        pairs = streamed[(tokens[streamed] > 1).all(1)]
        per_token_ns = (log.done_ns - log.first_ns) / np.maximum(tokens - 1, 1)
    else:
        ttft = _repeats_no_faster(run, "TEST04 repeats_ttft", streamed, log.ttft_ns)
        per_token_ns = log.latency_ns / tokens
    per_token = _repeats_no_faster(run, "TEST04 repeats_latency", pairs, per_token_ns)
    return [_same_sample(run, same), ttft, per_token]


def _side_by_side(log: RunLog) -> Int64s:
    """(k, 2) ids: a first issue of some question, and beside it (at most _BESIDE away) a repeat of some other.

    Beside it, because the load of the moment decides latency: an honest server is faster, or slower, an hour later. Each
    sample stands in one pair. In an honest run either of a pair is as likely the faster one.
    """
    fresh = log.completed.copy()
    _, repeats = _repeats(log)
    fresh[repeats] = False
    alone, pairs = repeats.tolist(), []
    for k in range(1, _BESIDE + 1):  # the nearest first; before and after by turns, so that a trend cancels
        for turn in (0, 1):
            left = []
            for i in alone:
                j = i + k if (i + turn) % 2 else i - k
                if 0 <= j < len(log) and fresh[j]:
                    fresh[j] = False
                    pairs.append((j, i))
                else:
                    left.append(i)
            alone = left
    return np.array(pairs, np.int64).reshape(-1, 2)


def _repeats_no_faster(run: Audited, rule: str, pairs: Int64s, times_ns: NDArray[Any]) -> Verdict:
    """Wilcoxon's signed ranks on log(first issue / repeat). To count, a gain is significant and beyond TEST04's margin."""
    n, limit = len(pairs), _limit(run)
    if run.kind in ("accuracy", "same") or n < _LEAST_PAIRS:
        words = f"{n} repeats have a first issue of another question beside them; it takes {_LEAST_PAIRS} to tell"
        return replace(_needs(run, rule, "same"), detail=words)
    fresh_ns, again_ns = np.maximum(times_ns[pairs], 1).T
    gain = np.log(fresh_ns / again_ns)
    speed, p = float(np.exp(np.median(gain))), _chance_of_gain(gain)
    unit = " a token" if rule.endswith("latency") else ""
    detail = f"{n} repeats: {_ms(again_ns)}{unit}, first issues beside them {_ms(fresh_ns)} (medians; p = {p:.2g})"
    found = Verdict(rule, "PASS", speed, limit, "x as fast", detail)
    if speed <= limit or p >= SIGNIFICANCE:
        return found
    found = replace(found, evidence=_ids(pairs[np.argsort(-gain, kind="stable"), 1]))
    if p < CERTAIN:
        return replace(found, status="FAIL", remedy=_KEEP_NOTHING)
    return replace(found, status="UNDECIDED", remedy=_command(run, "same"))


def _chance_of_gain(gain: NDArray[Any]) -> float:
    """The chance of such gains, or more, if repeats are no faster."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(gain, alternative="greater").pvalue) if gain.any() else 1.0


def _ms(times_ns: NDArray[Any]) -> str:
    return f"{float(np.median(times_ns)) / 1e6:.4g} ms"


def _same_sample(run: Audited, same: Audited | None) -> Verdict:
    """One sample again and again is no faster than the mix, per token. Only tells if its answer is about as long."""
    rule = "TEST04 same_sample"
    if same is None:
        return _needs(run, rule, "same")
    (mix_rate, mix_length), (rate, length) = _pace(run), _pace(same)
    if not mix_rate or not rate:
        return Verdict(rule, "SKIPPED", detail="one of the runs completed nothing", remedy=_command(run, "same"))
    speed, limit = rate / mix_rate, _limit(run)
    detail = f"{rate:.4g} tokens/s repeating one sample, {mix_rate:.4g} in the mix"
    found = Verdict(rule, "PASS" if speed <= limit else "FAIL", speed, limit, "x as fast", detail)
    if abs(length - mix_length) > LENGTH * mix_length:
        why = f"; its answer has {length:.1f} tokens, the mix {mix_length:.1f}: too far apart to compare"
        return replace(found, status="UNDECIDED", detail=detail + why, remedy="repeat another sample (--same-index)")
    return replace(found, remedy=_KEEP_NOTHING) if found.status == "FAIL" else found


def _pace(run: Audited) -> tuple[float, float]:
    """(tokens per second, tokens per sample): of the whole run if offline, else of the time that samples took."""
    log, ok = run.log, run.log.completed
    tokens = np.maximum(log.tokens[ok], 1)
    if not len(tokens):
        return 0.0, 0.0
    took_ns = log.done_ns[ok].max() if run.settings.scenario == "offline" else log.latency_ns[ok].sum()
    return float(tokens.sum() / max(took_ns, 1) * 1e9), float(tokens.mean())


def _limit(run: Audited) -> float:
    """1.1, or 1.2 for those so fast that timing noise counts."""
    latency_ns = percentile(run.log.latency_ns[run.log.completed], run.settings.percentile)
    short_ns = _SHORT_NS.get(run.settings.scenario, 0)
    return FASTER_SHORT if latency_ns is not None and latency_ns <= short_ns else FASTER
