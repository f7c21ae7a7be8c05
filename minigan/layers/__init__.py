"""Layers: modules with the arguments tf.layers gives them."""

from minigan.layers.activation import LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from minigan.layers.dense import Dense
from minigan.layers.dropout import Dropout
from minigan.layers.module import Module, Parameter
from minigan.layers.reshape import Flatten, Reshape
from minigan.layers.sequential import Sequential

__all__ = [
    "Dense", "Dropout", "Flatten", "LeakyReLU", "Module", "Parameter", "ReLU", "Reshape",
    "Sequential", "Sigmoid", "Softplus", "Tanh",
]  # fmt: skip
