"""A variant of a model at an address that speaks the OpenAI API: `python -m harness serve`."""
