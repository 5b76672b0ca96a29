"""How good and how honest are the outputs? One function and one line per output rule and per
metric.
"""

RULES = {
    "samples_complete": "accuracy.outputs.rules:samples_complete",
    "events_in_order": "accuracy.outputs.rules:events_in_order",
    "times_in_order": "accuracy.outputs.rules:times_in_order",
    "first_token": "accuracy.outputs.rules:first_token",
    "eos": "accuracy.outputs.rules:eos",
    "token_count": "accuracy.outputs.rules:token_count",
    "not_empty": "accuracy.outputs.rules:not_empty",
    "length_limit": "accuracy.outputs.rules:length_limit",
    "streamed": "accuracy.outputs.rules:streamed",
    "text": "accuracy.outputs.rules:text",
}
RULES_OF_SERVERS = {"cold_prompts": "accuracy.outputs.cold:cold_prompts"}

METRICS = {
    "rouge": "accuracy.metrics.rouge:rouge",
    "multilingual_rouge": "accuracy.metrics.multilingual:multilingual_rouge",
    "bleu": "accuracy.metrics.bleu:bleu",
    "exact_match": "accuracy.metrics.exact_match:exact_match",
    "number_match": "accuracy.metrics.numbers:number_match",
    "mlperf_scores": "accuracy.metrics.mlperf:mlperf_scores",
    "multiple_choice": "accuracy.metrics.choices:multiple_choice",
    "length": "accuracy.metrics.length:tokens_per_sample",
    "characters": "accuracy.metrics.length:gen_len",
}
