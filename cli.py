"""The command line of a checkout: the same as the installed `utsearch`."""

from utsearch.cli import main

if __name__ == "__main__":
    main()
