"""Which tests are slow: those that `make quick` leaves out.

The numbers are seconds alone on one core (2026-11-26). Slow is what starts processes, makes and
serves models, draws pages or waits in real time; the rest is about 120 s of work, which two cores
do in under 90 s. An entry is a file, a folder or one test; conftest.py marks what it names `slow`.
"""

from __future__ import annotations

SLOW = {
    "tests/test_readme.py": 212,
    "tests/test_cli.py": 128,
    "tests/harness/official/": 45,
    "tests/sut/precision/": 65,
    "tests/harness/study/test_gate_real.py": 33,
    "tests/harness/likelihood/": 65,
    "tests/reports/pages/": 47,
    "tests/harness/schema/": 23,
    "tests/sut/model/": 28,
    "tests/accuracy/compliance/test_audit.py": 18,
    "tests/harness/mlperf/test_audit.py": 14,
    "tests/test_elsewhere.py": 16,
    "tests/sut/engine/test_state.py": 14,
    "tests/harness/engine/test_pieces.py": 12,
    "tests/sut/likelihood/": 14,
    "tests/sut/border/test_isolated.py": 11,
    "tests/reports/plots/": 11,
    "tests/harness/run/test_modes.py": 10,
    "tests/sut/test_local_model.py": 10,
    "tests/harness/engine/test_recorder.py": 9,
    "tests/accuracy/likelihood/test_scaling.py": 8,
    "tests/scenarios/loadgen/test_sample_order.py": 8,
    "tests/harness/study/test_gate.py": 7,
    "tests/test_screens.py": 7,
    "tests/test_layout.py": 6,
    "tests/accuracy/likelihood/test_tokens.py": 6,
    "tests/scenarios/loadgen/test_find_peak.py": 6,
    "tests/harness/study/test_compare.py": 6,
    "tests/accuracy/datasets/test_pickled.py": 6,
    "tests/test_golden.py::test_a_comparison_says_what_it_always_said": 9,
    "tests/test_golden.py::test_a_gate_says_what_it_always_said": 9,
    "tests/test_golden.py::test_a_perplexity_study_says_what_it_always_said": 9,
}


def is_slow(test: str) -> bool:
    """Tell whether `test`, pytest's id of it, stands in the table."""
    return test.startswith(tuple(SLOW))
