"""Which tests are slow: those that `make quick` leaves out.

The numbers are seconds within the whole suite on two cores (2026-11-27). Slow is what starts
processes, makes and serves models, draws pages or waits in real time; two cores do the rest in
under 90 s. An entry is a file, a folder or one test; conftest.py marks what it names `slow`.
"""

from __future__ import annotations

SLOW = {
    "tests/accuracy/sandbox/test_programs.py": 9,
    "tests/harness/result/programs/": 9,
    "tests/harness/running/test_peak.py": 6,
    "tests/harness/result/capacity/": 6,
    "tests/harness/result/attempts/": 10,
    "tests/scenarios/peak/test_search.py": 6,
    "tests/test_cli.py": 121,
    "tests/fuzz/": 15,
    "tests/test_hostile.py": 6,
    "tests/harness/kernel/foreign/": 5,
    "tests/sut/precision/": 83,
    "tests/harness/engine/dispatched/test_runs.py": 13,
    "tests/sut/served/test_stops_and_choices.py": 8,
    "tests/sut/served/client/test_pool.py": 9,
    "tests/sut/served/client/calibration/": 2,
    "tests/reports/pages/": 73,
    "tests/test_readme.py": 72,
    "tests/sut/model/": 54,
    "tests/sut/started/": 14,
    "tests/sut/prompts/": 22,
    "tests/harness/likelihood/": 75,
    "tests/harness/official/": 50,
    "tests/harness/study/test_study.py": 40,
    "tests/harness/study/decide/test_decide.py": 20,
    "tests/harness/study/test_parts.py": 36,
    "tests/harness/schema/": 30,
    "tests/harness/study/gating/test_gate_tasks.py": 15,
    "tests/harness/study/gating/test_gate_real.py": 29,
    "tests/harness/study/gating/test_gate_served.py": 12,
    "tests/harness/study/gating/test_panel.py": 8,
    "tests/harness/study/sweep/test_sweep.py": 14,
    "tests/harness/study/executors/test_child.py": 29,
    "tests/harness/study/cluster/test_cluster.py": 45,
    "tests/harness/study/comparison/test_compare.py": 26,
    "tests/harness/study/comparison/test_testing.py": 7,
    "tests/harness/study/family/": 14,
    "tests/harness/study/effects/test_effect.py": 5,
    "tests/harness/mlperf/": 24,
    "tests/harness/serve/": 28,
    "tests/harness/evaluators/": 30,
    "tests/harness/view/": 14,
    "tests/harness/commands/": 12,
    "tests/accuracy/compliance/test_audit.py": 22,
    "tests/sut/likelihood/": 26,
    "tests/test_devices.py": 3,
    "tests/sut/serving/": 16,
    "tests/sut/engine/sampling/": 8,
    "tests/sut/engine/graphs/": 9,
    "tests/sut/engine/attention/": 3,
    "tests/sut/engine/ahead/": 8,
    "tests/accuracy/likelihood/test_scaling.py": 19,
    "tests/test_elsewhere.py": 18,
    "tests/reports/plots/": 13,
    "tests/harness/engine/test_pieces.py": 12,
    "tests/cheats/": 22,
    "tests/sut/border/test_isolated.py": 12,
    "tests/sut/border/replicas/test_replicas.py": 8,
    "tests/harness/loads/test_conversations.py": 9,
    "tests/harness/running/test_replicas.py": 3,
    "tests/sut/golden/": 6,
    "tests/harness/engine/server_view/": 5,
    "tests/reports/endpoints/": 8,
    "tests/harness/running/test_server_view.py": 6,
    "tests/harness/running/test_gpus.py": 7,
    "tests/harness/engine/test_recorder.py": 12,
    "tests/test_terminals.py": 14,
    "tests/test_screens.py": 11,
    "tests/harness/kernel/process/": 18,
    "tests/accuracy/test_spread.py": 5,
    "tests/harness/judging/": 20,
    "tests/harness/kernel/process/test_children.py": 4,
    "tests/harness/running/test_modes.py": 10,
    "tests/harness/running/test_referee.py": 6,
    "tests/harness/running/test_full_disk.py": 9,
    "tests/harness/kernel/test_waits.py": 9,
    "tests/sut/test_local_model.py": 10,
    "tests/sut/engine/test_wild.py": 15,
    "tests/architectures/": 9,
    "tests/harness/test_registry.py": 10,
    "tests/harness/study/gating/test_gate.py": 9,
    "tests/harness/study/gating/test_gate_shares.py": 8,
    "tests/harness/result/test_absent_figures.py": 8,
    "tests/test_layout.py": 8,
    "tests/accuracy/datasets/test_pickled.py": 8,
    "tests/scenarios/loadgen/test_sample_order.py": 6,
    "tests/scenarios/loadgen/test_find_peak.py": 6,
    "tests/accuracy/likelihood/test_tokens.py": 4,
    "tests/sut/served/test_once.py": 6,
    "tests/sut/served/test_served.py": 14,
    "tests/sut/served/test_probe.py": 4,
    "tests/peers/": 3,
    "tests/test_golden.py::test_a_comparison_says_what_it_always_said": 3,
    "tests/test_golden.py::test_a_gate_says_what_it_always_said": 3,
    "tests/test_golden.py::test_a_perplexity_study_says_what_it_always_said": 3,
    "tests/sut/engine/test_state.py": 2,
    "tests/bench/gpu/": 8,
    "tests/harness/running/test_self_check.py": 3,
}

# What `make test` leaves out, so that it ends within its twenty minutes on two cores;
# `make test-all` runs everything.
LONG = {
    "tests/harness/judging/test_judge.py::test_a_local_model": 15,
    "tests/accuracy/sandbox/test_hostile.py": 40,
    "tests/accuracy/compliance/test_audit.py": 22,
    "tests/harness/study/executors/test_child.py": 29,
    "tests/harness/study/gating/test_gate_real.py": 29,
    "tests/harness/study/gating/test_gate_served.py": 12,
    "tests/harness/study/test_study.py": 40,
    "tests/harness/study/decide/test_decide.py": 20,
    "tests/harness/engine/dispatched/test_runs.py": 13,
    "tests/harness/running/test_full_disk.py": 9,
    "tests/harness/kernel/test_waits.py": 9,
    "tests/harness/study/cluster/": 80,
    "tests/harness/study/decide/test_decide.py::test_a_variant_is_judged_by_the_gate": 20,
    "tests/harness/study/gating/test_panel.py": 10,
    "tests/harness/study/test_parts.py": 60,
    "tests/harness/evaluators/test_evaluate.py::test_ctrl_c": 8,
    "tests/harness/evaluators/test_evaluate.py::test_a_server_that_dies": 6,
    "tests/harness/evaluators/test_resume.py::test_a_killed": 12,
    "tests/harness/evaluators/test_resume.py::test_another": 1,
    "tests/harness/evaluators/test_resume.py::test_settings": 1,
    "tests/harness/mlperf/": 30,
    "tests/harness/official/": 70,
    "tests/sut/precision/test_adapters.py": 80,
    "tests/accuracy/likelihood/test_scaling.py": 20,
    "tests/fuzz/": 60,
    "tests/cheats/": 40,
    "tests/architectures/": 10,
    "tests/sut/engine/test_wild.py": 15,
    "tests/test_elsewhere.py": 30,
    "tests/test_terminals.py": 15,
    "tests/test_screens.py": 12,
}


def is_long(test: str) -> bool:
    """Tell whether `test` is one that `make test` leaves out."""
    return test.startswith(tuple(LONG))


def is_slow(test: str) -> bool:
    """Tell whether `test`, pytest's id of it, stands in the table."""
    return test.startswith((*SLOW, *LONG))


def seconds(file: str) -> int:
    """Return about how long the tests of `file` take; 0 if they are quick."""
    named = (long for name, long in SLOW.items() if file.startswith(name) or _is_in(name, file))
    return sum(named)


def _is_in(test: str, file: str) -> bool:
    return test.startswith(f"{file}::")
