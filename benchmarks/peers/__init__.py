"""One script a peer, each run by a Python of its own (setup.py makes them)."""
