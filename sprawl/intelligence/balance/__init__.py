"""Which leaders and replicas to move before a node has too much to carry.

In: who holds what (`cluster`), what every partition is expected to carry (`Outlook`), what was moved lately. Out: a
`Plan`: a few moves, each with its reason and what was expected. `goals` says what is wrong in order of how much it
matters, `policy` what to do about it and when to leave well alone. No I/O, no clock; nothing here carries out a move.
"""
