"""What do the files of a run folder hold? Every field with its type, unit and meaning, once.

`python -m harness.schema` writes the JSON Schema files beside this one, docs/files.md and the types
of `harness.api` from the declarations here; a test sees to it that they agree, and that no output
has a field that is not described.
"""

from __future__ import annotations

import json
from pathlib import Path

from harness.schema import compare, environment, gate, result, settings, typed
from harness.schema.of_result import search
from harness.schema.of_study import decide, evaluate, family, judge, perplexity, sweep
from harness.schema.page import page
from harness.schema.parts import Schema

SCHEMAS: dict[str, Schema] = {
    "result": result.RESULT,
    "settings": settings.SETTINGS,
    "environment": environment.ENVIRONMENT,
    "verdicts": result.VERDICTS,
    "memory": result.MEMORY_FILE,
    "scores": result.SCORES_FILE,
    "find_peak": search.FIND_PEAK,
    "compare": compare.COMPARE,
    "gate": gate.GATE,
    "decide": decide.DECIDE,
    "sweep": sweep.SWEEP,
    "study": settings.STUDY,
    "rows": settings.ROWS,
    "perplexity": perplexity.PERPLEXITY,
    "evaluate": evaluate.EVALUATE,
    "judge": judge.JUDGE,
    "family": family.FAMILY,
}
FOLDER = Path(__file__).parent
PAGE = FOLDER.parent.parent / "docs" / "files.md"


def files() -> dict[Path, str]:
    """Return what is written, by place."""
    texts = {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        for name, schema in SCHEMAS.items()
    }
    return texts | {PAGE: page(SCHEMAS), typed.PLACE: typed.source()}
