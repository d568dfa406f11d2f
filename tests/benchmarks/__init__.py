"""Benchmarks: ours and the peer's in one run, figures in milliseconds, the ratio at the end of each line."""
