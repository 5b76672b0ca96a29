"""Finished run folders, shown: on the terminal now, as one page of HTML, side by side."""
