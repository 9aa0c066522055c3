"""A headless Chromium that a test steers through the DevTools protocol, over pipes."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any


class Browser:
    """One page; use it as a context."""

    def __init__(self, profile: Path) -> None:
        self._profile, self._count, self._session, self._rest = profile, 0, "", b""

    def __enter__(self) -> "Browser":
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self._profile}", "--remote-debugging-pipe"]
        line = f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", line, "bash", *words],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._in, 1 << 16)
            if not data:
                raise RuntimeError("chromium has gone")
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; dialogs are answered with yes."""
        self._count += 1
        wanted = self._count
        self._send({"id": wanted, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("method") == "Page.javascriptDialogOpening":
                self._count += 1
                self._send({"id": self._count, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}})
            if message.get("id") == wanted:
                if "error" in message:
                    raise RuntimeError(message["error"])
                return message["result"]

    def _send(self, message: dict[str, Any]) -> None:
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps({**message, **session}).encode() + b"\0")

    def open(self, address: str) -> None:
        """Open a page."""
        target = self.call("Target.createTarget", url=address)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def run(self, code: str) -> Any:
        """Return the value of a JavaScript expression; promises are waited for."""
        return self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)["result"].get("value")

    def wait_for(self, code: str, tries: int = 60) -> None:
        """Wait until an expression is true."""
        for _ in range(tries):
            try:
                if self.run(f"Boolean({code})"):
                    return
            except RuntimeError:  # between two pages
                pass
            time.sleep(0.25)
        raise AssertionError(f"never true: {code}")
