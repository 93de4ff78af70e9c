"""`python -m utsearch`: the command line."""

from utsearch.cli import main

main()
