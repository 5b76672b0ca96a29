"""Do other clients measure the same of the same server?

    python -m tests.agreement --url http://127.0.0.1:8000/v1 --model smollm2-135m \
        --tokenizer FOLDER --vllm PYTHON --guidellm PYTHON --runs 3 --requests 64 --rate 1

The same prompts (of the dataset `qa`, in the model's own template), greedy, up to 32 tokens, in the
same order, asked in turn by `harness run`, `vllm bench serve` and `guidellm run`: one at a time, or
at `--rate` requests a second with Poisson arrivals. Each is run so many times; what is compared is
the mean of the means, and the spread between the runs of one client.

The server should keep no prompts (vLLM: --no-enable-prefix-caching), or the first client warms it
for the others.
"""
