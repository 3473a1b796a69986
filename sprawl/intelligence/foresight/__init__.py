"""How much load each partition will have in 5, 15 and 30 minutes.

In: what each series counted, step by step. Out: for each horizon the load that is as likely exceeded as not, and the
one that is exceeded one time in ten. `features` looks back, never ahead; `baselines` are the simple answers, `trees`
the learnt one; `selection` keeps to whichever was right lately; `conformal` keeps the promise of one in ten. No I/O,
no clock. Only `trees` knows LightGBM, and imports it when asked to learn or to load, not before.
"""
