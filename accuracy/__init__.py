"""How good and how honest are the outputs? One function and one line per output rule and per metric."""

RULES = {
    "samples_complete": "accuracy.output_rules:samples_complete",
    "events_in_order": "accuracy.output_rules:events_in_order",
    "first_token": "accuracy.output_rules:first_token",
    "eos": "accuracy.output_rules:eos",
    "token_count": "accuracy.output_rules:token_count",
}

METRICS = {
    "rouge": "accuracy.rouge:rouge",
    "length": "accuracy.length:tokens_per_sample",
    "characters": "accuracy.length:gen_len",
}
