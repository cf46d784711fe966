"""How long ranks talk, and how long a study of independent runs takes: plain arithmetic.

Exchange of gradients: a ring, in which each of n ranks sends and receives 2 (n - 1) / n times the
bytes in 2 (n - 1) messages (Patarasu & Yuan, J Parallel Distrib Comput 2009;69(2):117-124). Over
several nodes it is done in three parts, as NCCL does: scattered and reduced inside each node, the
parts exchanged between the nodes over the node's one connection, and gathered inside again.
DistributedDataParallel exchanges buckets while the backward pass goes on, so only what is left when
it has ended is waited for, and the last bucket always is.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

#: Part of a step that is the backward pass, during which gradients travel.
BACKWARD = 2 / 3
#: Bytes of a bucket of DistributedDataParallel (its default, 25 MiB).
BUCKET = 25 * 2**20


@dataclass(frozen=True)
class Network:
    """What connects GPUs; the bandwidths are of one direction and as exchanges reach them.

    Args:
        name: In words.
        inside: GB/s of a GPU to others of its node.
        between: GB/s of a whole node to other nodes.
        latency_us: Microseconds of one message.
    """

    name: str
    inside: float
    between: float
    latency_us: float


#: Assumptions, not measurements.
NETWORKS = {
    "ethernet": Network("PCIe in a node, 10 Gbit Ethernet between", 20.0, 1.1, 30.0),
    "fast ethernet": Network("PCIe in a node, 100 Gbit Ethernet between", 20.0, 11.0, 20.0),
    "infiniband": Network("NVLink in a node, 400 Gbit InfiniBand between", 350.0, 45.0, 5.0),
}


@dataclass(frozen=True)
class Exchange:
    """Ranks that talk.

    Args:
        network: What connects them.
        world: How many ranks.
        per_node: How many of them a node has.
    """

    network: Network
    world: int
    per_node: int

    def seconds(self, size: float) -> float:
        """Seconds until every rank has the sum of so many bytes of each."""
        nodes = -(-self.world // self.per_node)
        latency = self.network.latency_us * 1e-6
        near = 2 * (self.per_node - 1)
        taken = near / self.per_node * size / (self.network.inside * 1e9) + near * latency
        far = 2 * (nodes - 1)
        return taken + far / nodes * size / (self.network.between * 1e9) + far * latency

    def exposed(self, size: float, step: float) -> float:
        """Seconds that a step of so many seconds waits for the exchange.

        Args:
            size: Bytes of all gradients.
            step: Seconds of a step of one rank by itself.
        """
        last = self.seconds(min(size, BUCKET))
        return max(last, self.seconds(size) - BACKWARD * step)

    def gather(self, size: float) -> float:
        """Seconds until every rank has a table of so many bytes, of which each has a part."""
        nodes = -(-self.world // self.per_node)
        slowest = self.network.between if nodes > 1 else self.network.inside
        steps = self.world - 1
        return steps / self.world * size / (slowest * 1e9) + steps * self.network.latency_us * 1e-6


def study_seconds(
    runs: int, pretexts: int, run_s: float, pretext_s: float, devices: int, overhead_s: float
) -> float:
    """Seconds of a study whose runs take one device each and start when their source is ready.

    Args:
        runs: Fine-tunings, shared evenly among the pre-trainings and the start without one.
        pretexts: Pre-trainings.
        run_s: Seconds of a fine-tuning.
        pretext_s: Seconds of a pre-training.
        devices: How many jobs run at once.
        overhead_s: What the engine adds to each job.

    Returns:
        From the start to the end of the last job; each device takes the next job that is ready.
    """
    free = [0.0] * devices
    waiting = [(0.0, 0, pretext_s, k) for k in range(1, pretexts + 1)]
    waiting += [(0.0, 1, run_s, 0)] * (runs // (pretexts + 1))
    each, rest = divmod(runs - runs // (pretexts + 1), pretexts)
    heapq.heapify(waiting)
    end = 0.0
    while waiting:
        ready, kind, length, source = heapq.heappop(waiting)
        begin = max(heapq.heappop(free), ready)
        done = begin + length + overhead_s
        heapq.heappush(free, done)
        end = max(end, done)
        if kind == 0:
            more = each + (source <= rest)
            for _ in range(more):
                heapq.heappush(waiting, (done, 1, run_s, 0))
    return end
