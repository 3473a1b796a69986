"""What an operator sees of a node: its log, its metrics, and whether it is well."""
