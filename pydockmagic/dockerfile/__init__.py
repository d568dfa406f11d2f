"""The Dockerfile language, pure: text in, records with positions out; nothing of the package is imported here."""
