"""The docker command language: one declarative grammar, turned into client calls and result objects."""
