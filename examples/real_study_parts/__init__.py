"""The parts of the example `real_study.py`."""
