"""papermill's parameters in notebooks of the Docker kernel: a ``%%python`` cell, for docker lines to name in braces.

papermill asks for a translator by the kernel's name, and takes none by an entry point; what it loads so, as it starts,
are engines. Therefore its own engine stands in pyproject.toml under our name too, and loading it from here is what
teaches papermill our kernel.
"""

from __future__ import annotations

from typing import Any

from papermill.engines import NBClientEngine
from papermill.translators import PythonTranslator, papermill_translators

__all__ = ["DockerTranslator", "NBClientEngine"]

_FIRST = "%%python\n"


class DockerTranslator(PythonTranslator):  # type: ignore[misc]  # papermill has no types
    """Writes parameters as a cell of the Docker kernel, and reads them from one."""

    @classmethod
    def codify(cls, parameters: dict[str, Any], comment: str = "Parameters") -> str:
        """Give the cell that sets parameters."""
        return f"{_FIRST}{super().codify(parameters, comment)}"

    @classmethod
    def inspect(cls, parameters_cell: dict[str, Any]) -> list[Any]:
        """Tell which parameters a cell sets, for ``papermill --help-notebook``."""
        source = parameters_cell["source"].removeprefix(_FIRST)
        found: list[Any] = super().inspect({**parameters_cell, "source": source})
        return found


papermill_translators.register("pydockmagic", DockerTranslator)
