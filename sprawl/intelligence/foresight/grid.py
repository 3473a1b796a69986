"""Time as forecasts count it: steps of equal length, days and weeks in steps, horizons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]

HORIZON_MINUTES: Final = (5, 15, 30)
DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Grid:
    step_seconds: int = 300

    @property
    def day(self) -> int:
        """Steps in a day."""
        return max(1, DAY_SECONDS // self.step_seconds)

    @property
    def hour(self) -> int:
        return max(1, 3600 // self.step_seconds)

    @property
    def week(self) -> int:
        return 7 * self.day

    @property
    def horizons(self) -> tuple[int, ...]:
        """In steps, never less than one."""
        return tuple(max(1, round(minutes * 60 / self.step_seconds)) for minutes in HORIZON_MINUTES)

    @property
    def history(self) -> int:
        """How many steps the features look back."""
        return self.week + self.hour
