"""Who is asking, and whether they may. Pure checks: no I/O, no clock."""
