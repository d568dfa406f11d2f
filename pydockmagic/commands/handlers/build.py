"""``docker build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.results import BuildResult

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["run_build"]


def run_build(parsed: Parsed, context: Context, *, dockerfile_text: str | None, folder: Path) -> BuildResult:
    """Build an image."""
    raise CommandError(f"docker: 'docker {parsed.name}' is not available here yet", 1)
