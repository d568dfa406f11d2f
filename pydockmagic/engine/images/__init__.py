"""The image service: content store, references, layers and their indexes; no container is known here."""
