"""Go's template language, as far as ``--format`` speaks it: read once, filled in for each object.

Works on JSON data and on rows of tables; knows nothing of docker but its extra functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import TemplateError, TemplateExecutionError, TemplateSyntaxError
from .execute import Executor
from .functions import FUNCTIONS, Function, FunctionError, to_json
from .parser import parse
from .values import GoMap, Missing, NilList, Struct, go_format

__all__ = [
    "FUNCTIONS",
    "Function",
    "FunctionError",
    "GoMap",
    "Missing",
    "NilList",
    "Struct",
    "Template",
    "TemplateError",
    "TemplateExecutionError",
    "TemplateSyntaxError",
    "go_format",
    "to_json",
]


class Template:
    """A template that was read.

    Raises ``TemplateSyntaxError`` with Go's sentence.
    """

    def __init__(self, source: str, *, functions: Mapping[str, Function] = FUNCTIONS, name: str = "") -> None:
        self.source = source
        self._functions = functions
        self._name = name
        self._trees = parse(source, functions, name)

    def fill(self, data: Any, *, strict: bool = False) -> str:
        """Return the text for some data; ``strict`` makes a missing map key an error.

        Raises ``TemplateExecutionError`` with Go's sentence.
        """
        return Executor(self._trees, self.source, self._functions, self._name, strict=strict).run(data)
