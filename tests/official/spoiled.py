"""Ways to spoil a submission, and what each checker has to say to it.

Where ours refuses what the official one accepts, the row says why; the other way round there is no
row, and there must be none.
"""

from __future__ import annotations

import json

from reports.mlperf.files import ACCURACY, DETAIL
from tests.official.spoiled_logs import accuracy, timed, timed_stricter
from tests.official.spoiling import (
    Change,
    Spoiled,
    Tree,
    both,
    event,
    fields,
    gone,
    path,
    system,
    without,
)
from tests.official.trees import BASES, NETWORK_FIELDS
from tests.package_helpers import added, moved, replaced


def _files() -> list[Spoiled]:
    place = path("llama3.1-8b", "Server", "")
    weights, root = f"{place}measurements.json", "closed/acme"
    rows = {
        "no measurements.json": gone(weights),
        "measurements.json is no JSON": replaced(weights, "{", ""),
        "measurements.json is a list": replaced(weights, "(?s).+", "[]"),
        "retraining empty": fields(weights, retraining=""),
        "weight_data_types missing": fields(weights, weight_data_types=...),
        "no user.conf": gone(f"{place}user.conf"),
        "user.conf empty": replaced(f"{place}user.conf", "(?s).+", ""),
        "no README": gone(f"{place}README.md"),
        "README empty": replaced(f"{place}README.md", "(?s).+", ""),
        "no src": without(f"{root}/src/"),
        "no offline result": without(f"{BASES['llama3.1-8b'].place}/Offline/"),
        "no server result": without(f"{BASES['llama3.1-8b'].place}/Server/"),
        "one scenario too many": _copied("Offline", "MultiStream"),
        "a stray folder": added(f"{BASES['llama3.1-8b'].place}/old/notes.txt", "x"),
        "a submitter without results": added("closed/other/systems/box.json", "{}"),
        "a benchmark nobody knows": _moved("llama3.1-8b", "llama9"),
        "SERVER": _moved("/Server/", "/SERVER/"),
    }
    return [Spoiled(name, "llama3.1-8b", change) for name, change in rows.items()]


def _copied(old: str, new: str) -> Change:
    def change(tree: Tree) -> Tree:
        part = {name: text for name, text in tree.items() if f"/{old}/" in name}
        return {**tree, **moved(part, old, new)}

    return change


def _moved(old: str, new: str) -> Change:
    return lambda tree: moved(tree, old, new)


def _systems() -> list[Spoiled]:
    where = system("llama3.1-8b")
    rows: dict[str, Change] = {
        "no system.json": gone(where),
        "system.json is no JSON": replaced(where, "{", ""),
        "system.json is a list": replaced(where, "(?s).+", "[]"),
        "status soon": fields(where, status="soon"),
        "no status": fields(where, status=...),
        "system_type Datacenter": fields(where, system_type="Datacenter"),
        "system_type cloud": fields(where, system_type="cloud"),
        "system_type of the edge": fields(where, system_type="edge"),
        "no sw_notes": fields(where, sw_notes=...),
        "cooling empty": fields(where, cooling=""),
        "0 accelerators as a number": fields(where, accelerators_per_node=0),
        "another submitter": fields(where, submitter="other"),
        "another division": fields(where, division="open"),
        "number_of_nodes in words": fields(where, number_of_nodes="one"),
        "number_of_nodes 1.5": fields(where, number_of_nodes="1.5"),
        "accelerators_per_node N/A": fields(where, accelerators_per_node="N/A"),
        "hw_notes a number beside sw_notes": fields(where, hw_notes=3, sw_notes="x"),
        "sw_notes a number": fields(where, sw_notes=3),
        "is_network true": fields(where, is_network="true"),
        "is_network as a switch": fields(where, is_network=True),
        "is_network false, without its fields": fields(where, is_network="false"),
    }
    return [Spoiled(name, "llama3.1-8b", change) for name, change in rows.items()]


_SMALL = "EOS check pass: true"


def _compliance() -> list[Spoiled]:
    page = path("llama3.1-8b", "Server", "test06")
    log = path("llama3.1-8b", "Server", f"TEST06/accuracy/{ACCURACY}")
    rows = {
        "TEST06: no page": gone(page),
        "TEST06: no folder": without(path("llama3.1-8b", "Server", "TEST06/")),
        "TEST06: an empty page": replaced(page, "(?s).+", ""),
        "TEST06: first token": replaced(page, "token check pass: True", "token check pass: False"),
        "TEST06: EOS": replaced(page, "EOS check pass: True", "EOS check pass: False"),
        "TEST06: length": replaced(page, "length check pass: True", "length check pass: False"),
        "TEST06: no line on EOS": replaced(page, "EOS check pass: True\n", ""),
        "TEST06: true in small letters": replaced(page, "EOS check pass: True", _SMALL),
        "TEST06: offline": replaced(
            path("llama3.1-8b", "Offline", "test06"), "EOS check pass: True", _SMALL
        ),
    }
    unseen = {
        "TEST06: skipped under load": (
            replaced(page, "First token check pass: True", "First token check pass: Skipped"),
            "only offline has no first token",
        ),
        "TEST06: both": (
            replaced(page, "EOS check pass: True", "EOS check pass: True\nEOS check pass: False"),
            "one of the two is wrong",
        ),
        "TEST06: failed": (replaced(page, "complete", "failed"), "the page says so itself"),
        "TEST06: no log": (gone(log), "nothing bears the page out"),
        "TEST06: a log that miscounts": (
            replaced(log, r'"token_count" : \d+', '"token_count" : 77'),
            "the log beside the page tells otherwise",
        ),
    }
    found = [Spoiled(name, "llama3.1-8b", change) for name, change in rows.items()]
    found += [
        Spoiled(name, "llama3.1-8b", change, "ours", why) for name, (change, why) in unseen.items()
    ]
    for test in ("test07", "test09"):
        where, name = path("gpt-oss-120b", "Server", test), test.upper()
        logs = where.rsplit("/", 1)[0] + f"/performance/run_1/{DETAIL}"
        found += [
            Spoiled(f"{name}: no page", "gpt-oss-120b", gone(where)),
            Spoiled(f"{name}: an empty page", "gpt-oss-120b", replaced(where, "(?s).+", "")),
            Spoiled(f"{name}: failed", "gpt-oss-120b", replaced(where, "TEST PASS", "TEST FAIL")),
            Spoiled(f"{name}: both", "gpt-oss-120b", replaced(where, "$", "TEST FAIL\n"),
                    "ours", "one of the two is wrong"),
            Spoiled(f"{name}: no logs", "gpt-oss-120b", gone(logs),
                    "ours", "nothing bears the page out"),
        ]  # fmt: skip
    return found


def _other_benchmarks() -> list[Spoiled]:
    edge, tokens = path("edge", "SingleStream", "timed"), r"('tokens_per_sample': )[\d.]+"
    llama2, deepseek, gpt_oss, mixtral, large = (
        path(name, scenario, "scores")
        for name, scenario in (
            ("llama2-70b", "Interactive"), ("deepseek-r1", "Server"), ("gpt-oss-120b", "Server"),
            ("mixtral-8x7b", "Server"), ("llama3.1-405b", "Offline"),
        )
    )  # fmt: skip
    exact = r"('exact_match': )([\d.]+)"
    network, net_log = system("network"), path("network", "Server", "timed")
    missing = dict.fromkeys(NETWORK_FIELDS, ...)
    return [
        Spoiled("edge: early stopping", "edge", event(edge, "early_stopping_met", "false")),
        Spoiled("edge: no p90", "edge", replaced(edge, "result_90.00_percentile_latency_ns", "x")),
        Spoiled("edge: a datacenter", "edge", fields(system("edge"), system_type="datacenter")),
        Spoiled("edge: no single stream", "edge", without(f"{BASES['edge'].place}/SingleStream/")),
        Spoiled("edge: a log of single-stream for offline", "edge",
                event(path("edge", "Offline", "timed"), "effective_scenario", '"SingleStream"')),
        Spoiled("edge: offline inferred from single-stream", "edge", _inferred, "ours",
                "it would be samples/s in a column of tokens/s"),
        Spoiled("answers too long", "llama2-70b", replaced(llama2, tokens, r"\g<1>323.9")),
        Spoiled("answers too short", "llama2-70b", replaced(llama2, tokens, r"\g<1>265.0")),
        Spoiled("exact match too low", "deepseek-r1", replaced(deepseek, exact, r"\g<1>80.5446")),
        Spoiled("exact match in quotes", "deepseek-r1", replaced(deepseek, exact, r"\g<1>'\2'")),
        Spoiled("gpt-oss: 6,396 for accuracy", "gpt-oss-120b",
                event(path("gpt-oss-120b", "Server", "scored"),
                      "effective_accuracy_sample_count", 6396)),
        Spoiled("gpt-oss: answers too long", "gpt-oss-120b",
                replaced(gpt_oss, tokens, r"\g<1>10999")),
        Spoiled("mixtral: GSM8K too low", "mixtral-8x7b",
                replaced(mixtral, r"('gsm8k': )[\d.]+", r"\g<1>72.9")),
        Spoiled("mixtral: no MBXP", "mixtral-8x7b", replaced(mixtral, "'mbxp'", "'mbpp'")),
        Spoiled("mixtral: interactive", "mixtral-8x7b", _moved("/Server/", "/Interactive/")),
        Spoiled("405B: ROUGE-L too low", "llama3.1-405b",
                replaced(large, r"('rougeL': )[\d.]+", r"\g<1>21.4")),
        Spoiled("network: fields missing", "network", fields(network, **missing)),
        Spoiled("network: not said", "network", fields(network, is_network=...)),
        Spoiled("network: said to be none", "network", fields(network, is_network="false")),
        Spoiled("network: another name", "network", replaced(net_log, "Network SUT", "Local SUT")),
        Spoiled("network: no TEST06", "network", gone(path("network", "Server", "test06"))),
    ]  # fmt: skip


def _inferred(tree: Tree) -> Tree:
    """Offline's result is the single-stream log, with the figure that it is inferred from."""
    old, new = (path("edge", name, "timed") for name in ("SingleStream", "Offline"))
    return {**tree, new: tree[old]}


def _open() -> list[Spoiled]:
    """The open division gates no accuracy and needs no compliance, but the rest holds."""
    log, text = path("open", "Server", "timed"), path("open", "Server", "scores")
    rouge = r"('rouge1': )[\d.]+"
    key = "result_first_token_99.00_percentile_latency_ns"
    mapping = added("open/acme/model_mapping.json", json.dumps({"mine": "llama3.1-8b"}))
    return [
        Spoiled("open: TTFT at the limit", "open", event(log, key, 2_000_000_000)),
        Spoiled("open: another seed", "open", event(log, "effective_qsl_rng_seed", 1)),
        Spoiled("open: no scores", "open", gone(text)),
        Spoiled("open: a number with two points", "open", replaced(text, rouge, r"\g<1>3.7.8")),
        Spoiled("open: an unknown benchmark", "open", _moved("llama3.1-8b", "mine")),
        Spoiled("open: no ROUGE-1", "open", replaced(text, "'rouge1'", "'rogue1'"),
                "ours", "the open division must report its accuracy"),
        Spoiled("open: no hash", "open", replaced(text, "hash=", "#"),
                "ours", "the open division must report its accuracy"),
        Spoiled("open: nothing", "open", without("open/acme/results/"), "both"),
        Spoiled("a tree without divisions", "open", _moved("open/", "Open/"),
                "ours", "the official checker calls an empty submission OK"),
        Spoiled("open: accuracy below the target", "open", replaced(text, rouge, r"\g<1>3.0"),
                "neither"),
        Spoiled("open: a name of its own, mapped", "open",
                both(_moved("llama3.1-8b", "mine"), mapping), "neither"),
    ]  # fmt: skip


def _harmless() -> list[Spoiled]:
    where, text = system("llama3.1-8b"), path("llama3.1-8b", "Server", "scores")
    network = dict.fromkeys(NETWORK_FIELDS, "x")
    rows = {
        "line ends of another system": lambda tree: {
            name: content.replace("\n", "\r\n") for name, content in tree.items()
        },
        "ROUGE in quotes": replaced(text, r"('rouge1': )([\d.]+)", r"\g<1>'\2'"),
        "all scores in one line": both(replaced(text, r"\n(?=')", ", "), replaced(text, "^", "{")),
        "scenarios in small letters": _moved("/Server/", "/server/"),
        "the checker's second name": _moved("/llama3.1-8b/", "/llama3_1-8b/"),
        "a system of both types": fields(where, system_type="datacenter,edge"),
        "a status in capitals": fields(where, status="AVAILABLE"),
        "counts as numbers": fields(where, number_of_nodes=1, accelerators_per_node=8),
        "is_network false, with its fields": fields(where, is_network="false", **network),
        "more files than needed": added(path("llama3.1-8b", "Server", "notes.txt"), "x"),
        "more fields than needed": fields(where, boot_firmware_version="7"),
    }
    return [Spoiled(name, "llama3.1-8b", change, "neither") for name, change in rows.items()]


ROWS = [
    *(Spoiled("nothing", name, lambda tree: tree, "neither") for name in [*BASES, "network"]),
    *timed(),
    *timed_stricter(),
    *accuracy(),
    *_files(),
    *_systems(),
    *_compliance(),
    *_other_benchmarks(),
    *_open(),
    *_harmless(),
]
