"""Whole clusters in deterministic simulation: nodes, clients, faults, and the judgement of what was seen.

`cluster.py` boots and restarts nodes; `clients.py` produces and consumes and writes down what it sees.
"""
