"""Storage drivers: they give a container its root from read-only layers; they know no image format."""
