"""How long a cluster under test takes to be ready, and to be gone: `python -m tools.bench.cluster_start`.

Prints the time of the first import, and for one, three and five nodes the median and the worst of several starts and
stops, in seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    began = time.perf_counter()
    from sprawl.testing import Cluster

    Cluster  # noqa: B018 - it is imported by being named
    print(f"import, once a process: {time.perf_counter() - began:.2f} s")
    print(f"{'nodes':>5} {'ready, median':>14} {'worst':>7} {'gone, median':>13} {'worst':>7}")
    for nodes in arguments.nodes:
        ready, gone = [], []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            cluster = Cluster(nodes).start()
            started = time.perf_counter()
            cluster.stop()
            ready.append(started - began)
            gone.append(time.perf_counter() - started)
        figures = [statistics.median(ready), max(ready), statistics.median(gone), max(gone)]
        print("{:>5} {:>14.2f} {:>7.2f} {:>13.2f} {:>7.2f}".format(nodes, *figures))


if __name__ == "__main__":
    main()
