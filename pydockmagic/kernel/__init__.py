"""The Docker kernel: cells are docker commands or a Dockerfile, run by the same commands as the magics."""
