import io
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.graph_pb2 import GraphDef

from minigan import summaries
from minigan.autograd.graph import GraphNode
from minigan.errors import NonFiniteError, ShapeError
from minigan.summaries import SummaryWriter


def checksum(data):
    """TFRecord's masked CRC-32C."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def events(path):
    """Read an event file record by record: length, its checksum, content, its checksum."""
    with path.open("rb") as file:
        while header := file.read(8):
            assert struct.unpack("<I", file.read(4))[0] == checksum(header)
            content = file.read(struct.unpack("<Q", header)[0])
            assert struct.unpack("<I", file.read(4))[0] == checksum(content)
            yield Event.FromString(content)


def only_file(folder):
    (path,) = (path for path in folder.rglob("*") if not path.is_dir())
    return path


def read(folder):
    """Map (tag, step) to the summary's value."""
    return {
        (value.tag, event.step): value
        for event in events(only_file(folder))
        for value in event.summary.value
    }


def written_histogram(folder, values):
    with SummaryWriter(folder) as writer:
        writer.histogram("h", values, 0)
    return read(folder)["h", 0].histo


def test_the_file_begins_as_tensorflows_do(tmp_path):
    SummaryWriter(tmp_path / "new" / "run").close()
    path = only_file(tmp_path)
    assert path.parent == tmp_path / "new" / "run"
    assert path.name.startswith("events.out.tfevents.")
    assert [event.file_version for event in events(path)] == ["brain.Event:2"]


def test_scalars_keep_their_tag_step_and_value(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.scalar("D_LOSS/D_loss", 0.5, 0)
        writer.scalar("D_LOSS/D_loss", np.float32(0.25), 100)
        writer.scalar("G_LOSS/G_loss", np.array(2.0), 100)
    found = {key: value.simple_value for key, value in read(tmp_path).items()}
    assert found == {
        ("D_LOSS/D_loss", 0): 0.5,
        ("D_LOSS/D_loss", 100): 0.25,
        ("G_LOSS/G_loss", 100): 2.0,
    }


def test_a_resumed_run_adds_a_file_and_hides_the_steps_it_repeats(tmp_path):
    for purge_step in (None, 7):
        with SummaryWriter(tmp_path, purge_step) as writer:
            writer.scalar("loss", 1.0, 7)
    first, second = sorted(tmp_path.iterdir(), key=lambda path: path.name.rsplit(".")[-1])
    assert [event.step for event in events(first)] == [0, 7]
    restarts = [e.step for e in events(second) if e.session_log.status == SessionLog.START]
    assert restarts == [7]


# ── histograms ───────────────────────────────────────────────────────────────────────────────


def buckets_by_hand(values):
    """TensorFlow's rules word for word: one value at a time, runs of empty buckets merged."""
    limits = summaries._bucket_limits().tolist()
    counts = dict.fromkeys(limits, 0)
    for value in values.ravel().tolist():
        counts[next((limit for limit in limits if limit > value), limits[-1])] += 1
    buckets = list(counts.items())
    return [
        (limit, count)
        for place, (limit, count) in enumerate(buckets)
        if count or place + 1 == len(buckets) or buckets[place + 1][1]
    ]


def test_the_bucket_limits_are_tensorflows():
    limits = summaries._bucket_limits()
    middle = len(limits) // 2
    assert len(limits) == 2 * 775 + 1
    assert limits[middle : middle + 3].tolist() == [0, 1e-12, 1e-12 * 1.1]
    np.testing.assert_allclose(limits[middle + 1 : -1], 1e-12 * 1.1 ** np.arange(774.0), rtol=1e-12)
    assert 1e20 / 1.1 < limits[-2] < 1e20
    assert limits[-1] == sys.float_info.max
    np.testing.assert_array_equal(limits, -limits[::-1])


def test_a_histogram_worked_by_hand(tmp_path):
    histogram = written_histogram(tmp_path, np.array([[0.0, 0.0], [1e-12, -3e25]]))
    largest = sys.float_info.max
    lowest = -summaries._bucket_limits()[-2]
    assert list(zip(histogram.bucket_limit, histogram.bucket, strict=True)) == [
        (-largest, 0),
        (lowest, 1),
        (0, 0),
        (1e-12, 2),
        (1.1 * 1e-12, 1),
        (largest, 0),
    ]
    assert (histogram.min, histogram.max, histogram.num) == (-3e25, 1e-12, 4)
    assert (histogram.sum, histogram.sum_squares) == (-3e25 + 1e-12, 9e50)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_side=5),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_any_finite_array_is_counted_as_tensorflow_counts_it(values):
    limits, counts = summaries._buckets(np.sort(values, axis=None).astype(np.float64))
    assert list(zip(limits.tolist(), counts.tolist(), strict=True)) == buckets_by_hand(
        values.astype(np.float64)
    )
    assert counts.sum() == values.size


def test_values_at_and_beside_every_limit_are_counted_as_tensorflow_counts_them():
    limits = summaries._bucket_limits()
    below, above = (np.nextafter(limits[1:-1], towards) for towards in (-np.inf, np.inf))
    values = np.sort(np.concatenate([limits, below, above]))
    expected = np.bincount(
        np.minimum(np.searchsorted(limits, values, side="right"), len(limits) - 1)
    )
    assert summaries._buckets(values)[1].tolist() == expected.tolist()


def test_a_histogram_sums_float32_in_double_precision_and_leaves_it_alone(tmp_path):
    weights = np.random.default_rng(0).normal(size=(784, 128)).astype(np.float32)
    before = weights.copy()
    histogram = written_histogram(tmp_path, weights.T)
    exact = weights.astype(np.float64)
    assert histogram.num == sum(histogram.bucket) == weights.size
    assert histogram.sum == pytest.approx(exact.sum(), rel=1e-9)
    assert histogram.sum_squares == pytest.approx(np.square(exact).sum(), rel=1e-12)
    assert (histogram.min, histogram.max) == (exact.min(), exact.max())
    np.testing.assert_array_equal(weights, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_histograms_of_values_that_are_not_finite_are_refused(tmp_path, bad):
    with (
        SummaryWriter(tmp_path) as writer,
        pytest.raises(NonFiniteError, match=r"finite values, found .* in 'D/w'.* Try: "),
    ):
        writer.histogram("D/w", np.array([1.0, bad, 2.0], np.float32), 0)
    assert read(tmp_path) == {}


def test_histograms_of_nothing_are_refused(tmp_path):
    with (
        SummaryWriter(tmp_path) as writer,
        pytest.raises(ShapeError, match=r"at least one value, found shape \(0, 3\) in 'w'"),
    ):
        writer.histogram("w", np.zeros((0, 3)), 0)


# ── pictures ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_a_picture_arrives_pixel_by_pixel(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.image_grid("samples", picture, 300)
    image = read(tmp_path)["samples", 300].image
    assert (image.height, image.width) == (5, 7)
    expected = np.broadcast_to(picture.reshape(5, 7, -1), (5, 7, 3))
    with Image.open(io.BytesIO(image.encoded_image_string), formats=["PNG"]) as decoded:
        np.testing.assert_array_equal(np.asarray(decoded), expected)


@pytest.mark.parametrize(
    "picture", [np.zeros((2, 2)), np.zeros(4, np.uint8), np.zeros((1, 2, 2, 3), np.uint8)]
)
def test_pictures_of_another_kind_are_refused(tmp_path, picture):
    with (
        SummaryWriter(tmp_path) as writer,
        pytest.raises(ShapeError, match=r"uint8 \(H, W\) or \(H, W, 3\), found .* in 'samples'"),
    ):
        writer.image_grid("samples", picture, 0)


# ── the graph ────────────────────────────────────────────────────────────────────────────────


def test_the_graph_keeps_its_nodes_edges_and_shapes(tmp_path):
    nodes = [
        GraphNode("generator/z", "Placeholder", (), (64, 100)),
        GraphNode("generator/hidden layer", "Dense", ("generator/z",), (64, 128)),
        GraphNode("loss", "Mean", ("generator/hidden layer", "generator/z"), ()),
    ]
    with SummaryWriter(tmp_path) as writer:
        writer.graph(nodes)
    (content,) = (e.graph_def for e in events(only_file(tmp_path)) if e.graph_def)
    found = {node.name: node for node in GraphDef.FromString(content).node}
    assert [(node.name, node.op, list(node.input)) for node in found.values()] == [
        ("generator/z", "Placeholder", []),
        ("generator/hidden_layer", "Dense", ["generator/z"]),
        ("loss", "Mean", ["generator/hidden_layer", "generator/z"]),
    ]
    shapes = {name: node.attr["_output_shapes"].list.shape[0].dim for name, node in found.items()}
    assert [dim.size for dim in shapes["generator/hidden_layer"]] == [64, 128]
    assert len(shapes["loss"]) == 0


# ── hostile names ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tag", "cleaned"),
    [
        ("G/w-1.b_2", "G/w-1.b_2"),
        ("生成器", "生成器"),
        ("../../x", "../../x"),
        ("/etc/passwd", "etc/passwd"),
        ("", "_"),
        ("😀", "_"),
        ("a b\n\0:<script>", "a_b____script_"),
    ],
)
def test_hostile_tags_are_cleaned_and_stay_in_the_file(tmp_path, tag, cleaned):
    folder = tmp_path / "a" / "b" / "run"
    with SummaryWriter(folder) as writer:
        writer.scalar(tag, 1.0, 0)
        writer.histogram(tag, np.ones(2), 1)
        writer.image_grid(tag, np.zeros((2, 2), np.uint8), 2)
        writer.graph([GraphNode(tag, "NoOp", (), ())])
    assert only_file(tmp_path).parent == folder
    assert read(folder).keys() == {(cleaned, 0), (cleaned, 1), (cleaned, 2)}


@pytest.mark.parametrize("name", ["s3:bucket", "gs:bucket"])
def test_a_folder_named_like_a_bucket_is_a_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(name) as writer:
        writer.scalar("loss", 1.0, 0)
    assert read(tmp_path / name).keys() == {("loss", 0)}
