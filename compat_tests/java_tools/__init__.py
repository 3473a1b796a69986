"""Kafka's command line tools, as its scripts would call them."""
