"""The parts of `examples/real_ct.py`, one idea a file."""
