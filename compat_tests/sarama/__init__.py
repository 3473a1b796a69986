"""sarama, the older Go client. Its program is in `../go/sarama`."""
