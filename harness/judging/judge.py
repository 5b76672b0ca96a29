"""What do judges who are models say of finished runs? Run folders in; a folder with judge.json,
judgements.jsonl (every reply, as it came) and judge.html out.

Nothing here is timed and no run is going on: judging is a command of its own, for runs that have
ended. Ctrl-C keeps what was judged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from accuracy.judge import prompts
from harness.console import bar
from harness.engine import runlog
from harness.engine.pieces import noted
from harness.judging import found as findings
from harness.judging import local
from harness.judging.asking import Asking, Judge, Reply
from harness.judging.found import Judgement, Row
from harness.judging.questions import Call, Questions, calls, questions, run_of
from harness.judging.settings import Asked, Named
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import BadInput
from harness.kernel.privacy.secrets import hidden_in
from harness.kernel.process import stopping
from harness.kernel.protocols import Say
from harness.study.comparison import compare
from harness.study.gating.outputs import check_same, read
from sut.served.address import Address
from sut.served.probing import who

KIND = "judge"
JUDGEMENTS, FILE = "judgements.jsonl", f"{KIND}.json"


def run(folders: Sequence[Path], asked: Asked, say: Say) -> tuple[Row, Path]:
    """Judge finished runs, the first of which is the reference; return (judge.json, its folder).
    Raises BadInput, and SetupFailed where a judge cannot be reached at all.
    """
    known = _questions(folders, asked)
    wanted = list(calls(asked.kinds, asked.form, known))
    place = runlog.create(asked.output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_{KIND}")
    with ExitStack() as stack:
        try:
            judges = [_judge(one, asked, place, stack, say) for one in asked.judges]
        except BaseException:
            _forget(place)
            raise
        todo = _Todo(known, judges, [(n, call) for call in wanted for n in range(len(judges))])
        say("")
        judgements, interrupted = _judged(todo, asked.concurrency, place)
        with stopping.deaf():
            made = findings.found(known, judges, asked.prices, asked.kinds, asked.form, judgements)
            made |= {"interrupted": interrupted, "by": asked.by, "folder": str(place)}
            made |= {"concurrency": asked.concurrency, "timeout_s": asked.timeout_s}
            made |= {"form": asked.form}
            if interrupted:
                made["status"] = "INTERRUPTED"
            _keep(made, place)
    return made, place


def shown_prompts(folders: Sequence[Path], asked: Asked) -> str:
    """Return what would be asked first, of each kind, word for word."""
    if not folders:
        return "\n\n".join(
            f"=== {kind} ===\n{prompts.template(kind, asked.form)}" for kind in asked.kinds
        )
    first: dict[str, str] = {}
    for call in calls(asked.kinds, asked.form, _questions(folders, asked)):
        first.setdefault(call.kind, call.prompt)
    return "\n\n".join(f"=== {kind} ===\n{text}" for kind, text in first.items())


def exit_code(made: Row) -> int:
    """Return 0 where every judge could be read, whatever it preferred."""
    if made["interrupted"]:
        return 130
    return 0 if made["status"] == "JUDGED" else 1


def _questions(folders: Sequence[Path], asked: Asked) -> Questions:
    """Read the runs, which must have been asked the same. Raises BadInput."""
    outputs = [read(folder) for folder in folders]
    for one in outputs:
        if one.problem:
            raise BadInput(f"judging {one.run}", one.problem, "expected a whole run")
    for other in outputs[1:]:
        check_same(outputs[0], other)
    labels = compare.labels([(one.model, one.variant) for one in outputs])
    named = [replace(one, label=label) for one, label in zip(outputs, labels, strict=True)]
    return questions([run_of(one) for one in named], asked.limit)


def _judge(named: Named, asked: Asked, place: Path, stack: ExitStack, say: Say) -> Judge:
    """Return a judge that can be asked; a local model is served until the stack closes."""
    where: Address
    if named.address is None:
        name = f"{named.model}@{named.variant}".replace("/", "_")
        log = place / f"judge_{name}.log"
        where, model = stack.enter_context(local.served(named, log, say))
    else:
        where, model = named.address, named.model
        if not model:
            model = who.model(where, "", who.listed(where))
    return Judge(named.name, where, model, asked.tokens, asked.timeout_s, form=asked.form)


class _Todo(NamedTuple):
    """What is asked: every call with the number of its judge."""

    known: Questions
    judges: Sequence[Judge]
    calls: Sequence[tuple[int, Call]]

    def asking(self, concurrency: int) -> Asking:
        prompts = [(judge, call.kind, call.prompt) for judge, call in self.calls]
        return Asking(self.judges, prompts, concurrency)

    def judgement(self, number: int, reply: Reply) -> Judgement:
        judge, call = self.calls[number]
        return findings.judgement(judge, call, reply)

    def line(self, one: Judgement) -> str:
        """Return the line of judgements.jsonl."""
        row = one.as_json(self.judges[one.judge].name, self.known.runs[one.call.run].label)
        return json.dumps(hidden_in(row), ensure_ascii=False) + "\n"


def _judged(todo: _Todo, concurrency: int, place: Path) -> tuple[list[Judgement], bool]:
    """Ask every judge everything, each reply on the disk as it is taken. Return the judgements, and
    whether Ctrl-C came first: what has come by then counts, also where the disk was too slow to
    take it.
    """
    asking, judgements = todo.asking(concurrency), list[Judgement]()
    try:
        with bar("judging", len(todo.calls)) as progress:
            for number, reply in asking:
                one = todo.judgement(number, reply)
                files.append(place / JUDGEMENTS, todo.line(one))
                judgements.append(one)
                progress(len(judgements))
        return judgements, False
    except KeyboardInterrupt:
        with stopping.deaf():
            came = [todo.judgement(number, reply) for number, reply in asking.stop()]
            files.write_text(place / JUDGEMENTS, "".join(map(todo.line, came)))
        return came, True
    finally:
        asking.stop()  # also where the disk is full: nothing more is paid for


def _keep(made: dict[str, Any], place: Path) -> None:
    from reports.pages import judge as page

    made |= hidden_in(made)
    files.write_json(place / FILE, made)
    with noted("judge.html"):
        page.write(place, made)


def _forget(place: Path) -> None:
    """Leave no empty folder behind; a log that says why a judge did not start stays."""
    for file in place.glob("judge_*.log"):
        if not file.stat().st_size:
            file.unlink()
    if not any(place.iterdir()):
        place.rmdir()
