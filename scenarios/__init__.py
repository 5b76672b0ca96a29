"""When the next query may go, and what a valid run of that kind is. One file and one line per
scenario.
"""

TABLE = {
    "single-stream": "scenarios.single_stream:SingleStream",
    "multi-stream": "scenarios.multi_stream:MultiStream",
    "server": "scenarios.server:Server",
    "offline": "scenarios.offline:Offline",
}
