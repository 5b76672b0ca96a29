"""What does an answer over HTTP say? `read.answer` makes an Answer of an Exchange."""
