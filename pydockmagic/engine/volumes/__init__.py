"""Volumes: what a container mounts, as it is asked for, and the named directories that outlive containers.

Knows nothing of containers: it is told who uses a volume. ``records`` is data, which any service may import.
"""
