"""A window on a real X server: the system libraries that dev.py installs are all that Qt needs to open one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROGRAM = """
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

app = QApplication([])
label = QLabel("Graftwerk")
label.show()
assert QTest.qWaitForWindowExposed(label, 20_000), "the window was not shown"
print(app.platformName())
"""


@pytest.fixture
def display() -> Iterator[str]:
    """An X server of our own, under the first free number."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1024x768x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with open(reading) as numbers:
        number = numbers.readline().strip()  # written once it accepts clients; empty where it ended before
    assert number, f"Xvfb ended with {server.wait()}"
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="X11 is how Linux shows windows")
def test_window_opens_on_x11(display: str) -> None:
    environment = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "xcb"), done.stderr
