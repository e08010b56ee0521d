"""Breaks a worker's broker connection as a defect of the transport does: with an error that Celery cannot handle."""

from pathlib import Path
from typing import Any

from kombu.transport.redis import MultiChannelPoller

_on_readable = MultiChannelPoller.on_readable


def break_when_there_is(file: Path) -> None:
    """From now on this process's broker fails once the file exists; the file is removed."""

    def on_readable(this: Any, *args: Any) -> Any:
        if file.exists():
            file.unlink()
            raise AttributeError("'NoneType' object has no attribute 'hostname'")
        return _on_readable(this, *args)

    MultiChannelPoller.on_readable = on_readable  # type: ignore[method-assign]
