"""`make lab`, the one command of a newcomer: it serves the first notebook."""

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = "--no-browser --ip=127.0.0.1 --port=0 --IdentityProvider.token=t"


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
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.status == 200
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.stdout.close()
        process.wait(30)
