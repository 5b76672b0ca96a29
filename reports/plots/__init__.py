"""Pictures as SVG text: the only home of matplotlib.

Each function takes raw columns and returns one `<svg>` to be put inside a page, or "" if there is
nothing to draw. The same run gives the same bytes: no dates, no random ids, text as text. The
background is transparent and the ink mid grey, so that a picture reads on white and on black; a
page may overrule the colour of the text.
"""
