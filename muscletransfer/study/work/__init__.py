"""The bodies of the two kinds of job: a pre-training and a fine-tuning with its test.

Each takes ``(payload, folder)``, plain values and an empty folder, and writes its files there. It
runs in a process of its own and knows nothing of the engine.
"""
