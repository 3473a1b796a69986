"""`sprawl-admin`: what an operator does to a cluster, over the Kafka protocol like any other client."""
