"""A server whose answers are known: which tokens, at which moments, with which failure.

It speaks the OpenAI API as vLLM, SGLang, llama-server, TGI, TensorRT-LLM or Ollama do, without a
model, and stamps what it sends. Clients are judged against those stamps.

    python -m sut.golden.server '{"tokens": 16, "ttft_ms": 50, "per_token_ms": 5}'
"""
