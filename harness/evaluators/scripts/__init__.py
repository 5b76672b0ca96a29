"""What the Python of a tool runs: each file stands alone and imports nothing of ours."""
