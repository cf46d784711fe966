"""A pretext task, an encoder and a weight source for muscletransfer.

Nobody imports this package by hand: muscletransfer finds its parts through the entry points in
``pyproject.toml`` and imports just the one that is asked for.
"""
