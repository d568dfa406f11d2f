"""Widgets: a Python class of traits and one small ES module each, with text and static html twins."""
