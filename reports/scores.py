"""What each score in `result.json` means, and in which unit: the one place that says it.

Scores "of 100" are figures from 0 to 100, higher is better. The others have units of their own and
are never shown among those.
"""

from __future__ import annotations

from typing import NamedTuple

OF_100 = "of 100"


class Score(NamedTuple):
    """`unit` is OF_100 for a figure from 0 to 100."""

    unit: str
    meaning: str


SCORES = {
    "rouge1": Score(OF_100, "ROUGE-1 F-measure against the reference answers, mean over answers"),
    "rouge2": Score(OF_100, "ROUGE-2 F-measure, the same way"),
    "rougeL": Score(OF_100, "ROUGE-L F-measure, the same way"),
    "rougeLsum": Score(OF_100, "ROUGE-L F-measure sentence by sentence, the same way"),
    "multilingual_rouge1": Score(OF_100, "ROUGE-1 F-measure over the words of every script"),
    "multilingual_rouge2": Score(OF_100, "ROUGE-2 F-measure, the same way"),
    "multilingual_rougeL": Score(OF_100, "ROUGE-L F-measure, the same way"),
    "multilingual_rougeLsum": Score(OF_100, "ROUGE-L F-measure sentence by sentence, the same way"),
    "bleu": Score(OF_100, "corpus BLEU against the reference answers, as sacrebleu computes it"),
    "bleu_p1": Score(OF_100, "1-gram precision of BLEU"),
    "bleu_p2": Score(OF_100, "2-gram precision of BLEU"),
    "bleu_p3": Score(OF_100, "3-gram precision of BLEU"),
    "bleu_p4": Score(OF_100, "4-gram precision of BLEU"),
    "bleu_bp": Score("factor", "brevity penalty of BLEU"),
    "exact_match": Score(
        OF_100,
        "share of answers equal to a short reference answer; for the dataset of llama3.1-405b,"
        " MLPerf's score of that name",
    ),
    "token_f1": Score(OF_100, "F-measure of shared words with a short reference answer"),
    "number_match": Score(OF_100, "share of answers whose final number is the reference's"),
    "number_match_strict": Score(OF_100, "the same, counting only answers that mark their number"),
    "number_match_marked": Score(
        "answers", "answers that mark their number (#### 42, \\boxed{42})"
    ),
    "number_match_unread": Score("answers", "answers in which no number was found"),
    "gsm8k": Score(OF_100, "share of answers whose number is right by MLPerf's rule for GSM8K"),
    "multiple_choice": Score(OF_100, "share of answers that choose the right letter"),
    "multiple_choice_unread": Score("answers", "answers in which no choice was found"),
    "tokens_per_sample": Score("tokens", "mean length of an answer"),
    "gen_len": Score("characters", "total length of all answers, as MLPerf counts it"),
    "eval_loss": Score("nats per token", "teacher-forced loss on the reference answers"),
    "perplexity": Score("ratio", "exp(eval_loss)"),
    "token_accuracy": Score("share", "reference tokens that were the model's first choice, 0 to 1"),
    "eval_samples": Score("answers", "reference answers that were scored"),
    "eval_tokens": Score("tokens", "reference tokens that were scored"),
    "eval_samples_per_s": Score("answers/s", "speed of that scoring"),
}


def unit(name: str) -> str:
    """Return the unit of a score; unknown metrics score from 0 to 100."""
    return SCORES[name].unit if name in SCORES else OF_100
