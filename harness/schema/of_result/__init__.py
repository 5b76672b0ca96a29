"""Parts of result.json that stand for themselves."""
