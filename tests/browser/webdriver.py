"""A browser for tests: Chromium by the W3C WebDriver protocol, which is HTTP and JSON (https://www.w3.org/TR/webdriver2/)."""

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import httpx

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name of a reference to an element
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --window-size=1000,1200"
).split()
_PATIENCE = 15.0  # seconds until what a page should show counts as missing


def missing() -> str:
    """Which program is not installed, or empty."""
    return next((name for name in ("chromium", "chromedriver") if shutil.which(name) is None), "")


@contextlib.contextmanager
def driver() -> Iterator[str]:
    """A chromedriver on a port of its own choice; its address."""
    process = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class Browser:
    """One window."""

    def __init__(self, address: str, profile: str, *, javascript: bool) -> None:
        options: dict[str, Any] = {"args": [*_FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        if not javascript:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._client = httpx.Client(timeout=60, trust_env=False)
        made = self._client.post(f"{address}/session", json={"capabilities": {"alwaysMatch": capabilities}}).json()
        assert "sessionId" in made["value"], made
        self._session = f"{address}/session/{made['value']['sessionId']}"

    def close(self) -> None:
        self._client.delete(self._session)
        self._client.close()

    def open(self, url: str) -> None:
        self._do("POST", "url", {"url": url})

    @property
    def url(self) -> str:
        return str(self._do("GET", "url"))

    @property
    def title(self) -> str:
        return str(self._do("GET", "title"))

    @property
    def source(self) -> str:
        return str(self._do("GET", "source"))

    def text(self, css: str = "body") -> str:
        return str(self._do("GET", f"element/{self._find(css)}/text"))

    def has(self, css: str) -> bool:
        return bool(self._do("POST", "elements", {"using": "css selector", "value": css}))

    def click(self, css: str) -> None:
        """A page that is being replaced is waited for: a click on what has gone was none."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(LookupError):
                self._do("POST", f"element/{self._find(css)}/click", {})
                return
            time.sleep(0.05)
        raise AssertionError(f"{css!r} could not be clicked in {_PATIENCE:.0f} s")

    def type(self, css: str, text: str) -> None:
        element = self._find(css)
        if not text.startswith("/"):  # a path for a file's input, which cannot be cleared
            self._do("POST", f"element/{element}/clear", {})
        self._do("POST", f"element/{element}/value", {"text": text})

    def run(self, script: str) -> Any:
        """Run as the developer's tools do, also where the page's own scripts are switched off."""
        return self._do("POST", "execute/sync", {"script": script, "args": []})

    @contextlib.contextmanager
    def as_a_phone(self, width: int) -> Iterator[None]:
        """Lay pages out as on a screen of that many CSS pixels (Chromium's own command)."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        self._do("POST", "goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
        yield
        self._do("POST", "goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})

    def complaints(self) -> list[str]:
        """What the browser wrote to its console since the last call: refused by the policy, failed to load, ..."""
        return [entry["message"] for entry in self._do("POST", "se/log", {"type": "browser"})]

    def wait_for(self, text: str, css: str = "body") -> None:
        """Until the element shows the text; a page that is being replaced is waited for."""
        until = time.monotonic() + _PATIENCE
        seen = ""
        while time.monotonic() < until:
            with contextlib.suppress(LookupError):
                seen = self.text(css)
                if text in seen:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{text!r} did not appear in {_PATIENCE:.0f} s, but: {seen!r}")

    def _find(self, css: str) -> str:
        return str(self._do("POST", "element", {"using": "css selector", "value": css})[_ELEMENT])

    def _do(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """LookupError for what is not (any more) there, AssertionError for what else the browser refuses."""
        answer = self._client.request(method, f"{self._session}/{path}", json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            if answer["error"] in ("no such element", "stale element reference"):
                raise LookupError(answer["message"])
            raise AssertionError(f"{answer['error']}: {answer['message']}")
        return answer


@contextlib.contextmanager
def browser(address: str, *, javascript: bool = True) -> Iterator[Browser]:
    """A window with a profile of its own."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        window = Browser(address, profile, javascript=javascript)
        try:
            yield window
        finally:
            window.close()
