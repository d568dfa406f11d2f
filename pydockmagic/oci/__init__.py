"""OCI images, pure: references, digests, manifests, configs and layer tars; nothing of the package is imported here."""
