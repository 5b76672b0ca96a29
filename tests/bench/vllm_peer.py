"""vLLM on this CPU, compiled: `.venv-vllm/bin/python -m tests.bench.vllm_peer MODEL DTYPE SLOTS`
(`make bench-vllm`).

Its cache of prompt prefixes is emptied before each work, because a round asks again what the round
before asked; what the prompts of one work share (the chat template) it may still share.
"""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.answering import Answer, Answers, Work, serve, timed


def load(path: str, dtype: str, slots: int) -> tuple[Answer, dict[str, Any]]:
    from vllm import LLM, SamplingParams

    llm = LLM(
        path, dtype=dtype, max_num_seqs=slots, max_model_len=512, max_num_batched_tokens=2048,
        enforce_eager=False, skip_tokenizer_init=True, disable_log_stats=True, seed=0,
    )  # fmt: skip

    def answer(work: Work) -> Answers:
        llm.reset_prefix_cache()
        prompts = [{"prompt_token_ids": list(prompt)} for prompt in work.prompts]
        asked = [
            SamplingParams(temperature=0, max_tokens=n, ignore_eos=True, detokenize=False)
            for n in work.new_tokens
        ]

        def run() -> list[list[int]]:
            return [
                list(done.outputs[0].token_ids)
                for done in llm.generate(prompts, asked, use_tqdm=False)
            ]

        return timed(run)

    return answer, {}


if __name__ == "__main__":
    serve(lambda: load(sys.argv[1], sys.argv[2], int(sys.argv[3])))
