"""What may be made somewhere else? A run, or the scoring of some subjects of a measurement of
perplexity. Either goes to the process that makes it as JSON.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.kernel.protocols import Say
from harness.likelihood.settings import Settings
from harness.options.saved import portable
from harness.options.settings import RunConfig
from harness.study.executors.here import here
from harness.study.executors.made import Made


class Scoring(BaseModel):
    """The scoring of `subject`, after the subject that it is compared with, by their folders."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output_dir: Path
    measurement: Settings
    subject: str
    against: str = ""


Work = RunConfig | Scoring


def told(work: Work) -> str:
    """Return work as JSON, with paths that mean the same from any folder."""
    if isinstance(work, Scoring):
        return work.model_dump_json()
    return portable(work).model_dump_json()


def done(text: bytes, say: Say) -> Made:
    """Do what JSON tells of. Raises what the work raises."""
    if "measurement" in json.loads(text):
        return _scored(Scoring.model_validate_json(text), say)
    return here(RunConfig.model_validate_json(text), say)


def _scored(work: Scoring, say: Say) -> Made:
    """Score the subject in a folder of its own, and keep there what is asked for: the subject it
    was compared with is another one's work.
    """
    from harness.likelihood import study as laboratory  # runs do without it

    made = work.measurement.model_copy(update={"output_dir": work.output_dir})
    place = laboratory.begin(made, say)
    only = {work.subject, work.against} - {""}
    rows, interrupted = laboratory.scored(place, made, say, only)
    if work.against:
        shutil.rmtree(place / work.against, ignore_errors=True)
    return Made({"subjects": rows}, place, interrupted)
