"""The customers: they submit, repeat until they are answered, and keep a log of their own of every answer."""

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import urllib3

from tests.chaos.mix import Submission

PATIENCE: Final = 120.0  # seconds for which a customer repeats a submission that was not answered
PAUSE: Final = 0.3
AGAIN: Final = frozenset({429, 502, 503, 504})
AT_ONCE: Final = 48  # customers whose requests are open at the same time
TERMINAL: Final = ("committed", "rolled_back")


class SentHomeError(Exception):
    """The run was ended before its time."""


@dataclass
class Customers:
    """Sends submissions at their times. `log` has one line for each answer, or for none."""

    web: str
    sandbox: str
    log: Path
    began: float = 0.0
    odd: list[str] = field(default_factory=list)  # answers that the contract does not allow
    slowest: list[float] = field(default_factory=list)  # seconds of each first answer
    since_due: list[float] = field(default_factory=list)  # the same, from the time at which it was to be sent
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    _open: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _sent_home: threading.Event = field(default_factory=threading.Event)
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=AT_ONCE, retries=False))

    def serve(self, submissions: Iterable[Submission]) -> None:
        """All of them at their times; returns when the last customer has done what he does."""
        self.began = time.monotonic()
        waiting: list[Future[None]] = []
        try:
            for one in submissions:
                time.sleep(max(0.0, self.began + one.at - time.monotonic()))
                waiting += [self._pool.submit(self._come, one, copy) for copy in range(one.copies)]
            for each in waiting:
                each.result()
        except KeyboardInterrupt:
            self._sent_home.set()  # this process ends when the last of them has
            raise

    def open(self) -> int:
        """How many submissions wait for their answer just now (about: threads race for the number)."""
        return self._open

    def come_again(self, submissions: Iterable[Submission]) -> None:
        """Those who send the same once more, and once with other content under the same key."""
        for one in submissions:
            self._submit(one, "again", one.body)
            changed = (
                one.body | {"line_items": [{"vendor": "X", "amount": 999}]} | {"title": "Another", "name": "Other"}
            )
            self._submit(one, "changed", changed)

    def _come(self, one: Submission, copy: int) -> None:
        accepted = self._submit(one, "first" if copy == 0 else "copy", one.body)
        if accepted is None or copy or one.kind.then in ("", "abandon"):
            return
        if one.kind.then == "cancel":
            time.sleep(one.after)
            self._cancel(accepted)
        else:
            self._authenticate(one, accepted)

    def _submit(self, one: Submission, which: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Repeated with the same key until it is answered. The pipeline when it was accepted."""
        url, headers = f"{self.web}{one.kind.path}", {"Idempotency-Key": one.key}
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            began = time.monotonic()
            self._open += 1
            status, answer = self._ask("POST", url, json=body, headers=headers)
            self._open -= 1
            took = time.monotonic() - began
            self._note(one, which, status, answer, took)
            if status == 202:
                if which == "first":
                    self.slowest.append(took)
                    self.since_due.append(time.monotonic() - self.began - one.at)
                return answer
            if status not in AGAIN and status != 0:
                if (which, status) != ("changed", 422):
                    self.odd.append(f"{one.key} ({which}): {status} {str(answer)[:300]}")
                return None
            time.sleep(PAUSE)
        self.odd.append(f"{one.key} ({which}) was not answered within {PATIENCE:.0f} s")
        return None

    def _cancel(self, pipeline: dict[str, Any]) -> None:
        self._persist("POST", pipeline["links"]["cancel"], (202, 409))

    def _authenticate(self, one: Submission, pipeline: dict[str, Any]) -> None:
        """Waits until the customer is asked; then passes or fails."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            _, now = self._ask("GET", pipeline["links"]["self"])
            if now.get("state") in TERMINAL:
                return
            if now.get("state") == "waiting":
                break
            time.sleep(PAUSE)
        else:
            return
        intent = now["next_action"]["client_secret"].split("_secret_")[0]
        outcome = "succeed" if one.kind.then == "authenticate" else "fail"
        url = f"{self.sandbox}/_sandbox/stripe/payment_intents/{intent}/authenticate"
        self._persist("POST", url, (200, 400, 404, 409), json={"outcome": outcome})
        self._note(one, outcome, 200, {"id": pipeline["id"]}, 0.0)
        if one.number % 2:  # the others rely on the webhook, or on being asked
            self._persist("POST", pipeline["links"]["self"] + "resume/", (202, 409))

    def _persist(self, method: str, url: str, until: tuple[int, ...], **more: Any) -> None:
        for _ in range(int(PATIENCE / PAUSE)):
            status, _answer = self._ask(method, url, **more)
            if status in until:
                return
            time.sleep(PAUSE)

    def _ask(self, method: str, url: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and body; status 0 when no answer came."""
        if self._sent_home.is_set():
            raise SentHomeError
        try:
            answer = self._http.request(method, url, timeout=15, **more)
            return answer.status, answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            return 0, {"error": type(error).__name__}

    def _note(self, one: Submission, which: str, status: int, answer: dict[str, Any], took: float) -> None:
        line = {"at": round(time.monotonic() - self.began, 3), "key": one.key, "kind": one.kind.name, "which": which}
        line |= {"status": status, "id": answer.get("id"), "took": round(took, 3)}
        with self._writing, self.log.open("a") as out:
            out.write(json.dumps(line) + "\n")
