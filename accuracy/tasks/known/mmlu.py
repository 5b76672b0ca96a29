"""Questions on 57 subjects with four choices each, answered with a letter.

Hendrycks et al. 2021, "Measuring Massive Multitask Language Understanding". One prompt for both
ways to answer: by the likelihoods of the four letters, as lm-eval's mmlu, and by the letter that is
generated, as its mmlu_generative. Groups of subjects as in lm-eval, which counts anatomy as STEM.
"""

from __future__ import annotations

from accuracy.datasets.rows import Row
from accuracy.tasks.known.choices import letter_of, offered
from accuracy.tasks.task import Doc, Task

_LETTERS = "ABCD"
_GROUPS = {
    "STEM": "abstract_algebra anatomy astronomy college_biology college_chemistry"
    " college_computer_science college_mathematics college_physics computer_security"
    " conceptual_physics electrical_engineering elementary_mathematics high_school_biology"
    " high_school_chemistry high_school_computer_science high_school_mathematics"
    " high_school_physics high_school_statistics machine_learning",
    "humanities": "formal_logic high_school_european_history high_school_us_history"
    " high_school_world_history international_law jurisprudence logical_fallacies moral_disputes"
    " moral_scenarios philosophy prehistory professional_law world_religions",
    "social sciences": "econometrics high_school_geography high_school_government_and_politics"
    " high_school_macroeconomics high_school_microeconomics high_school_psychology"
    " human_sexuality professional_psychology public_relations security_studies sociology"
    " us_foreign_policy",
    "other": "business_ethics clinical_knowledge college_medicine global_facts human_aging"
    " management marketing medical_genetics miscellaneous nutrition professional_accounting"
    " professional_medicine virology",
}
GROUP_OF = {subject: group for group, names in _GROUPS.items() for subject in names.split()}


def _read(row: Row) -> Doc:
    choices = _four(row)
    letter = letter_of(row, "answer", len(_LETTERS))
    listed = [f"{name}. {choice}" for name, choice in zip(_LETTERS, choices, strict=True)]
    question = "\n".join((row.text("question").strip(), *listed, "Answer:"))
    return Doc(question, letter, letter, offered(_LETTERS), _labels(row))


def _four(row: Row) -> list[str]:
    if "choices" not in row.cells:
        return [row.text(letter) for letter in _LETTERS]
    choices = row.texts("choices", len(_LETTERS), len(_LETTERS))
    if not all(map(str.strip, choices)):
        raise row.complain("choices", "a choice without text", f"{len(_LETTERS)} texts")
    return choices


def _labels(row: Row) -> tuple[tuple[str, str], ...]:
    """Return subject and group, as far as they are known."""
    subject = row.label("subject") if row.cells.get("subject") else ""
    given = row.label("group") if row.cells.get("group") else ""
    group = given or GROUP_OF.get(subject.replace(" ", "_"), "")
    return tuple((name, value) for name, value in (("subject", subject), ("group", group)) if value)


def _heading(doc: Doc) -> str:
    about = f" about {doc.subject.replace('_', ' ')}" if doc.subject else ""
    return f"The following are multiple choice questions (with answers){about}.\n\n"


MMLU = Task(
    name="mmlu",
    summary="questions on 57 subjects with four choices each",
    read=_read,
    scorers=("likelihood", "letter", "plain_match"),
    max_new_tokens=8,
    columns=(("question", "choices", "answer"), ("question", *_LETTERS, "answer")),
    stop=("</s>", "\n"),
    heading=_heading,
    takes_first=True,
    is_shot_by_subject=True,
    licence="MIT",
)

SUBJECTS = MMLU._replace(
    name="subjects",
    summary="120 questions on twelve subjects with four choices each, Apache-2.0",
    file="subjects.jsonl",
    shots_file="subjects_shots.jsonl",
    licence="Apache-2.0",
)
