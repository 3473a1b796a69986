"""Chaos: a cluster of real nodes with real clients, harmed on purpose, and judged by what the clients saw.

`python -m tools.chaos --nodes 3 --minutes 10`; `docs/chaos.md` says what it does and how to read what it leaves.

Who does what: `isolation` gives the run a network and mounts of its own; `switch` is the network between the nodes,
with the faults that `Rules` (`links`) tell; `nodes` and `cluster` start, kill, freeze and empty nodes; `librdkafka` and
`ChaosClients.java` are programs that write down all they do (`journal`), and `clients` starts them; `faults` draws what
happens when, and `nemesis` does it; `liveness` demands that all is well again; `replicas` compares the disks;
`tools.history` judges what the clients wrote down; `course` is a whole run, `screen` shows it, `report` sums it up.
"""
