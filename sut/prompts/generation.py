"""Which of a model's generation defaults are not applied here? An answer is the likeliest token at
every step, whatever generation_config.json says.

`generate(do_sample=False)` of transformers would apply some of it: penalties, forbidden and forced
tokens, a least length, beams. Then its answers differ from ours; so these are named. What only
sampling reads (temperature, top_p) is named where the model samples by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# What each setting is where it does nothing. None does nothing anywhere.
_NEUTRAL: dict[str, Any] = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": [],
    "force_words_ids": [],
    "constraints": [],
    "sequence_bias": {},
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "forced_decoder_ids": [],
    "min_length": 0,
    "min_new_tokens": 0,
    "exponential_decay_length_penalty": None,
    "num_beams": 1,
    "penalty_alpha": 0.0,
    "dola_layers": None,
    "guidance_scale": 1.0,
    "watermarking_config": None,
    "stop_strings": [],
    "max_time": None,
    "token_healing": False,
    "remove_invalid_values": False,
}
_SAMPLING: dict[str, Any] = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
_LONGEST = 60  # characters of a value in a note


def not_applied(config: Any) -> dict[str, Any]:
    """Return the settings of a GenerationConfig that answers here do not follow, with their
    values, as JSON takes them.
    """
    found = _set(config, _NEUTRAL)
    if getattr(config, "do_sample", None):
        found |= _set(config, _SAMPLING)
    return found


def _set(config: Any, neutral: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, nothing in neutral.items():
        value = getattr(config, name, None)
        if value is not None and value != nothing:
            found[name] = _as_json(value)
    return found


def _as_json(value: Any) -> Any:
    """Return the value, or what it says of itself where JSON has nothing like it."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return str(value)


def notes(defaults: Mapping[str, Any]) -> list[str]:
    """Say what was left out, and what that means."""
    changing = {name: value for name, value in defaults.items() if name not in _SAMPLING}
    sampling = {name: value for name, value in defaults.items() if name in _SAMPLING}
    said = []
    if changing:
        said.append(
            f"its generation_config.json sets {_listed(changing)}: not applied here, where each"
            " token is the likeliest one, so generate(do_sample=False) of transformers may answer"
            " otherwise"
        )
    if sampling:
        said.append(
            f"its generation_config.json samples ({_listed(sampling)}): answers here are greedy"
        )
    return said


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in settings.items())


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
