"""A typed client of the Docker Engine API over httpx, its transports, and finding or starting the engine."""
