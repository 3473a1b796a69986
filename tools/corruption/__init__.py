"""What a cluster makes of each of its files when it is damaged: file kind by damage, in simulated clusters."""
