"""Colours and type of the figures: Okabe and Ito's, legible to the colour-blind on white and on near-black.

The figures carry the light theme, which is also right for print; `assets/page.css` replaces these values in the dark.
"""

BLUE = "#0072b2"  # new designs
VERMILLION = "#d55e00"  # the catalogue's
GREY = "#8a8f98"  # what was stopped, axes, leaders
INK = "#1c1f24"
SOFT = "#5b626d"
RULE = "#e3e6ea"
PAPER = "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
