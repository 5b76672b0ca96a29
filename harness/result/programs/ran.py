"""Do the programs that the model wrote pass their tests? They run once, after the timed part, and
what became of them is kept with the raw files: a folder is judged again without running them.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.outputs.stops import cut
from accuracy.sandbox import pool
from accuracy.sandbox.programs import Limits, Mode, Program
from accuracy.tasks import of_name
from accuracy.tasks.programs import SCORER, has_test, program_of
from harness.engine.driver import Stop
from harness.engine.pieces import reason
from harness.kernel.errors import BadInput
from harness.kernel.log import RunLog
from harness.kernel.process.streams import tell
from harness.kernel.protocols import Say
from harness.kernel.types import Sample

Ran = Mapping[int, tuple[str, str]]  # id of the answer -> (outcome, why)
LIMITS = Limits()
OFF = "off"
_NOT_RUN = (
    "the programs were not run; pass --run-code sandboxed to run what the model wrote on this"
    " machine, walled in"
)
_WARNING = {
    "sandboxed": "programs written by the model will run on this machine, without network, in"
    " folders and processes of their own",
    "unprotected": "programs written by the model will run on this machine with nothing but limits"
    " on time, memory and file sizes: they can read your files, use the network, and end your"
    " processes",
}


def check(run_code: str, task: str | None) -> None:
    """Say that programs will run; raise BadInput if there are none, or if this system cannot run
    them in that way. To be called before the model is loaded.
    """
    if run_code == OFF:
        return
    if task is None or SCORER not in of_name(task).scorers:
        found = f"the answers to --task {task} are no programs" if task else "no --task"
        fine = "it is for tasks whose answers are programs"
        raise BadInput(f"--run-code {run_code}", found, fine, "Pass --task humaneval:FILE.")
    pool.check(_mode(run_code), LIMITS)
    tell(f"note: {_WARNING[run_code]}")


def _mode(run_code: str) -> Mode:
    return "unprotected" if run_code == "unprotected" else "sandboxed"


def is_needed(samples: Sequence[Sample]) -> bool:
    """Are the answers programs?"""
    return any(has_test(sample) for sample in samples)


def after_run(
    log: RunLog, samples: Sequence[Sample], run_code: str, stop: Stop, say: Say
) -> dict[str, Any]:
    """Return `rows` of (id of the answer, outcome, why) and the `sandbox` that they ran in, or
    `problem`: why there are none.
    """
    if run_code == OFF:
        return {"problem": _NOT_RUN}
    try:
        return _ran(log, samples, _mode(run_code), stop, say)
    except Exception as fault:  # the run has been measured all the same
        return {"problem": f"the programs could not be run: {reason(fault)}", "broke": True}


def _ran(
    log: RunLog, samples: Sequence[Sample], mode: Mode, stop: Stop, say: Say
) -> dict[str, Any]:
    of = {sample.index: sample for sample in samples if has_test(sample)}
    rows: list[tuple[int, str, str]] = []
    answers: dict[Program, list[int]] = {}  # equal ones run once
    for i in log.completed.nonzero()[0].tolist():
        if (sample := of.get(int(log.index[i]))) is None:
            continue
        program = program_of(cut(log.texts.get(i, ""), sample.stop), sample)
        if program is None:
            rows.append((i, "no answer", "it is empty"))
        else:
            answers.setdefault(program, []).append(i)
    known = pool.check(mode, LIMITS)
    programs, done, broken = list(answers), 0, list[str]()
    for place, ran in pool.run_all(programs, mode, LIMITS, lambda: bool(stop.requests)):
        rows += [(i, ran.outcome, ran.detail) for i in answers[programs[place]]]
        broken += [ran.detail] if ran.is_ours else []
        done += 1
        say(f"running the programs: {done} of {len(programs)}")
    say("")
    if done < len(programs):
        return {"problem": f"interrupted after {done} of {len(programs)} programs"}
    sandbox = {"mode": mode, "protections": list(known.protections), **LIMITS._asdict()}
    sandbox["python"] = platform.python_version()
    return {"rows": sorted(rows), "sandbox": sandbox, "broken": broken}


def outcomes(evaluation: Mapping[str, Any]) -> Ran:
    """Return what became of the programs of a run, by the id of the answer."""
    rows = evaluation.get("programs", {}).get("rows", ())
    return {i: (outcome, why) for i, outcome, why in rows}


def sandbox(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return `sandbox` of result.json's task; nothing where no program ran."""
    known = evaluation.get("programs", {}).get("sandbox")
    return {"sandbox": known} if known else {}


def notes(evaluation: Mapping[str, Any]) -> list[str]:
    """Say why no program ran, or that nothing kept them in."""
    found = evaluation.get("programs", {})
    if "problem" in found:
        return [found["problem"]]
    if not found:
        return []
    said = []
    if found["sandbox"]["mode"] == "unprotected":
        said.append("the programs ran unprotected: with limits, but with this machine's files")
    if broken := found["broken"]:
        why = f"{len(broken)} ({broken[0]})"
        said.append(f"programs that count as errors because their sandbox broke: {why}")
    return said
