"""The process that compares formulas ends with the tests that ask it."""

import pytest

from accuracy.tasks.scoring import verified


@pytest.fixture(autouse=True, scope="module")
def no_process_is_left():
    yield
    verified.over()
