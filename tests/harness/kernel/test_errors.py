import pytest

from harness.kernel.errors import BY_NAME, BadInput, HarnessError, RunBroke, SetupFailed, unknown


def test_an_error_reads_as_four_facts_on_one_line():
    error = BadInput(
        "scenario server", "target_qps is 0", "it must be above 0", "Pass --target-qps 2."
    )
    assert (
        str(error) == "scenario server: target_qps is 0; it must be above 0. Pass --target-qps 2."
    )
    assert error.facts == (
        "scenario server",
        "target_qps is 0",
        "it must be above 0",
        "Pass --target-qps 2.",
    )


def test_facts_that_are_missing_leave_no_gap():
    assert str(BadInput("reading x", "it is not there")) == "reading x: it is not there."
    assert (
        str(BadInput("reading x", "not there", todo="Make it.")) == "reading x: not there. Make it."
    )


@pytest.mark.parametrize(
    ("kind", "code"), [(BadInput, 2), (SetupFailed, 3), (RunBroke, 4), (HarnessError, 4)]
)
def test_each_kind_has_its_exit_code(kind, code):
    assert kind.exit_code == code
    assert issubclass(kind, HarnessError)


def test_every_kind_can_be_found_by_its_name():
    assert {"BadInput": BadInput, "SetupFailed": SetupFailed, "RunBroke": RunBroke} == BY_NAME


def test_an_error_can_be_made_again_from_its_facts():
    error = SetupFailed("loading m", "no such file", "a folder", "Download it.")
    assert str(BY_NAME["SetupFailed"](*error.facts)) == str(error)


def test_an_unknown_name_lists_the_known_ones_and_guesses():
    error = unknown("scenario", "servr", {"server": 1, "offline": 2}, "See `harness list`.")
    assert isinstance(error, BadInput)
    assert (
        str(error)
        == "scenario: 'servr' is not known; known: offline, server. Did you mean 'server'? See"
        " `harness list`."
    )


def test_no_guess_is_made_for_a_name_like_nothing_known():
    assert "Did you mean" not in str(unknown("scenario", "zzz", ["server", "offline"]))
