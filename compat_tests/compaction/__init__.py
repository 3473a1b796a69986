"""Topics with `cleanup.policy=compact`, written and read by ordinary clients."""
