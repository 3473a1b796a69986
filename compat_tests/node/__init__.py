"""kafkajs, the JavaScript client, which speaks older versions than any other here."""
