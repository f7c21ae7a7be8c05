"""Layers: modules with the arguments tf.layers gives them."""

from minigan.layers.activation import LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from minigan.layers.convolution import Conv2D, Conv2DTranspose
from minigan.layers.dense import Dense
from minigan.layers.dropout import Dropout
from minigan.layers.module import Module, Parameter
from minigan.layers.normalization import BatchNorm, LayerNorm
from minigan.layers.pooling import AveragePooling2D, MaxPooling2D, UpSample2D
from minigan.layers.reshape import Flatten, Reshape
from minigan.layers.sequential import Sequential

__all__ = [
    "AveragePooling2D", "BatchNorm", "Conv2D", "Conv2DTranspose", "Dense", "Dropout", "Flatten",
    "LayerNorm", "LeakyReLU", "MaxPooling2D", "Module", "Parameter", "ReLU", "Reshape",
    "Sequential", "Sigmoid", "Softplus", "Tanh", "UpSample2D",
]  # fmt: skip
