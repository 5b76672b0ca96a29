"""lm-eval itself: the prompts, stops and scores in tests/data/lm_eval_tasks.json are those that it
makes, and MMLU's subjects are in its groups.
"""

from __future__ import annotations

import json

from accuracy.tasks.known.mmlu import GROUP_OF
from tests import ROOT

PROGRAM = "lmevalmath"
RECORDED = ROOT / "tests/data/lm_eval_tasks.json"
SUBJECTS = """
import json
from pathlib import Path
import lm_eval, yaml
folder = Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"
found = [yaml.safe_load(path.read_text()) for path in folder.glob("mmlu_*.yaml")]
print(json.dumps([[one["dataset_name"], one["tag"], one["description"]] for one in found]))
"""


def test_the_recorded_prompts_and_scores_are_lm_evals(program, tmp_path):
    script = ROOT / "tests" / "clients" / "lm_eval_asked.py"
    said = program.run("python", str(script), str(RECORDED), HF_HOME=str(tmp_path))
    found = json.loads(said[said.index("[\n {") :])
    assert found == json.loads(RECORDED.read_text(encoding="utf-8"))


def test_every_subject_of_mmlu_is_in_its_group_and_heading(program):
    found = json.loads(program.python(SUBJECTS).splitlines()[-1])
    groups = {name: tag.removeprefix("mmlu_").removesuffix("_tasks") for name, tag, _ in found}
    assert len(groups) == 57
    assert groups == {name: group.lower().replace(" ", "_") for name, group in GROUP_OF.items()}
    for name, _, heading in found:
        words = "The following are multiple choice questions (with answers) about "
        assert heading == f"{words}{name.replace('_', ' ')}.\n\n"
