"""`make lab`, the one command of a newcomer: it serves the first notebook."""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = "--no-browser --ip=127.0.0.1 --port=0 --IdentityProvider.token=t"


def status_of(address):
    """Ask until somebody listens: the server tells its address a moment before it does."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.status
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def test_make_lab_serves_the_first_notebook(tmp_path):
    environ = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    process = subprocess.Popen(
        ["make", "lab", f"LAB_OPTIONS={OPTIONS}"], cwd=ROOT, env=environ, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = ""
    try:
        for line in process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise AssertionError(said)
        address = f"{found[0]}/api/contents/01-first-container.ipynb?content=0&token=t"
        assert status_of(address) == 200
        assert status_of(f"{found[0]}/lab/extensions/pydockmagic/static/highlight.js") == 200
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.stdout.close()
        process.wait(30)
