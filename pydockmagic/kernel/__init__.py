"""The Docker kernel: cells are docker commands or a Dockerfile, run by the same magics as in a Python notebook."""
