"""What TensorBoard shows of a run: scalars, histograms, pictures and the graph.

A thin layer over tensorboardX, with TensorFlow's own histogram buckets.
"""

import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

from minigan.autograd.graph import GraphNode
from minigan.errors import NonFiniteError, ShapeError


class SummaryWriter:
    """Writes one event file into `folder`, and nothing anywhere else.

    A resumed run passes the step it continues from as `purge_step`: TensorBoard then hides what
    the interrupted run had written from that step on. In tags, "_" replaces illegal characters.
    Events reach the disk every few seconds and at `close`.
    """

    def __init__(self, folder: str | Path, purge_step: int | None = None) -> None:
        import tensorboardX

        folder = Path(folder).resolve()  # tensorboardX takes a relative "s3:..." for a bucket
        earlier_files = len(list(folder.glob("events.out.tfevents.*")))
        self._writer = tensorboardX.SummaryWriter(
            str(folder),
            purge_step=purge_step,
            flush_secs=10,  # a class watches the curves grow
            filename_suffix=f".{earlier_files}",  # else a restart within a second overwrites
        )

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Record a number."""
        self._writer.add_scalar(_clean(tag), float(value), step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Record how the values of an array of any shape are spread, in TensorFlow's buckets.

        Raises NonFiniteError, as TensorFlow does, and ShapeError for an empty array.
        """
        if values.size == 0:
            raise ShapeError(
                f"A histogram expects at least one value, found shape {values.shape} in {tag!r}. "
                "Try: only arrays whose size is above 0."
            )
        ascending = np.sort(values, axis=None).astype(np.float64)
        low, high = float(ascending[0]), float(ascending[-1])  # a NaN sorts last
        if not np.isfinite([low, high]).all():
            raise NonFiniteError(
                f"A histogram expects finite values, found {low} to {high} in {tag!r}. "
                "Try: `with minigan.detect_anomaly():` around the training step, to find where "
                "it began."
            )
        limits, counts = _buckets(ascending)
        self._writer.add_histogram_raw(
            _clean(tag),
            min=low,
            max=high,
            num=ascending.size,
            sum=float(ascending.sum()),
            sum_squares=float(ascending @ ascending),
            bucket_limits=limits.tolist(),
            bucket_counts=counts.tolist(),
            global_step=step,
        )

    def image_grid(self, tag: str, picture: np.ndarray, step: int) -> None:
        """Record a picture as `plotting.grid_of` makes it: uint8, (H, W) or (H, W, 3)."""
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3):
            raise ShapeError(
                f"A picture is expected as uint8 (H, W) or (H, W, 3), found {picture.dtype} "
                f"{picture.shape} in {tag!r}. Try: minigan.plotting.grid_of(images)."
            )
        axes = "HW" if picture.ndim == 2 else "HWC"
        self._writer.add_image(_clean(tag), picture, step, dataformats=axes)

    def graph(self, nodes: Iterable[GraphNode]) -> None:
        """Record the network as a graph; TensorBoard folds `a/b` and `a/c` into one box `a`."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.graph_pb2 import GraphDef

        graph = GraphDef(node=[_node_definition(node) for node in nodes])
        self._writer.file_writer.add_event(Event(graph_def=graph.SerializeToString()))

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _clean(tag: str) -> str:
    """Keep what TensorFlow allows in a tag: letters, digits, "_", "-", "." and "/"."""
    return re.sub(r"[^-/.\w]", "_", tag).lstrip("/") or "_"


@cache
def _bucket_limits() -> np.ndarray:
    """List TensorFlow's limits: 0, ±1e-12 · 1.1^k below 1e20, and the largest doubles.

    Source: tensorflow/core/lib/histogram/histogram.cc, InitDefaultBucketsInner.
    """
    positive = [1e-12]
    while positive[-1] * 1.1 < 1e20:
        positive.append(positive[-1] * 1.1)
    positive.append(sys.float_info.max)
    return np.array([-limit for limit in reversed(positive)] + [0.0] + positive)


def _buckets(ascending: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count sorted values per bucket; a value goes to the first bucket whose limit exceeds it."""
    limits = _bucket_limits()
    values_below = np.searchsorted(ascending, limits)
    values_below[-1] = ascending.size  # the last bucket holds the largest double too
    counts = np.diff(values_below, prepend=0)
    next_is_empty = np.append(counts[1:] == 0, False)
    kept = (counts > 0) | ~next_is_empty  # a run of empty buckets becomes one
    return limits[kept], counts[kept]


def _node_definition(node: GraphNode) -> object:
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in node.shape])
    return NodeDef(
        name=_clean(node.name),
        op=node.op,
        input=[_clean(name) for name in node.inputs],
        attr={"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=[shape]))},
    )
