"""Real clusters of three nodes on one machine: clients of every kind, killed and frozen nodes, wrong ones."""
