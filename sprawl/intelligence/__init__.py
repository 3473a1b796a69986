"""What a cluster knows of its load, what it expects, and what it does about it before it hurts."""
