"""Where what was uploaded and what the leader has go different ways, which only an unclean election can bring about.

Pure; leader epochs in (KIP-101), an offset out.
"""

from __future__ import annotations

from collections.abc import Sequence

from sprawl.storage.epochs import LeaderEpochs

Entries = Sequence[tuple[int, int]]


def divergence(tier: Entries, tier_end: int, here: Entries, here_start: int, here_end: int) -> int | None:
    """The first offset from which on the tier has other records than the leader; None if there is none.

    What the leader does not have any more, below `here_start`, is not in question.
    """
    uploaded, kept = LeaderEpochs(tier), LeaderEpochs(here)
    end = min(tier_end, here_end)
    starts = {start for _, start in [*tier, *here] if here_start < start < end} | {here_start}
    for start in sorted(starts):
        if start < end and kept.epoch_of(start) >= 0 and uploaded.epoch_of(start) not in (-1, kept.epoch_of(start)):
            return start
    return here_end if here_end < tier_end else None
