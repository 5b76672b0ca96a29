"""Is what a server says of itself, and uses, in the telemetry of a run?"""

from __future__ import annotations

import math
import random
import socket
from time import sleep

import psutil
import pytest

from harness.engine import gpus
from harness.engine.server_view import names
from harness.engine.server_view.devices import used_by
from harness.engine.server_view.processes import Family, listening
from harness.engine.server_view.scrape import Scraper
from harness.engine.telemetry import Telemetry, read_rows
from harness.kernel.answers import Scrape
from harness.kernel.clock import VirtualClock
from harness.running.sampling import devices
from sut.simulated import Simulated
from tests.nvml_helpers import install

PROCESSES = "nvmlDeviceGetComputeRunningProcesses"

VLLM = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a b"} 3.0
vllm:num_requests_running{engine="1",model_name="a b"} 4.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.5
vllm:generation_tokens_total{engine="0"} 1.2e+03
vllm:request_queue_time_seconds_sum{engine="0"} NaN
vllm:request_queue_time_seconds_bucket{engine="0",le="0.3"} 9
"""


def scraped(golden, ca_file: str = "") -> Scrape:
    return Scrape(f"{golden.root}/metrics", "127.0.0.1", golden.port, ca_file, key="sesame")


def test_engines_add_up_and_the_fullest_cache_counts():
    row = names.values(VLLM)
    assert row["server_running"] == 7
    assert row["server_kv_share"] == 0.5
    assert row["server_generated_tokens"] == 1200
    assert "server_queued_s" not in row  # it is no number
    assert "server_preemptions" not in row


@pytest.mark.parametrize("page", ["", "<html></html>", "{}", "vllm:num_requests_running 1e", "\0"])
def test_a_page_of_something_else_says_nothing(page):
    assert names.values(page) == {}


@pytest.mark.parametrize("like", ["vllm", "sglang", "llama-server", "tgi"])
def test_every_server_is_understood(golden, like):
    golden.set(like=like, tokens=5)
    golden.ask(prompt="a b c", stream=True)
    row = names.values(golden.get("/metrics").decode())
    assert row["server_prompt_tokens"] == 3
    assert row["server_generated_tokens"] == 5
    assert row["server_running"] == 0
    assert row["server_waiting"] == 0


def test_the_rows_of_a_run_have_the_servers_own_figures_and_what_it_uses(golden, tmp_path):
    golden.set(tokens=40, per_token_ms=40)
    lines = tmp_path / "rows.jsonl"
    helper = Telemetry(lines, {}, None, progress=False, server=scraped(golden))
    try:
        assert "sesame" not in " ".join(psutil.Process(helper._process.pid).cmdline())
        golden.ask(prompt="a b c", stream=True)
    finally:
        helper.stop()
    rows = read_rows(lines, 0)
    assert max(row.get("server_running", 0) for row in rows) == 1
    assert rows[-1]["server_generated_tokens"] == 40  # it was asked a last time
    assert all(row["server_rss_bytes"] > 10 * 2**20 for row in rows)
    assert b"sesame" not in lines.read_bytes()


def test_a_certificate_is_trusted_where_it_is_named(golden_tls):
    where = scraped(golden_tls, golden_tls.ca_file).shown
    assert read_once(where)["server_running"] == 0
    unknown = where | {"ca_file": ""}
    assert read_once(unknown, patience_s=0.5) == {}
    assert read_once(unknown | {"is_checked": False})["server_running"] == 0


def test_a_server_that_says_nothing_leaves_the_rows_without_it(golden):
    golden.set(like="ollama")
    assert read_once(scraped(golden).shown, patience_s=0.5) == {}


@pytest.mark.parametrize(
    ("head", "is_whole"),
    [("content-length: 28", True), ("connection: close", True), ("content-length: 29", False)],
)
def test_a_page_that_was_cut_says_nothing(head, is_whole):
    page = "vllm:num_requests_running 12"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        scraper = Scraper({"url": f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"})
        with listener.accept()[0] as sock:
            sock.recv(1 << 16)
            sock.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{page}".encode())
    scraper.finish()
    assert scraper.take().get("server_running") == (12 if is_whole else None)


def read_once(where: dict, patience_s: float = 30.0) -> dict:
    scraper, row = Scraper(where), {}
    for _ in range(int(patience_s / 0.05)):
        if row := scraper.take():
            break
        sleep(0.05)
    scraper.finish()
    return row


def test_a_certificate_that_is_not_there_costs_the_figures_alone(golden_tls, tmp_path):
    where = scraped(golden_tls, str(tmp_path / "none.pem")).shown
    assert read_once(where, patience_s=0.5) == {}


def test_whatever_a_page_holds_comes_out_as_numbers():
    draw = random.Random(1)
    for _ in range(2_000):
        page = bytearray(VLLM.encode())
        for _ in range(draw.randrange(1, 6)):
            page[draw.randrange(len(page))] = draw.randrange(256)
        row = names.values(page.decode(errors="replace"))
        assert all(math.isfinite(value) for value in row.values())


def test_the_processes_of_a_server_on_this_machine_are_found(golden):
    assert [process.pid for process in listening("localhost", golden.port)] == [golden.pid]
    assert listening("192.0.2.1", golden.port) == []
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert listening("127.0.0.1", bound.getsockname()[1]) == []


def test_the_gpus_of_a_server_are_those_that_its_processes_are_booked_on(golden, monkeypatch):
    install(monkeypatch, {"pid": 1}, {"pid": golden.pid}, {"pid": golden.pid})
    assert used_by(scraped(golden)) == [1, 2]
    assert used_by(scraped(golden)._replace(host="192.0.2.1")) == []
    install(monkeypatch, {"pid": golden.pid}, refuse={PROCESSES: "NO_PERMISSION"})
    assert used_by(scraped(golden)) == []


class Asking(Simulated):
    """A SUT that asks a server of another machine, or one of this."""

    def __init__(self, clock, where: Scrape) -> None:
        super().__init__(clock)
        self._where = where

    def scrape(self) -> Scrape:
        return self._where


def test_gpus_of_this_machine_are_not_metered_for_a_server_of_another(golden, monkeypatch):
    install(monkeypatch, {"pid": golden.pid}, {})
    here, there = scraped(golden), scraped(golden)._replace(host="192.0.2.1")
    for where, indices in ((here, [0]), (there, [])):
        sut = Asking(VirtualClock(), where)
        assert gpus.metered(devices(sut), {}).indices == indices
    assert devices(Simulated(VirtualClock())) == {}


def test_processes_that_are_gone_use_nothing_known():
    family = Family([psutil.Process()])
    assert family.sample()["server_rss_bytes"] > 0
    family._heads = []
    assert family.sample() == {"server_rss_bytes": None, "server_cpu_percent": None}
