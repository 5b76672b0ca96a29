"""How other programs find us from their own command lines: modules that run in their Python."""
