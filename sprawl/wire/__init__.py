"""Sockets to requests and back: listeners, connections, pipelining, backpressure; the client for node-to-node calls.

Knows the protocol's frames and headers, and nothing of topics or groups: whoever builds a listener gives it a
`Dispatcher` that turns a request into an answer.
"""
