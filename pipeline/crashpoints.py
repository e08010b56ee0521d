"""Named places where the crash tests kill, raise or pause: no-ops unless a test arms them.

`STEP.VERB.POINT`: `due` (message taken, nothing claimed), `claimed` (claim committed, effect not begun), `CALL_stored`
(a provider call stored, nothing sent), `effect` (effect done, nothing recorded), `recorded` (nothing published),
`published` (message not acknowledged); `submission.accept.` and `sweep.take.` have their own (see their modules).
PIPELINE["CRASH_FILE"] arms real processes: whoever comes to the place that this file names removes it and dies.
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


def arm_kill(file: Path) -> None:
    """Kill this process with -9 at the point that the file names, once: the file is removed first."""

    def kill(reached_point: str) -> None:
        try:
            if file.read_text().strip() != reached_point:
                return
            file.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    arm(kill)
