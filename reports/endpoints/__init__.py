"""The result files of MLPerf Endpoints, for a run of a server: their names, their layout.

    config.yaml                        what was asked for
    performance/result_summary.json    counts, rates, latencies
    accuracy/accuracy_results.json     scores

MLCommons' submission checker reads them from the folder of a scenario, where there are no logs of
LoadGen. Fields are those of mlcommons/endpoints of 2026-08-21 (config/schema.py, metrics/report.py,
commands/benchmark/accuracy.py).
"""
