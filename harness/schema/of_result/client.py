"""What do the workers say of themselves that ask a server?"""

from __future__ import annotations

from harness.schema.parts import many, number, open_record, record, text, whole

CLIENT = open_record("Of a run that asked a server: the workers that sent and stamped.", {
    "workers": whole("Processes that send and listen."),
    "wall_s": number("Time from the start of the plan to its end.", "s"),
    "answers": whole("Requests that ended, in whatever way."),
    "reads": whole("Reads that brought something."),
    "connections": whole("Connections that were open at the end."),
    "opened": whole("Connections that were opened while the clock ran."),
    "sent_again": whole("Requests sent again: the server had closed their connection before."),
    "retries": whole("Requests sent again in accuracy mode, since the server had no room."),
    "busy_percent": number("Time that the busiest worker was at work.", "% of the time"),
    "cpu_s": number("Processor time of all workers.", "s"),
    "scheduler_wait_s": number("Time that a worker was ready and had no processor, at most.", "s"),
    "lag_p50_us": number("Median delay of a request after its due time.", "us"),
    "lag_p99_us": number("p99 delay of a request after its due time.", "us"),
    "stamp_delay_p50_us": number("Median time from the kernel's stamp of a read to ours.", "us"),
    "stamp_delay_p99_us": number("p99 time from the kernel's stamp of a read to ours.", "us"),
    "clocks": many(
        "Of each worker on another machine: how its clock compares with ours.",
        record("A worker.", {
            "host": text("Where it was started (--client)."),
            "offset_ms": number("Its clock less ours, before the run.", "ms"),
            "drift_us": number("Change of that until the run had ended.", "us"),
            "error_us": number("How far its stamps may be off, at most.", "us"),
        }),
    ),
    "capacity": record("What one worker can take here, where it was measured.", {
        "answers_per_s": number("Answers that come in one write.", "1/s"),
        "chunks_per_s": number("Chunks that come apart.", "1/s"),
    }),
})  # fmt: skip
