"""kcat: pipes in and out of a topic, over whatever librdkafka the distribution carries."""
