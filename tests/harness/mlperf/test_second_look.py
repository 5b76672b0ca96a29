"""Do kept answers and recognised questions come out on a second look, and honest systems pass
it?
"""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import sut
from accuracy.datasets.files import load_dataset
from harness.cli import app
from harness.kernel.errors import BadInput
from harness.kernel.types import Output
from harness.mlperf.looks import examine
from harness.options.settings import load_config
from harness.running.session import Run
from harness.study import executors
from sut.simulated import Simulated

SCENARIOS = ["server", "single-stream", "multi-stream", "offline"]
KNOWN = {sample.prompt for sample in load_dataset("qa", 32).samples}


def quiet(text):
    """Nobody listens."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(sut_class, asks=...) -> a run folder; with `asks` the SUT is asked the questions of
    `qa`.
    """

    def make(kind=Simulated, asks=False, **flags):
        entry = sut.TABLE["simulated"]
        entry = entry._replace(factory=f"{kind.__module__}:{kind.__name__}", uses_dataset=asks)
        monkeypatch.setitem(sut.TABLE, "simulated", entry)
        flags = {
            "scenario": "server",
            "sut": "simulated",
            "clock": "virtual",
            "output_dir": tmp_path,
            "num_samples": 200,
        } | flags
        with Run(load_config(flags), quiet, progress=False) as made:
            made.execute()
        return made.folder

    return make


def look(name, folder):
    """The verdicts of one look at a run."""
    found, _ = examine(folder, (), None, [name], quiet)
    more = [v for v in found["verdicts"] if v["rule"].startswith(("CACHING", "DETECTION"))]
    return [SimpleNamespace(**verdict) for verdict in more]


def made_by(folder):
    (settings,) = folder.glob("more/*/*/settings.json")
    return settings.parent


def statuses(verdicts):
    return {v.rule.split()[1]: v.status for v in verdicts}


# ---- answers that are kept


class KeepsAnswers(Simulated):
    """What it has been asked before it answers at once, by what the question says."""

    def load(self, samples, sink):
        super().load(samples, sink)
        self.known, self.prompt_of = {}, {}

    def _admit(self):
        while self._waiting and self._busy < self._slots:
            sample_id, index = self._waiting[0]
            self.prompt_of[sample_id] = prompt = self._samples[index].prompt
            if prompt not in self.known:
                self._admit_one()
                continue
            self._waiting.popleft()
            ids = self.known[prompt]
            self._sink.first_token(sample_id, ids[0])
            self._sink.tokens(sample_id, ids[1:])
            self._sink.complete(Output(sample_id, "eos", ids, reported_tokens=len(ids)))

    def _admit_one(self):
        waiting, self._waiting = self._waiting, type(self._waiting)([self._waiting.popleft()])
        super()._admit()
        self._waiting = waiting

    def _complete(self, sample_id, ids):
        self.known[self.prompt_of[sample_id]] = ids
        super()._complete(sample_id, ids)


class KeepsPrefixes(Simulated):
    """Keeps key-value blocks: a known question costs a fifth of its first token."""

    def load(self, samples, sink):
        super().load(samples, sink)
        self.known = set()

    def _first(self, sample_id, ids):
        known = ids[0] in self.known
        self.known.add(ids[0])
        self._after(
            0 if known else 4 * self._ttft_ns,
            lambda: super(KeepsPrefixes, self)._first(sample_id, ids),
        )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_kept_answers_are_caught(run, scenario):
    folder = run(KeepsAnswers, scenario=scenario)
    found = statuses(look("caching", folder))
    assert "FAIL" in found.values()
    assert found["throughput" if scenario == "offline" else "repeats_latency"] == "FAIL"


def test_kept_prefixes_are_caught_by_the_first_tokens(run):
    assert (
        statuses(look("caching", run(KeepsPrefixes, scenario="single-stream")))["repeats_ttft"]
        == "FAIL"
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_who_keeps_nothing_passes(run, scenario):
    assert set(statuses(look("caching", run(scenario=scenario))).values()) == {"PASS"}


def test_the_second_look_meets_the_load_of_the_first(run):
    folder = run(target_qps=37.5)
    look("caching", folder)
    settings = json.loads((made_by(folder) / "settings.json").read_text())["run"]
    assert (settings["target_qps"], settings["issue"]) == (37.5, "random")
    # the same library as in the run, of which few are asked: nobody can tell by what it loads
    assert (settings["num_samples"], settings["performance_samples"]) == (200, 128)


# ---- questions that are recognised


class Recognises(Simulated):
    """Answers what stands in the benchmark twice as fast."""

    def _admit(self):
        own_ns = self._ttft_ns, self._per_token_ns
        while self._waiting and self._busy < self._slots:
            fast = self._samples[self._waiting[0][1]].prompt in KNOWN
            waiting, self._waiting = self._waiting, type(self._waiting)([self._waiting.popleft()])
            self._ttft_ns = own_ns[0] // 2 if fast else own_ns[0]
            super()._admit()
            self._waiting = waiting
        self._ttft_ns = own_ns[0]


class CutsShort(Simulated):
    """Answers what stands in the benchmark in half as many tokens."""

    def _answer(self, index):
        ids = super()._answer(index)
        return ids[len(ids) // 2 :] if self._samples[index].prompt in KNOWN else ids


def test_a_benchmark_that_is_recognised_is_caught_by_its_speed(run):
    folder = run(Recognises, asks=True)
    ttft, speed, length = look("benchmark_detection", folder)
    assert (ttft.status, length.status) == ("FAIL", "PASS")
    assert ttft.measured == pytest.approx(2, rel=0.1)
    assert ttft.detail.startswith("64 known questions: 25 ms, fresh ones 50 ms (medians; p = ")
    assert all(i % 2 == 0 for i in _indices(folder, ttft.evidence))
    assert speed.status in ("PASS", "FAIL")


def test_a_benchmark_that_is_recognised_is_caught_by_the_length_of_its_answers(run):
    length = look("benchmark_detection", run(CutsShort, asks=True))[2]
    assert (length.status, length.measured) == ("FAIL", pytest.approx(0.5))
    assert length.detail.startswith("16.00 tokens for a known question, 32.00 for a fresh one")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_who_treats_all_alike_passes(run, scenario):
    found = statuses(look("benchmark_detection", run(asks=True, scenario=scenario)))
    assert found == {
        "ttft": "SKIPPED" if scenario == "offline" else "PASS",
        "speed": "PASS",
        "length": "PASS",
    }


def test_every_known_question_stands_beside_a_fresh_one(run):
    folder = run(asks=True)
    look("benchmark_detection", folder)
    prompts = [
        json.loads(line)["prompt"]
        for line in (folder / "more" / "questions.jsonl").read_text().splitlines()
    ]
    assert len(prompts) == 128
    assert set(prompts[::2]) <= KNOWN
    assert not set(prompts[1::2]) & KNOWN


def test_a_run_without_questions_is_refused(run):
    with pytest.raises(BadInput, match="--sut simulated is asked no questions"):
        look("benchmark_detection", run())


def test_a_second_look_that_broke_off_proves_nothing(run):
    folder = run(num_samples=40, sut_options={"fault": "crash", "fault_at": 70})
    verdicts = look("caching", folder)  # 40 queries: sample 70 is never asked
    assert "UNDECIDED" not in statuses(verdicts).values()
    folder = run(min_queries=16, sut_options={"fault": "crash", "fault_at": 20})
    found = look("caching", folder)[0]
    assert (found.status, "crashed on request at sample 20" in found.detail) == ("UNDECIDED", True)


# ---- on the command line


def test_the_flags_join_their_verdicts_to_the_audit(run):
    folder = run(KeepsAnswers, asks=True)
    result = CliRunner().invoke(
        app, ["audit", str(folder), "--caching", "--benchmark-detection", "--json"]
    )
    found = json.loads(result.stdout.splitlines()[-1])
    rules = {v["rule"]: v["status"] for v in found["verdicts"]}
    assert (result.exit_code, rules["CACHING repeats_latency"], rules["DETECTION speed"]) == (
        1,
        "FAIL",
        "PASS",
    )


def _indices(folder, ids):
    from harness.engine.runlog import read_log

    return read_log(made_by(folder))[0].index[list(ids)]


def test_an_audit_that_was_killed_goes_on_with_the_runs_that_are_left(run, monkeypatch):
    folder = run(KeepsAnswers, asks=True, scenario="offline")
    whole = CliRunner().invoke(app, ["audit", str(folder), "--caching", "--json"])
    (study,) = folder.glob("more/*/")
    rows = (study / "rows.jsonl").read_text().splitlines(keepends=True)
    assert len(rows) == 2
    (study / "rows.jsonl").write_text(rows[0] + rows[1][:40])  # killed while it wrote the second
    before = {path.name for path in study.glob("*/")}
    done = CliRunner().invoke(app, ["resume", str(study), "--json"])
    assert done.exit_code == whole.exit_code == 1
    again, first = (json.loads(d.stdout.splitlines()[-1]) for d in (done, whole))
    assert [(v["rule"], v["status"]) for v in again["verdicts"]] == [
        (v["rule"], v["status"]) for v in first["verdicts"]
    ]
    assert len({path.name for path in study.glob("*/")} - before) == 1


def test_an_audit_that_is_interrupted_says_so_and_how_it_goes_on(run, monkeypatch):
    folder = run(scenario="offline")
    make = executors.here.here
    monkeypatch.setitem(executors.EXECUTORS, "here", lambda *how: make(*how)._replace(is_last=True))
    done = CliRunner().invoke(app, ["audit", str(folder), "--caching"])
    (study,) = folder.glob("more/*/")
    assert done.exit_code == 130
    assert "INTERRUPTED" in done.stdout
    assert f"harness resume {study}" in " ".join(done.stdout.split())
    monkeypatch.undo()
    done = CliRunner().invoke(app, ["resume", str(study)])
    assert (done.exit_code, "SKIPPED" in done.stdout) == (1, True)  # no accuracy run stands beside


@pytest.mark.parametrize("looks", [None, ["nope"], 5])
def test_damaged_arguments_of_an_audit_are_a_sentence(run, looks):
    folder = run()
    CliRunner().invoke(app, ["audit", str(folder), "--caching"])
    (study,) = folder.glob("more/*/")
    file = study / "study.json"
    saved = json.loads(file.read_text())
    file.write_text(json.dumps(saved | {"arguments": {"looks": looks} if looks else {}}))
    done = CliRunner().invoke(app, ["resume", str(study)])
    assert (done.exit_code, "it is damaged" in done.stderr) == (2, True)
