"""The builder: a Dockerfile becomes steps, steps become layers, equal steps come from the cache."""
