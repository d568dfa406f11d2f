"""The two ways in which a template fails, with Go's own sentences."""

from __future__ import annotations

__all__ = ["TemplateError", "TemplateExecutionError", "TemplateSyntaxError"]


class TemplateError(Exception):
    """A template failed; ``str()`` is what Go's text/template says."""


class TemplateSyntaxError(TemplateError):
    """A template that cannot be read."""


class TemplateExecutionError(TemplateError):
    """A template that cannot be filled in with this data."""
