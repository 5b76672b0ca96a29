"""Is each tool's result file read as the tool means it? Files of the shapes that the real tools
have written (tests/clients runs them), and the command lines that they are started with.
"""

from __future__ import annotations

import json
import runpy
import sys
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import ModuleType

import pytest

from harness.evaluators import environments
from harness.evaluators.tool import Ask, Figure
from harness.evaluators.tools import TABLE, deepeval, evals, inspect, simple_evals
from harness.kernel.errors import BadInput, RunBroke, SetupFailed


def ask(tmp_path, *options, tasks=("a",)):
    return Ask("python", tasks, "http://127.0.0.1:1/v1", "m-int8", tmp_path, options=options)


def write(path, value):
    path.write_text(json.dumps(value))
    return [path]


def test_inspect_has_accuracy_with_its_error(tmp_path):
    metrics = {"accuracy": {"value": 0.6}, "stderr": {"value": 0.2}}
    results = {"completed_samples": 5, "scores": [{"name": "includes", "metrics": metrics}]}
    log = {"status": "success", "eval": {"task": "capitals"}, "results": results}
    found = inspect.read(write(tmp_path / "log.json", log))
    assert found == [Figure("capitals", "accuracy", 0.6, 0.2, 5)]


def test_a_log_of_inspect_that_failed_is_told(tmp_path):
    log = {"status": "error", "eval": {"task": "a"}, "error": {"message": "no such dataset"}}
    with pytest.raises(RunBroke, match="a: no such dataset"):
        inspect.read(write(tmp_path / "log.json", log))
    log["error"] = {"message": f"ModelGenerateError {'request ' * 1000} tools are not supported"}
    with pytest.raises(
        RunBroke, match=r"a: ModelGenerateError .* … .* tools are not supp"
    ) as error:
        inspect.read(write(tmp_path / "log.json", log))
    assert len(str(error.value)) < 500


def test_inspect_is_greedy_unless_told_otherwise(tmp_path):
    assert inspect.command(ask(tmp_path))[-2:] == ["--temperature", "0"]
    warm = inspect.command(ask(tmp_path, "--temperature=0.7"))
    assert warm.count("--temperature") == 0
    assert warm[-1] == "--temperature=0.7"


def test_deepeval_has_a_mean_for_each_metric(tmp_path):
    metric = {"metric": "Exact Match", "scores": [1.0, 0.0, 1.0, 1.0], "errors": 0}
    found = {"testFile": "test_a.py", "metricsScores": [metric], "testPassed": 3, "testFailed": 1}
    exact, passed = deepeval.read(write(tmp_path / "test_run_1.json", found))
    assert (exact.task, exact.metric, exact.value, exact.n) == ("test_a", "Exact Match", 0.75, 4)
    assert exact.stderr == pytest.approx(0.25)  # 0.5 / sqrt(4)
    assert (passed.metric, passed.value) == ("pass rate", 0.75)
    found["metricsScores"] = [metric | {"errors": 2}]
    files = write(tmp_path / "test_run_1.json", found)
    with pytest.raises(RunBroke, match="2 test cases ended in an error"):
        deepeval.read(files)


def test_evals_has_its_final_report(tmp_path):
    report = {"accuracy": 0.5, "boostrap_std": 0.1, "usage_total_tokens": 78}
    lines = [{"spec": {"eval_name": "caps.test.v1"}}]
    lines += [{"type": "sampling", "sample_id": name} for name in ("a", "a", "b")]
    path = tmp_path / evals.RECORD
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match="no final report"):
        evals.read([path])
    with path.open("a") as file:
        file.write(json.dumps({"final_report": report}) + "\n")
    assert evals.read([path]) == [Figure("caps.test.v1", "accuracy", 0.5, 0.1, 2)]


def test_evals_is_told_of_the_variant_by_a_registry(tmp_path):
    evals.prepare(ask(tmp_path))
    (file,) = tmp_path.glob("registry/completion_fns/*.yaml")
    arguments = json.loads(file.read_text())[evals.NAME]["args"]
    assert arguments == {"model": "m-int8", "api_base": "http://127.0.0.1:1/v1"}


def test_simple_evals_writes_into_our_folder(tmp_path, monkeypatch):
    """A folder that does what simple-evals does at its end: it writes to /tmp."""
    folder, out = tmp_path / "simple-evals", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "simple_evals.py").write_text(
        "import json, sys\n\ndef main():\n"
        "    assert sys.argv[1:] == ['--model', 'gpt-4.1', '--eval', 'mmlu', '--examples', '4']\n"
        "    found = {'score': 0.5, 'metrics': {'score:std': 0.5}, 'convos': [1, 2, 3, 4]}\n"
        "    for end in ('', '_allresults'):\n"
        "        with open(f'/tmp/mmlu_gpt-4.1_touchstone{end}.json', 'w') as file:\n"
        "            file.write(json.dumps(found))\n"
    )
    asked = Ask(
        "python", ("mmlu",), "", "", out, tool_path=str(folder), options=("--examples", "4")
    )
    simple_evals.check(asked)
    _, *words = simple_evals.command(asked)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "path", [*sys.path])
    runpy.run_path(words[0], run_name="__main__")
    files = sorted(out.glob(TABLE["simple-evals"].results))
    assert len(files) == 2
    assert simple_evals.read(files) == [Figure("mmlu", "score", 0.5, 0.25, 4)]


def test_simple_evals_says_what_it_could_not_fetch(tmp_path, monkeypatch):
    """It says itself that there is no such eval, and ends well."""
    folder = tmp_path / "simple-evals"
    folder.mkdir()
    (folder / "simple_evals.py").write_text(
        "import urllib.request\n\ndef main():\n"
        "    try:\n"
        "        urllib.request.urlopen('http://127.0.0.1:9/mmlu.csv')\n"
        "    except Exception:\n"
        "        print('Error: eval not found')\n"
    )
    asked = Ask("python", ("mmlu",), "", "", tmp_path, tool_path=str(folder))
    _, *words = simple_evals.command(asked)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(urllib.request, "urlopen", urllib.request.urlopen)
    monkeypatch.delitem(sys.modules, "simple-evals.simple_evals", raising=False)
    monkeypatch.delitem(sys.modules, "simple-evals", raising=False)
    with pytest.raises(SystemExit, match=r"cannot fetch http://127.0.0.1:9/mmlu.csv: .*refused"):
        runpy.run_path(words[0], run_name="__main__")


def test_evals_asks_greedily_unless_the_eval_or_the_user_says_otherwise(monkeypatch):
    """Its `Includes` sends no temperature, and a server's own default may be 1."""
    sent = []

    class OpenAIChatCompletionFn:  # as in evals 3.0.1
        def __init__(self, model, api_base, n_ctx, extra_options):
            self.extra_options = extra_options

        def __call__(self, prompt, **kwargs):
            sent.append({**kwargs, **self.extra_options})

    module = ModuleType("evals.completion_fns.openai")
    module.OpenAIChatCompletionFn = OpenAIChatCompletionFn
    module.record_sampling = print
    package = ModuleType("evals.completion_fns")
    package.openai = module
    for name, one in (("evals", ModuleType("evals")), (package.__name__, package)):
        monkeypatch.setitem(sys.modules, name, one)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    served = runpy.run_path(str(evals._SCRIPTS / "oaieval_model.py"))["Served"]
    served(registry=0, model="m", api_base="u")("question")
    served(model="m")("question", temperature=0.7)
    served(model="m", max_tokens="64", temperature="0.5", stop="x")("question", temperature=0.0)
    assert sent == [
        {"temperature": 0},
        {"temperature": 0.7},
        {"temperature": 0.5, "max_tokens": 64, "stop": "x"},
    ]


def test_an_eval_that_the_variant_would_grade_itself_is_refused(tmp_path):
    (tmp_path / "simple_evals.py").touch()
    asked = Ask("python", ("simpleqa",), "", "", tmp_path, tool_path=str(tmp_path))
    with pytest.raises(BadInput, match="graded by a model, which would be the variant itself"):
        simple_evals.check(asked)


def test_an_environment_is_made_anew_when_it_needs_more_and_a_wrong_name_is_refused(
    tmp_path, monkeypatch
):
    asked = []

    class Done:
        returncode = 1

    def run(words, **_):
        asked.append([str(word) for word in words])
        return Done

    monkeypatch.setattr(
        environments.venv, "create", lambda folder, with_pip: folder.mkdir(exist_ok=True)
    )
    monkeypatch.setattr(environments.subprocess, "run", run)
    with pytest.raises(SetupFailed, match="pip failed"):
        environments.make(["deepeval"], tmp_path)
    assert asked[0][-1] == TABLE["deepeval"].packages[0]
    Done.returncode = 0
    environments.make(["deepeval"], tmp_path)
    environments.make(["deepeval"], tmp_path)
    assert len(asked) == 2
    more = TABLE["deepeval"]._replace(packages=(*TABLE["deepeval"].packages, "more"))
    monkeypatch.setitem(TABLE, "deepeval", more)
    environments.make(["deepeval"], tmp_path)
    assert (len(asked), asked[2][-1]) == (3, "more")
    with pytest.raises(BadInput, match="'lmeval' is not known"):
        environments.make(["lmeval"], tmp_path)


class Plain(BaseHTTPRequestHandler):
    """A server that tells its tokenizer below /telling alone, as vLLM does where it is told to."""

    def do_GET(self):
        is_told = self.path == "/telling/tokenizer_info"
        self.send_response(200 if is_told else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words):
        pass


def test_lm_eval_needs_a_tokenizer_where_the_server_tells_none(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    tool, asked = TABLE["lm-eval"], ask(tmp_path)
    try:
        with pytest.raises(BadInput, match=r"/tokenizer_info: 404.*Pass --tokenizer FOLDER"):
            tool.prepare(replace(asked, url=f"{url}/v1"))
        tool.prepare(replace(asked, url=f"{url}/telling/v1"))
        tool.prepare(replace(asked, url=f"{url}/v1", tokenizer="folder"))
        tool.prepare(replace(asked, url=f"{url}/v1", options=("--model_args", "{}")))
    finally:
        server.shutdown()
        server.server_close()
