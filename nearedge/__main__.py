"""``python -m nearedge``."""

from nearedge.cli import main

main()
