"""confluent-kafka: librdkafka, the client beneath most languages."""
