"""docker-py's own integration tests against a daemon: fetched when tests run, never committed."""
