"""The outside world of the peers: each request is one effect, counted by its key."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

STEPS: Final = ("logo", "posting", "payment", "email")
REFUSED_AT: Final = "payment"
LATENCY: Final = 0.004  # seconds, about what the sandbox takes


def expected(*, is_refused: bool) -> set[str]:
    """The effects of a saga that ended right."""
    if is_refused:
        return {"logo.stage", "posting.stage", "payment.stage", "posting.undo", "logo.undo"}
    return {f"{step}.{verb}" for step in STEPS for verb in ("stage", "commit")}


@dataclass
class Effects:
    """What happened, by key: `SAGA/STEP.VERB`."""

    url: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    ends: dict[str, float] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)  # workers that have started
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator["Effects"]:
        """Answer until the block ends."""
        effects = cls()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(LATENCY)
                effects.happen(self.path.strip("/"))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        effects.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield effects
        finally:
            server.shutdown()
            server.server_close()

    def happen(self, key: str) -> None:
        """One request. The last effect that a saga needs ends it."""
        saga, _, place = key.partition("/")
        with self._lock:
            if saga == "ready":
                self.ready.add(place)
                return
            self.seen[key] += 1
            if saga not in self.ends and (
                self._has_all(saga, is_refused=False) or self._has_all(saga, is_refused=True)
            ):
                self.ends[saga] = time.monotonic()

    def _has_all(self, saga: str, *, is_refused: bool) -> bool:
        return all(f"{saga}/{place}" in self.seen for place in expected(is_refused=is_refused))

    def ended_right(self, saga: str, *, is_refused: bool) -> bool:
        """All of its effects and no others."""
        places = {key.partition("/")[2] for key in self.seen if key.startswith(f"{saga}/")}
        return places == expected(is_refused=is_refused)

    def repeats(self) -> int:
        """Requests with a key that was used already."""
        return sum(number - 1 for number in self.seen.values())

    def wait_for_ready(self, workers: int, seconds: float) -> bool:
        """Whether so many workers have said that they are ready, within the time."""
        until = time.monotonic() + seconds
        while len(self.ready) < workers and time.monotonic() < until:
            time.sleep(0.05)
        return len(self.ready) >= workers

    def wait_for(self, sagas: Iterable[str], seconds: float) -> None:
        """Until all have ended, or the time is over."""
        wanted, until = set(sagas), time.monotonic() + seconds
        while time.monotonic() < until and not wanted <= self.ends.keys():
            time.sleep(0.1)
