"""Do MLCommons' own programs and ours agree on good and on spoiled trees and runs?

The official programs are not part of this project. A checkout of mlcommons/inference is named by an
environment variable, and they are run as they are, in processes of their own:

    MLPERF_INFERENCE=CHECKOUT python -m pytest tests/reports/submission/test_official_checker.py
    MLPERF_INFERENCE=CHECKOUT python -m tests.official        # the tables
"""
