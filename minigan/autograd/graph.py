"""The graph behind some results, as a list to draw or to write to a file."""

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from minigan.autograd.engine import Tensor


class GraphNode(NamedTuple):
    """One value: how it is called, the op that made it, what it was made from, its shape."""

    name: str
    op: str  # "leaf" for a parameter or an input
    inputs: tuple[str, ...]  # names of the values it was made from
    shape: tuple[int, ...]


def nodes_of(outputs: Sequence[Tensor]) -> list[GraphNode]:
    """Every value the outputs were computed from, inputs first.

    A leaf is called by its name, an op's output by the op and a number: `dense_2`.
    """
    found: dict[int, Tensor] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found[id(node)] = node
            stack += node.parents or ()

    names: dict[int, str] = {}
    counts: dict[str, int] = {}
    nodes = []
    for node in sorted(found.values(), key=attrgetter("age")):
        op = node.op.name if node.op else "leaf"
        base = node.name or op
        number = counts[base] = counts.get(base, -1) + 1
        name = base if number == 0 and node.name else f"{base}_{number}"
        names[id(node)] = name
        inputs = tuple(names[id(x)] for x in node.parents or ())
        nodes.append(GraphNode(name, op, inputs, node.shape))
    return nodes
