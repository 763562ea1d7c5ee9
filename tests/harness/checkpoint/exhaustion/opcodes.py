"""Arrays of NumPy and tensors of torch by the opcodes that build them, whatever these claim."""

from __future__ import annotations

from tests.harness.checkpoint.assembly import NONE, build, call, named, number, several, text


def array(shape: bytes, kind: bytes, data: bytes) -> bytes:
    """A numpy array by its state."""
    made = call(
        named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), several(number(0)), text("b")
    )
    float32 = build(
        call(named("numpy", "dtype"), text("f4"), b"\x89", b"\x88"),
        several(number(3), text("<"), NONE, NONE, NONE, number(-1), number(-1), number(0)),
    )
    return build(made, several(number(1), shape, kind or float32, b"\x89", data))


SHAPE = (64, 3, 7, 7)
STRIDES = (147, 49, 7, 1)


def tensor(storage: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    ends = (several(*map(number, shape)), several(*map(number, strides)), b"\x89", b"}")
    return call(named("torch._utils", "_rebuild_tensor_v2"), storage, number(offset), *ends)
