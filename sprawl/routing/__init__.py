"""Who serves this? The way from a topic's name or id to the partition, here or on another node."""
