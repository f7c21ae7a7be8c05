"""The graph as a list."""

from minigan import Tensor, matmul, relu
from minigan.autograd.graph import GraphNode, nodes_of


def test_every_value_is_listed_after_its_inputs_and_once():
    x = Tensor([[1.0, 2.0]], name="x")
    w = Tensor([[3.0], [4.0]], requires_grad=True, name="w")
    h = relu(matmul(x, w))
    y = h * h + h
    assert nodes_of([y, h]) == [
        GraphNode("x", "leaf", (), (1, 2)),
        GraphNode("w", "leaf", (), (2, 1)),
        GraphNode("matmul_0", "matmul", ("x", "w"), (1, 1)),
        GraphNode("relu_0", "relu", ("matmul_0",), (1, 1)),
        GraphNode("multiply_0", "multiply", ("relu_0", "relu_0"), (1, 1)),
        GraphNode("add_0", "add", ("multiply_0", "relu_0"), (1, 1)),
    ]


def test_two_tensors_of_one_name_stay_two():
    x, also_x = Tensor([1.0], name="x"), Tensor([2.0], True, name="x")
    assert [node.name for node in nodes_of([x + also_x])] == ["x", "x_1", "add_0"]
