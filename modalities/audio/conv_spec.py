"""The released way to write a convolution stack, ``[(512, 10, 5)] + [(512, 3, 2)] * 4``, read without executing it."""

import ast
from collections.abc import Sequence

ConvSpec = list[tuple[int, int, int]]
RELEASED_SPEC = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"
_MAX_LAYERS = 64


def parse_conv_spec(text: str) -> ConvSpec:
    """Parse lists of ``(channels, kernel, stride)``, joined by ``+`` and repeated by ``* number``.

    Raises:
        ValueError: anything else, an empty stack, more than 64 layers, or a number below 1.
    """
    try:
        layers = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"convolution spec {text!r}: {error}. Write lists of (channels, kernel, stride), e.g. {RELEASED_SPEC!r}"
        ) from None
    if not isinstance(layers, list) or not layers:
        raise ValueError(f"convolution spec {text!r}: must be a list of at least one (channels, kernel, stride)")
    return layers


def conv_output_length(length: int, spec: Sequence[tuple[int, int, int]]) -> int:
    """Number of frames that a stack of unpadded convolutions makes of ``length`` samples (0 if they are too few)."""
    for _, kernel, stride in spec:
        length = (length - kernel) // stride + 1
    return max(length, 0)


def _value(node: ast.expr) -> ConvSpec | int:
    """The value of one node of the spec's grammar: list of layers, or a whole number."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.List):
        return [_layer(item) for item in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Add):
            if not (isinstance(left, list) and isinstance(right, list)):
                raise ValueError("'+' joins two lists")
            layers = left + right
        else:
            layers, times = (left, right) if isinstance(left, list) else (right, left)
            if not isinstance(layers, list) or not isinstance(times, int) or not 0 <= times <= _MAX_LAYERS:
                raise ValueError(f"'*' repeats a list 0 to {_MAX_LAYERS} times")
            layers = layers * times
        if len(layers) > _MAX_LAYERS:
            raise ValueError(f"more than {_MAX_LAYERS} layers")
        return layers
    raise ValueError(f"{ast.unparse(node)!r} is not part of a convolution spec")


def _layer(node: ast.expr) -> tuple[int, int, int]:
    """One ``(channels, kernel, stride)``."""
    if not isinstance(node, ast.Tuple | ast.List) or len(node.elts) != 3:
        raise ValueError(f"{ast.unparse(node)!r} is not (channels, kernel, stride)")
    numbers = [item.value if isinstance(item, ast.Constant) else None for item in node.elts]
    if not all(type(number) is int and number >= 1 for number in numbers):
        raise ValueError(f"{ast.unparse(node)!r}: channels, kernel and stride must be whole numbers of at least 1")
    return (numbers[0], numbers[1], numbers[2])
