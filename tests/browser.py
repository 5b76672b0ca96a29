"""A browser without a window, told what to do by the DevTools protocol over two pipes: pages are
opened, keys pressed, and what the page then says is read.

    with Browser(tmp_path) as page:
        page.open(url, width=390, dark=True)
        page.press("/")
        assert page.value("document.activeElement.name") == "q"
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_KEYS = {  # key: (code, Windows' number, text)
    "/": ("Slash", 191, "/"), " ": ("Space", 32, " "), "c": ("KeyC", 67, "c"),
    "Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""),
    "ArrowDown": ("ArrowDown", 40, ""), "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""), "ArrowLeft": ("ArrowLeft", 37, ""),
}  # fmt: skip
PATIENCE_S = 60


class Browser:
    """One tab of a browser with a profile of its own in `place`."""

    def __init__(self, place: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def to_3_and_4() -> None:
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3)
            os.dup2(second, 4)

        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={place / 'profile'}", "about:blank"],
            preexec_fn=to_3_and_4, pass_fds=(3, 4, theirs_in, theirs_out),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._left, self._number = b"", 0
        self._session = ""
        self.said: list[str] = []  # what pages complained of
        targets = self._tell("Target.getTargets")["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        attached = self._tell("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._tell(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def open(self, url: str, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Open a page and wait until it is there."""
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", features=[scheme])
        self._tell("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Return what an expression of the page is."""
        done = self._tell(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression of the page is true."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self.value(f"Boolean({expression})"):
                    return
            except (AssertionError, KeyError):
                pass  # the page is being replaced
            assert time.monotonic() < until, f"{expression} never came true"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press a key and let go of it."""
        code, number, text = _KEYS[key]
        how = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        kind = "keyDown" if text else "rawKeyDown"
        self._tell("Input.dispatchKeyEvent", type=kind, **how, **({"text": text} if text else {}))
        self._tell("Input.dispatchKeyEvent", type="keyUp", **how)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self._tell("Input.insertText", text=text)

    def picture(self, file: Path) -> Path:
        """Keep what is seen as a PNG."""
        data = self._tell("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))
        return file

    def _tell(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._heard()
            if answer.get("method") == "Log.entryAdded":
                self.said.append(answer["params"]["entry"]["text"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _heard(self) -> Any:
        while b"\0" not in self._left:
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._left += data
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)
