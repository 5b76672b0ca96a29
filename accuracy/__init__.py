"""How good and how honest are the outputs? One function and one line per output rule and per
metric.
"""

RULES = {
    "samples_complete": "accuracy.output_rules:samples_complete",
    "events_in_order": "accuracy.output_rules:events_in_order",
    "times_in_order": "accuracy.output_rules:times_in_order",
    "first_token": "accuracy.output_rules:first_token",
    "eos": "accuracy.output_rules:eos",
    "token_count": "accuracy.output_rules:token_count",
    "not_empty": "accuracy.output_rules:not_empty",
    "length_limit": "accuracy.output_rules:length_limit",
    "streamed": "accuracy.output_rules:streamed",
    "text": "accuracy.output_rules:text",
}

METRICS = {
    "rouge": "accuracy.rouge:rouge",
    "bleu": "accuracy.bleu:bleu",
    "exact_match": "accuracy.exact_match:exact_match",
    "number_match": "accuracy.number_match:number_match",
    "mlperf_scores": "accuracy.mlperf_scores:mlperf_scores",
    "multiple_choice": "accuracy.multiple_choice:multiple_choice",
    "length": "accuracy.length:tokens_per_sample",
    "characters": "accuracy.length:gen_len",
}
