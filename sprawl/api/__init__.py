"""The HTTP API: what Kafka's protocol does for administrators, producers and consumers, as JSON over HTTP.

In: requests from the status server. Out: pages. Every operation is declared once (`operations.py`); routing, checking
and the OpenAPI document follow from that. All work is done by the node's own Kafka handlers, with the principal of who
asks, so that access control, limits and answers are those of the Kafka side. Nothing here holds state.
"""
