"""Looking at a study: tables, the Plotly page, the sentence of result and the live display.

Everything here reads `Record`s and events of `utsearch.search` and trains nothing. Plotly and rich are imported inside
the functions that draw, so that `import utsearch.report` costs nothing.
"""
