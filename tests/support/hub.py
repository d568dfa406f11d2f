"""A stand-in for Docker Hub as a program: ``hub.py PORT``; it takes images and answers what was recorded."""

from __future__ import annotations

import sys
import time

from support.registry import fake_registry

_FOUND = [
    ("busybox", "Busybox base image.", 3250, True, False),
    ("ubuntu", "Ubuntu is a Debian-based Linux operating system based on free software.", 17000, True, False),
    ("stackbrew/ubuntu", "", 3, False, True),
    ("ubuntu/nginx", "Nginx, a high-performance reverse proxy & web server.", 112, False, False),
]
_FIELDS = ("name", "description", "star_count", "is_official", "is_automated")


def main(port: int) -> None:
    """Serve until the end."""
    with fake_registry(port) as registry:
        registry.is_hub = True
        registry.results = [dict(zip(_FIELDS, row, strict=True)) for row in _FOUND]
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
