"""What holds for every test: one thread a process, since two workers share two cores."""

import os

# Before torch is imported, and inherited by every process that a test starts. Threads of several
# workers that wait for each other on the same cores cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
