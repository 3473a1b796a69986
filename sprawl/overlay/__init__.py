"""Who is there, and who should hold what: gossip finds, the ring places. Both only propose; the quorum decides."""
