"""Named places where the crash tests kill, raise or pause: no-ops unless a test arms them.

`STEP.VERB.claimed` (claim committed, effect not begun), `.effect` (effect done, nothing recorded),
`.recorded` (result recorded, nothing published). Real worker processes are armed by
PIPELINE["CRASH_AT"] = "payment.commit.effect@/path/of/a/file": the process kills itself there with -9, once,
as the file is made first.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

_hook: Callable[[str], None] | None = None


def reached(step: str, verb: str, point: str) -> None:
    """Tell the armed hook, if any, where the executor is."""
    if _hook is not None:
        _hook(f"{step}.{verb}.{point}")


def arm(hook: Callable[[str], None] | None) -> None:
    """Set the hook, or with None take it off."""
    global _hook
    _hook = hook


def arm_kill(place: str) -> None:
    """Kill this process with -9 at `POINT@FILE`, unless the file is there already."""
    point, _, marker = place.partition("@")

    def kill(reached_point: str) -> None:
        if reached_point == point and _make_once(Path(marker)):
            os.kill(os.getpid(), signal.SIGKILL)

    arm(kill)


def _make_once(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
