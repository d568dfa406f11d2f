"""The mini-engine: a daemon that serves the Docker Engine API; it never imports a client of that API."""
