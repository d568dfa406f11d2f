"""Tests of docker-py that pass on dockerd 20.10 and are expected to fail here, each with the reason."""

FAILURES: dict[str, str] = {}
