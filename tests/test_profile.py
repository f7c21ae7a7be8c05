"""Profiles: times that add up, whose backward it was, what memory is counted, nothing left behind.

Time is a counter here that ticks when it is read, so the sums are exact.
"""

import inspect
import itertools
import json
import threading
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

import minigan as mg
from minigan import profiling
from minigan.autograd import ops
from minigan.checkpoint import latest_checkpoint
from minigan.cli import app
from minigan.errors import ConfigError, ShapeError
from minigan.gan.assembly import make_players
from minigan.gan.presets import preset
from minigan.layers import Module
from minigan.optimizers import Optimizer

METHODS = [(mg.Op, "__call__"), (mg.Op, "rules_for"), (Module, "__call__"),
           (Optimizer, "prepare_update")]  # fmt: skip
ORIGINALS = [vars(owner)[name] for owner, name in METHODS]


@pytest.fixture(autouse=True)
def _ticking(monkeypatch):
    monkeypatch.setattr(profiling, "clock", itertools.count(0, 1000).__next__)  # a microsecond


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    yield
    assert methods_in_use() == ORIGINALS
    assert profiling._taken.acquire(blocking=False)
    profiling._taken.release()


def methods_in_use():
    return [vars(owner)[name] for owner, name in METHODS]


def rows_of(profile, key="op"):
    return {row.name: row for row in profile.by(key).rows}


def line_before():
    """The line before the one that calls this, as tables name it."""
    return f"test_profile.py:{inspect.currentframe().f_back.f_lineno - 1}"


def variable(*shape):
    return mg.Tensor(np.ones(shape, "float32"), requires_grad=True)


def tiny_players(name):
    config = preset(name)
    small = {"gf_dim": 2, "df_dim": 2, "dfc_dim": 4} if config.model == "dcgan" else {}
    return make_players(config.with_options(batch_size=4, latent_size=8, **small))


def steps_of(players, count=2):
    rng = np.random.default_rng(0)
    shape = players.gan.picture_shape
    for _ in range(count):
        real = rng.random((4, *shape), dtype=np.float32)
        noise = rng.random((4, 8), dtype=np.float32)
        players.alternating_step(real, noise, noise)


def profiled_steps(name):
    players = tiny_players(name)
    gan = players.gan
    with mg.profile(generator=gan.generator, discriminator=gan.discriminator) as profile:
        steps_of(players)
    return profile


@pytest.fixture(params=["mlp-gan", "dcgan", "wgan-gp"])
def profile_of_steps(request):
    return profiled_steps(request.param)


# ── time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["op", "module", "line"])
def test_rows_add_up_to_the_time_of_the_block(profile_of_steps, key):
    ((began, ended),) = profile_of_steps.periods
    table = profile_of_steps.by(key)
    assert sum(row.nanoseconds for row in table.rows) == ended - began == table.total.nanoseconds
    assert all(row.nanoseconds > 0 for row in table.rows)
    for column in ("calls", "forward", "backward", "update", "outside"):
        assert sum(getattr(row, column) for row in table.rows) == getattr(table.total, column)
    assert sum(row.memory.made for row in table.rows) == table.total.memory.made


def test_parts_lie_inside_and_the_outermost_beside_each_other(profile_of_steps):
    ((began, ended),) = profile_of_steps.periods
    outermost = [span for span in profile_of_steps.spans if span.outer is None]
    times = [began, *itertools.chain(*((s.began, s.ended) for s in outermost)), ended]
    assert times == sorted(times)
    parts = [span for span in profile_of_steps.spans if span.outer is not None]
    assert all(s.outer.began < s.began < s.ended < s.outer.ended for s in parts)
    assert all((s.module, s.line) == (s.outer.module, s.outer.line) for s in parts)


def test_each_op_counts_its_calls_and_its_own_time():
    x = variable(2, 3)
    with mg.profile() as profile:
        y = mg.sum(mg.relu(mg.relu(x)))
        y.backward()
    rows = rows_of(profile)
    relu, total = rows["relu"], rows["sum"]
    assert (relu.calls, total.calls) == (2, 1)
    assert (relu.forward, total.forward) == (2000, 1000)  # two readings of the clock a call
    assert relu.backward >= 2000
    assert total.backward >= 1000


def test_what_a_pullback_calls_is_part_of_its_time_not_a_row():
    x, w = variable(1, 4, 4, 1), variable(3, 3, 1, 1)
    with mg.profile() as profile:
        mg.sum(mg.conv2d(x, w)).backward()
    rows = rows_of(profile)
    assert "conv2d_transpose" not in rows
    pullbacks = [s for s in profile.spans if s.op == "conv2d" and s.kind == "backward"]
    called = {s.op: s.outer for s in profile.spans if s.outer in pullbacks}
    assert {"conv2d_transpose", "conv2d_filter"} <= called.keys()
    assert rows["conv2d"].backward == sum(s.ended - s.began for s in pullbacks)


def test_undoing_broadcasting_is_backward_of_the_op_that_broadcast():
    x, bias = variable(5, 3), variable(3)
    with mg.profile() as profile:
        (gradient,) = mg.grad(mg.sum(x + bias), bias)
    np.testing.assert_array_equal(gradient, [5, 5, 5])
    (add,) = [s for s in profile.spans if s.op == "add" and s.kind == "backward"]
    made = [c.size for c in profile.changes if c.span is add and c.size > 0]
    assert made == [12]  # not the 60 bytes of g, which is nobody's new array


def test_an_optimizers_work_is_a_row_of_its_own():
    x = variable(3)
    adam = mg.Adam(0.1)
    with mg.profile() as profile:
        loss = mg.sum(x * x)
        adam.minimize(loss)
        line = line_before()
    for key, name in {"op": "Adam", "module": "Adam", "line": line}.items():
        row = rows_of(profile, key)[name]
        assert (row.calls, row.update) == (1, 2000)  # prepared, then made


def test_an_update_made_after_the_profile_is_not_counted():
    x = variable(3)
    with mg.profile() as profile:
        update = mg.SGD(0.5).prepare_update([(np.ones(3, "float32"), x)])
    update()
    np.testing.assert_array_equal(x.data, [0.5, 0.5, 0.5])
    assert [span.kind for span in profile.spans] == ["prepare"]


def test_entered_again_it_adds_up():
    profile = mg.profile()
    for _ in range(3):
        with profile:
            mg.sum(variable(2))
        mg.sum(variable(2))  # in between nothing is measured
    assert rows_of(profile)["sum"].calls == 3
    assert len(profile.periods) == 3
    assert profile.by("op").total.nanoseconds == sum(b - a for a, b in profile.periods)


# ── module and line ──────────────────────────────────────────────────────────────────────────


class Pair(Module):
    """Two dense layers, called on two lines."""

    def __init__(self):
        self.first = mg.Dense(4, in_features=3)
        self.second = mg.Dense(2, in_features=4)

    def forward(self, x):
        h = self.first(x)
        first = line_before()
        y = self.second(h)
        self._lines = first, line_before()
        return y


def test_backward_belongs_to_the_module_and_line_of_its_forward():
    model = Pair()
    with mg.profile(critic=model) as profile:
        loss = mg.sum(model(np.ones((5, 3), "float32")))
        loss.backward()
    modules, lines = rows_of(profile, "module"), rows_of(profile, "line")
    assert modules.keys() == {"critic.first", "critic.second", "no module", "outside of ops"}
    for path, line in zip(("critic.first", "critic.second"), model._lines, strict=True):
        spans = [s for s in profile.spans if s.module == path and s.outer is None]
        assert Counter((s.op, s.kind, s.line) for s in spans).keys() == {
            ("dense", "forward", line), ("dense", "backward", line)
        }  # fmt: skip
        assert modules[path].backward == lines[line].backward > 0
    assert modules["no module"].forward == 1000  # sum


def test_every_backward_has_the_place_of_a_forward(profile_of_steps):
    forward = {(s.op, s.module, s.line) for s in profile_of_steps.spans if s.kind == "forward"}
    backward = {(s.op, s.module, s.line) for s in profile_of_steps.spans if s.kind == "backward"}
    assert backward
    assert backward <= forward


def test_minigans_own_networks_count_as_code_of_the_user():
    lines = rows_of(profiled_steps("dcgan"), "line")
    files = {name.partition(":")[0] for name in lines} - {"outside of ops"}
    assert {"dcgan.py", "players.py"} <= files
    assert not files & {"convolution.py", "module.py", "engine.py", "profiling.py"}


def test_a_pullback_of_an_earlier_op_says_so():
    y = mg.sum(variable(2))
    with mg.profile() as profile:
        y.backward()
    assert rows_of(profile, "module").keys() == {profiling.EARLIER, "outside of ops"}
    assert rows_of(profile, "line").keys() == {profiling.EARLIER, "outside of ops"}


def test_modules_without_a_name_go_by_their_class():
    a, b = mg.Dense(2, in_features=3), mg.Sequential(mg.Dense(2, in_features=3), mg.relu)
    x = np.ones((1, 3), "float32")
    with mg.profile() as profile:
        for module in (a, b, mg.Dense(2, in_features=3), a):
            module(x)
    calls = {name: row.calls for name, row in rows_of(profile, "module").items()}
    assert calls == {
        "Dense": 2, "Dense 2": 1, "Sequential": 1, "Sequential.layers.0": 1, "outside of ops": 0
    }  # fmt: skip


# ── memory ───────────────────────────────────────────────────────────────────────────────────


def test_new_arrays_are_counted_and_views_are_not():
    x = variable(10, 10)  # 400 bytes
    with mg.profile() as profile:
        y = mg.relu(x)
        mg.transpose(mg.reshape(y, (4, 25)))
        y[:2]
    rows = rows_of(profile)
    assert rows["relu"].memory.made == rows["relu"].memory.peak == 400
    assert [rows[name].memory.made for name in ("reshape", "transpose", "getitem")] == [0, 0, 0]


def test_peak_is_what_was_alive_at_once():
    x = np.ones((10, 10), "float32")
    with mg.profile() as profile:
        for _ in range(3):
            mg.relu(x)  # dies at once
        kept = [mg.tanh(x), mg.tanh(x)]
        mg.relu(x)
    memory = {name: row.memory for name, row in rows_of(profile).items()}
    assert (memory["relu"].made, memory["relu"].peak) == (1600, 400)
    assert (memory["tanh"].made, memory["tanh"].peak) == (800, 800)
    assert profile.by("op").total.memory.peak == 1200
    assert all(row.alive == 0 for row in memory.values())  # the profile holds none of them
    del kept


# ── nothing changes ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["mlp-gan", "dcgan", "wgan-gp"])
def test_results_are_the_same_bits(name):
    plain, profiled = tiny_players(name), tiny_players(name)
    steps_of(plain)
    with mg.profile():
        steps_of(profiled)
    expected, found = plain.state(), profiled.state()
    assert expected.keys() == found.keys()
    assert all(expected[key].tobytes() == found[key].tobytes() for key in expected)


def test_methods_come_back_after_an_exception():
    forward, rules = mg.matmul.forward, mg.matmul.rules
    profile = mg.profile()

    def fail():
        with profile:
            assert all(x is not y for x, y in zip(methods_in_use(), ORIGINALS, strict=True))
            assert mg.matmul.forward is forward  # the op itself is never touched
            mg.Dense(2, in_features=3)(np.ones((2, 4), "float32"))

    with pytest.raises(ShapeError):
        fail()
    assert methods_in_use() == ORIGINALS
    assert (mg.matmul.forward, mg.matmul.rules) == (forward, rules)
    with profile:  # and it can go on: nothing is still open
        mg.sum(np.ones(2))
    assert rows_of(profile, "module")["no module"].calls == 1


def test_an_error_inside_of_an_op_closes_its_span():
    with mg.profile() as profile:
        with pytest.raises(ValueError, match="matmul"):
            mg.matmul(np.ones((2, 3)), np.ones((2, 3)))
        mg.relu(np.ones(2))
    assert [(s.op, s.outer) for s in profile.spans] == [("matmul", None), ("relu", None)]
    assert all(s.ended > s.began for s in profile.spans)


def test_two_profiles_at_a_time_are_refused():
    with (
        mg.profile() as profile,
        pytest.raises(ConfigError, match=r"being taken already.*Try: one `with"),
        mg.profile(),
    ):
        pass
    assert len(profile.periods) == 1


def test_other_threads_run_and_are_only_counted():
    results = []

    def work():
        x = variable(3)
        results.append(mg.grad(mg.sum(x * x), x)[0])

    with mg.profile() as profile:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    np.testing.assert_array_equal(results[0], [2, 2, 2])
    assert rows_of(profile).keys() == {"outside of ops"}
    assert "Not counted: 5 calls from other threads." in str(profile)  # 3 ops, 2 nodes' rules


# ── what it shows ────────────────────────────────────────────────────────────────────────────


def test_the_table():
    with mg.profile() as profile:
        h = mg.relu(variable(1000, 250))
        mg.sum(h).backward()
        assert "outside of ops" in str(profile)  # also before it ends
    lines = str(profile).splitlines()
    assert lines[0].split("  ")[0] == "op"
    assert lines[0].split()[1:] == [
        "calls", "ms", "share", "forward", "ms", "backward", "ms", "MB", "made", "peak"
    ]  # fmt: skip
    (relu,) = [line for line in lines if line.startswith("relu")]
    assert relu.split()[1] == "1"
    assert relu.split()[-2:] == ["2.00", "2.00"]  # y and the gradient to x, both kept
    assert lines[-2].split()[:4] == ["total", "2", "0.02", "100.0%"]
    assert lines[-1] == "MB made: new arrays that ops and pullbacks returned; peak: alive at once."
    names = [row.name for row in profile.by("op").rows]
    assert names[-1] == "outside of ops"


def test_an_empty_profile_has_a_table_and_a_trace(tmp_path):
    profile = mg.profile()
    assert "total" in str(profile)
    profile.save_trace(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda: mg.profile().by("layer"), 'no table by "layer".*Try: profile.by'),
        (lambda: mg.profile(critic=ops.relu), "critic is a Op, but must be a Module.*Try: with"),
    ],
)
def test_mistakes_are_explained(mistake, sentence):
    with pytest.raises(ConfigError, match=sentence):
        mistake()


def test_the_trace_nests_ops_in_modules_and_parts_in_ops(tmp_path):
    profile = profiled_steps("dcgan")
    profile.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    complete = [event for event in events if event["ph"] == "X"]
    assert len({(event["pid"], event["tid"]) for event in complete}) == 1
    assert len(complete) == 1 + len(profile.module_calls) + len(profile.spans)

    complete.sort(key=lambda event: (event["ts"], -event["dur"]))
    stack, seen = [], set()
    for event in complete:
        assert event["dur"] > 0
        end = event["ts"] + event["dur"]
        while stack and stack[-1][1] <= event["ts"]:
            stack.pop()
        assert not stack or end <= stack[-1][1]  # inside of it, not across its end
        stack.append((event["name"], end))
        seen.add(tuple(name for name, _ in stack))
    assert ("profile", "discriminator", "discriminator.conv2", "biased_conv2d") in seen
    assert ("profile", "biased_conv2d backward", "conv2d_transpose") in seen
    (update,) = {names for names in seen if names[-1] == "Adam update"}
    assert update == ("profile", "Adam update")

    (backward, *_) = [event for event in complete if event["name"] == "biased_conv2d backward"]
    assert backward["cat"] == "backward"
    assert backward["args"]["module"].startswith("discriminator.conv")
    assert backward["args"]["line"].startswith("dcgan.py:")
    memory = [event["args"]["MB"] for event in events if event["ph"] == "C"]
    assert max(memory) * 1e6 == pytest.approx(profile.by("op").total.memory.peak)
    assert min(memory) == 0


# ── minigan train --profile ──────────────────────────────────────────────────────────────────


def train(folder, *options):
    arguments = ["train", "--batch-size", "8", "--samples", "4", "--no-progress", "--out", folder]
    return CliRunner().invoke(app, [*map(str, arguments), *options])


def test_train_profiles_steps_and_goes_on_with_the_same_bits(tmp_path):
    plain = train(tmp_path / "plain", "--steps", "32")
    profiled = train(tmp_path / "profiled", "--steps", "32", "--profile")
    assert plain.exit_code == profiled.exit_code == 0, profiled.output
    assert "20 steps, where their time went:\nop " in profiled.output
    tables = (tmp_path / "profiled/profile.txt").read_text()
    assert tables.count("outside of ops") == 3
    assert "generator.hidden" in tables
    events = json.loads((tmp_path / "profiled/trace.json").read_text())["traceEvents"]
    assert sum(event["name"] == "profile" for event in events) == 20
    for name in ("config.json", "metrics.jsonl"):
        assert (tmp_path / "plain" / name).read_bytes() == (
            tmp_path / "profiled" / name
        ).read_bytes()
    expected, found = (
        latest_checkpoint(tmp_path / name / "checkpoints").arrays for name in ("plain", "profiled")
    )
    assert expected.keys() == found.keys()
    assert all(expected[key].tobytes() == found[key].tobytes() for key in expected)


def test_train_refuses_to_profile_too_short_a_run(tmp_path):
    result = train(tmp_path / "run", "--steps", "20", "--profile")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == (
        "--profile looks at steps 11 to 30 from where the run starts, but this one takes 20. "
        "Try: --steps 30."
    )
    assert not (tmp_path / "run").exists()
