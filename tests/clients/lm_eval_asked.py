"""What lm-eval asks and how it scores: run with its own Python, over tests/data/lm_eval_tasks.json.

    .venv-clients/lmevalmath/bin/python tests/clients/lm_eval_asked.py tests/data/lm_eval_tasks.json

prints the file again, with `found` of each case as lm-eval makes it: the prompts, stops and
continuations of its requests, and its metrics for the given answers. No model is needed.
"""

import json
import sys
import tempfile
from pathlib import Path

from lm_eval.tasks import TaskManager

SEED = 1234  # of lm-eval's command line, for the examples


def main(path):
    cases, manager = json.loads(Path(path).read_text()), TaskManager()
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            task = made(manager, case, Path(folder))
            task.build_all_requests(rank=0, world_size=1)
            case["found"] = {"asked": asked(task), "scores": scores(task, case)}
    print(json.dumps(cases, indent=1, ensure_ascii=False))


def made(manager, case, folder):
    """Return lm-eval's task over the rows and examples of a case, not the published files."""
    own = case["lm_eval"]
    files = {own.get("split", "test"): written(folder / "test.jsonl", case["rows"])}
    examples = [] if own.get("samples") else case["examples"]
    shots = written(folder / "shots.jsonl", examples or case["rows"])
    files |= {part: shots for part in ("train", "dev", "validation") if part not in files}
    config = {"dataset_path": "json", "dataset_name": None}
    if own.get("samples"):
        config["fewshot_config"] = {"sampler": "first_n", "samples": case["examples"]}
    config["dataset_kwargs"] = {"data_files": files}
    group = {"group": "own", "task": [{"task": own["task"], **config, **own.get("config", {})}]}
    (task,) = manager.load([group])["tasks"].values()
    task.set_config("num_fewshot", case["shots"])
    task.set_fewshot_seed(SEED)
    return task


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def of_docs(task):
    """Yield the requests of each question."""
    docs = {}
    for request in task.instances:
        docs.setdefault(request.doc_id, []).append(request)
    return [docs[i] for i in sorted(docs)]


def asked(task):
    found = []
    for requests in of_docs(task):
        prompt, second = requests[0].args[:2]
        if isinstance(second, dict):
            found.append({"prompt": prompt, "stop": second["until"]})
        else:
            found.append({"prompt": prompt, "choices": [one.args[1] for one in requests]})
    return found


def scores(task, case):
    """Return the metrics of each question's answers, one try after another: filter/metric."""
    tries = case.get("answers") or case["log_likelihoods"]
    found = [[] for _ in tries]
    for n in range(max(map(len, tries))):
        for requests, given in zip(of_docs(task), tries, strict=True):
            one = given[min(n, len(given) - 1)]
            values = [(value, False) for value in one] if isinstance(one, list) else [one]
            for request, value in zip(requests, values, strict=True):
                request.resps, request.filtered_resps = [value], {}
        task.apply_filters()
        for i, (requests, given) in enumerate(zip(of_docs(task), tries, strict=True)):
            if n < len(given):
                found[i].append(metrics(task, requests))
    return found


def metrics(task, requests):
    values = {}
    for name in requests[0].filtered_resps:
        results = [request.filtered_resps[name] for request in requests]
        for metric, value in task.process_results(requests[0].doc, results).items():
            values[f"{name}/{metric}"] = float(value)
    return values


if __name__ == "__main__":
    main(sys.argv[1])
