"""Runtime drivers: they start a process inside a root and watch it; they know no image and no HTTP."""
