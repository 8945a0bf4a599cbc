"""One module for each step, named for its revision and what it brings."""
