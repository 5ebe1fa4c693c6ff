"""How fast this machine is just now: CPU figures of two runs compare only when this does.

On shared hardware the same work costs half as much again when a neighbour is busy.
"""

import time

_ROUNDS = 5
_ADDITIONS = 500_000


def calibration_ms() -> float:
    """Milliseconds of CPU for half a million additions, the median of five rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        total = 0
        for number in range(_ADDITIONS):
            total += number * number % 7
        rounds.append((time.process_time() - began) * 1000)
    return sorted(rounds)[_ROUNDS // 2]
