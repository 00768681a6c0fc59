"""The astronaut's portrait for every detector of faces, and networks small enough to be written down here."""

import numpy as np
import pytest

from stages import specimens


@pytest.fixture(scope="session")
def portrait():
    """The astronaut's face, uint8[240, 300, 3]; the nose is at 163, 125."""
    return specimens.crop(specimens.photograph("astronaut"), (60, 0, 360, 240))


@pytest.fixture(scope="session")
def onnx_of():
    """A function from convolutions to the bytes of an ONNX network of an input ``input`` and an output for each.

    A convolution is (output, weights float32[C, 3, s, s], bias float32[C]) with the stride s; channels come out last.
    """

    def network(convolutions):
        nodes, initializers = [], []
        for name, weight, bias in convolutions:
            stride = weight.shape[-1]
            initializers += [tensor(f"{name}_w", weight), tensor(f"{name}_b", bias)]
            strides = ints("kernel_shape", [stride, stride]) + ints("strides", [stride, stride])
            nodes += [node("Conv", ["input", f"{name}_w", f"{name}_b"], f"{name}_c", strides)]
            nodes += [node("Transpose", [f"{name}_c"], name, ints("perm", [0, 2, 3, 1]))]
        graph = b"".join(field(1, each) for each in nodes) + field(2, b"tiny")
        graph += b"".join(field(5, each) for each in initializers)
        graph += field(11, value("input", [1, 3, 64, 64]))
        for name, weight, _ in convolutions:
            graph += field(12, value(name, [1, 64 // weight.shape[-1], 64 // weight.shape[-1], len(weight)]))
        return field(1, 8) + field(7, graph) + field(8, field(2, 13))  # IR version 8, operators of version 13

    return network


# What of the protocol buffers of ONNX (onnx.proto3) is needed here


def field(number, content):
    """A field of a message: a varint, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    low = bytearray()
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


def tensor(name, array):
    dims = b"".join(field(1, side) for side in array.shape)
    return dims + field(2, 1) + field(8, name.encode()) + field(9, array.astype("<f4").tobytes())


def node(kind, inputs, output, attributes):
    names = b"".join(field(1, name.encode()) for name in inputs)
    return names + field(2, output.encode()) + field(3, output.encode()) + field(4, kind.encode()) + attributes


def ints(name, values):
    """An attribute of a node, as the field of the node."""
    return field(5, field(1, name.encode()) + b"".join(field(8, value) for value in values) + field(20, 7))


def value(name, shape):
    dims = b"".join(field(1, field(1, side)) for side in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, dims)))


def redness(stride):
    """The weights that give the mean of the third channel, red in BGR, of a patch of 0 to 255, as 0 to 1."""
    return np.float32([[0, 0, 1]])[..., None, None] * np.ones((1, 1, stride, stride), np.float32) / (stride**2 * 255)


@pytest.fixture(scope="session")
def bright_faces(onnx_of):
    """A network with the outputs of YuNet for which every red patch of 32 pixels, in BGR, is a face of that size."""
    convolutions = []
    for stride in (8, 16, 32):
        none = np.zeros((1, 3, stride, stride), dtype=np.float32)
        seen = redness(stride) if stride == 32 else none
        convolutions += [(f"cls_{stride}", seen, np.zeros(1)), (f"obj_{stride}", none, np.ones(1))]
        convolutions += [
            (f"{name}_{stride}", np.repeat(none, count, axis=0), np.zeros(count))
            for name, count in (("bbox", 4), ("kps", 10))
        ]
    return onnx_of(convolutions)
