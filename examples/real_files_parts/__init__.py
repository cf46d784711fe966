"""What examples/real_files.py consists of."""
