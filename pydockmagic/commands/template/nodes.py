"""The tree of a template; ``str()`` of a node is its source, as Go's error messages show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Action", "Branch", "Chain", "Command", "Constant", "Dot", "Field", "Identifier", "Jump", "ListNode", "Nil", "Node",
    "Pipe", "TemplateCall", "Text", "Variable",
]  # fmt: skip


@dataclass(slots=True)
class Node:
    """A node and where it stands."""

    position: int


@dataclass(slots=True)
class Text(Node):
    """Text that is copied."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Dot(Node):
    """Dot, the data at hand: ``.``."""

    def __str__(self) -> str:
        return "."


@dataclass(slots=True)
class Nil(Node):
    """Nothing: ``nil``."""

    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True)
class Constant(Node):
    """A number, string, character or boolean: ``source`` as written, ``value`` what it is."""

    source: str
    value: Any

    def __str__(self) -> str:
        return self.source


@dataclass(slots=True)
class Field(Node):
    """A field of the data: ``.A.B``."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Variable(Node):
    """A variable, or a field of it: ``$x.A.B``."""

    name: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return self.name + "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Identifier(Node):
    """A function's name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Chain(Node):
    """A field of what a pipeline gives: ``(pipeline).A.B``."""

    node: Node
    names: tuple[str, ...]

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return inner + "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Command(Node):
    """A word and its arguments."""

    arguments: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(f"({each})" if isinstance(each, Pipe) else str(each) for each in self.arguments)


@dataclass(slots=True)
class Pipe(Node):
    """Commands joined by ``|``, perhaps kept in variables (``assigns`` for ``=``, else declared by ``:=``)."""

    commands: list[Command] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    assigns: bool = False

    def __str__(self) -> str:
        head = ""
        if self.variables:
            head = ", ".join(self.variables) + (" = " if self.assigns else " := ")
        return head + " | ".join(str(each) for each in self.commands)


@dataclass(slots=True)
class Action(Node):
    """A pipeline whose value is written: ``{{pipeline}}``."""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(slots=True)
class ListNode(Node):
    """Nodes one after another."""

    nodes: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(str(each) for each in self.nodes)


@dataclass(slots=True)
class Branch(Node):
    """``{{if}}``, ``{{range}}`` or ``{{with}}``, by ``kind``."""

    kind: str
    pipe: Pipe
    body: ListNode
    otherwise: ListNode | None = None

    def __str__(self) -> str:
        tail = f"{{{{else}}}}{self.otherwise}" if self.otherwise is not None else ""
        return f"{{{{{self.kind} {self.pipe}}}}}{self.body}{tail}{{{{end}}}}"


@dataclass(slots=True)
class Jump(Node):
    """``{{break}}`` or ``{{continue}}``."""

    kind: str

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


@dataclass(slots=True)
class TemplateCall(Node):
    """Another template put in: ``{{template "name" pipeline}}``."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        from .literals import quote  # noqa: PLC0415 - only error messages need it

        argument = f" {self.pipe}" if self.pipe is not None else ""
        return f"{{{{template {quote(self.name)}{argument}}}}}"
