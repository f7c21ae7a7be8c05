"""`minigan gradcheck`: all of minigan's gradients, or those of a learner's file."""

import re
import subprocess
import sys

import pytest

from minigan import cli, relu
from minigan.testing.specifications import all_specifications

LEARNERS_FILE = '''
from dataclasses import dataclass

import numpy as np

import minigan as mg
from neighbour import half

learning_rate = 0.1


@dataclass
class Options:
    rate: float = 0.5


@mg.op
def cube(x):
    return x * x * x


cube.pullbacks(lambda g, y, x: g * (2 * x * x))  # wrong: 3 x^2


@mg.op
def unfinished(x):
    return x * x


unfinished.pullbacks(lambda g, y, x: g * todo)


class Scale(mg.Module):
    """A number for each column."""

    def __init__(self):
        self.gain = mg.Parameter(np.ones(3, "float32"))

    def forward(self, x):
        return half(mg.tanh(x * self.gain))


class Block(mg.Module):
    def __init__(self, units, rate=0.5):
        self.units = units


class Forgetful(mg.Module):
    def forward(self, x):
        mg.exp(x)


class Crashing(mg.Module):
    def __init__(self):
        self.kernel = undefined


def distance(x, w):
    return mg.sum((x - w) ** 2)


def constant(x):
    return mg.sum(mg.exp(mg.log_softmax(x)))


net = mg.Sequential(mg.Dense(3, activation=mg.tanh), mg.Dropout(0.5, seed=1), mg.Dense(2))


def loss(x):
    return mg.mean(net(x))
'''.lstrip()
OFFERED = "cube, unfinished, Scale, Block, Forgetful, Crashing, distance, constant, net, loss"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """`minigan gradcheck ARGUMENTS` in a folder with a learner's files; exit code, out, err."""
    (tmp_path / "mine.py").write_text(LEARNERS_FILE)
    (tmp_path / "neighbour.py").write_text("def half(x):\n    return x / 2\n")
    (tmp_path / "unclosed.py").write_text("x = 1\ny = (\n")
    (tmp_path / "raising.py").write_text("import sys\n\n\nsys.exit('no data')\n")
    (tmp_path / "empty.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)

    def gradcheck(*arguments):
        monkeypatch.setattr(sys, "argv", ["minigan", "gradcheck", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code, *capsys.readouterr()

    return gradcheck


def line_number(text):
    """Where the learner's file has this text."""
    return next(i for i, line in enumerate(LEARNERS_FILE.splitlines(), 1) if text in line)


# ── all of minigan ───────────────────────────────────────────────────────────────────────────


def test_every_op_layer_and_loss_is_right(run):
    code, out, err = run("--order", "1")
    assert (code, err) == (0, "")
    rows = out.splitlines()[3:-2]
    specifications = all_specifications()
    assert len(rows) == len({row.name for row in specifications})
    assert all("  ok  " in row for row in rows)
    assert f", {len(specifications)} checks to order 1, " in out
    assert out.endswith(" numbers compared: all right.\n")


def test_one_of_them(run):
    code, out, err = run("--only", "softplus", "--seed", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Gradients against numerical derivatives of a second formula, seed 3"
    assert lines[2] == "function  order   checks    worst  verdict  method"
    assert re.fullmatch(r"softplus      2        4  \d\.\de-1\d  ok       complex step", lines[3])
    assert lines[5] == "1 function, 4 checks to order 2, 225 numbers compared: all right."


def test_a_wrong_pullback_is_told_by_its_specification(run, monkeypatch):
    monkeypatch.setattr(relu, "rules", (lambda g, y, x: g * (x > 0) * 1.001,))
    code, out, err = run("--only", "relu", "--order", "1")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[3] == "relu          1        4        -  WRONG    3 of 4 checks fail"
    assert lines[5] == "relu(nonzero(2,3))"
    assert lines[6].startswith("  relu: the gradient to x is wrong, the pullback gives 1.001 where")
    assert "    pattern         every element is off by the factor 1.001" in lines
    assert lines[-1].endswith(" numbers compared: WRONG: relu.")


def test_a_pullback_that_stops_is_wrong_too(run, monkeypatch):
    monkeypatch.setattr(relu, "rules", (lambda g, y, x: g[0, 0, 0] * x,))
    code, out, _ = run("--only", "relu")
    assert code == 1
    assert "\n  IndexError: too many indices" in out


# ── a learner's file ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "inputs", "order", "called"),
    [
        ("Scale", ["4,3"], 3, "Scale"),
        ("net", ["2,4"], 2, "Sequential"),
        ("loss", ["2,4"], 2, "loss"),
        ("distance", ["4,3", "3"], 1, "distance"),
    ],
)
def test_a_right_gradient_is_reported(run, name, inputs, order, called):
    options = [word for shape in inputs for word in ("--input", shape)]
    code, out, err = run(f"mine.py:{name}", *options, "--order", str(order), "--seed", "1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    shapes = " and ".join(f"({', '.join(s.split(','))}{'' if ',' in s else ','})" for s in inputs)
    assert lines[0] == f"{name} of mine.py, normal inputs of shape {shapes}, seed 1"
    assert re.fullmatch(rf"{called}: [\d,]+ numbers compared", lines[2])
    assert lines[2 + order].startswith(f"  order {order}  by ")
    assert lines[-1] == f"Every gradient of {name} is right, to order {order}."


@pytest.mark.parametrize(("name", "outputs"), [("net", 2 * 2), ("loss", 1)])
def test_parameters_are_checked_too(run, name, outputs):
    values = 2 * 4 + (4 * 3 + 3) + (3 * 2 + 2)  # x, then both layers' kernel and bias
    compared = 2 * (outputs + 2) * values  # in training and inference, for one-hots and two more
    code, out, _ = run(f"mine.py:{name}", "--input", "2,4", "--order", "1")
    assert code == 0
    assert f": {compared} numbers compared" in out


def test_a_wrong_gradient_is_the_learners_report(run, tmp_path):
    code, out, err = run("mine.py:cube", "--input", "4,3", "--picture", "wrong.png")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[2].startswith("cube: the gradient to x is wrong, the pullback gives ")
    assert "  pattern         every element is off by the factor 0.666667" in lines
    assert lines[-1] == "  picture         wrong.png"
    assert (tmp_path / "wrong.png").read_bytes().startswith(b"\x89PNG")


def test_a_right_gradient_can_be_looked_at(run, tmp_path):
    code, out, _ = run("mine.py:Scale", "--input", "4,3", "--picture", "right.png")
    assert code == 0
    assert out.endswith("Look at right.png: the element with the largest error.\n")
    assert (tmp_path / "right.png").read_bytes().startswith(b"\x89PNG")


def test_a_vacuous_check_is_no_proof(run):
    code, out, err = run("mine.py:constant", "--input", "4,3")
    assert (code, err) == (0, "")
    assert "  VACUOUS  the gradient to x is zero: nothing proved\n" in out
    assert "its gradient to x is zero here, which proves nothing. Try: --seed 1, or" in out
    assert "is right" not in out


def test_importing_a_file_leaves_the_search_path_alone(run):
    before = list(sys.path)
    run("mine.py:distance", "--input", "3", "--input", "3")
    run("raising.py:x")
    assert sys.path == before


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────

MISTAKES = {
    "mine.py:Distance --input 3": f"mine.py has no 'Distance' to check; it offers {OFFERED}. "
    "Try: minigan gradcheck mine.py:distance",
    "mine.py:learning_rate --input 3": f"mine.py has no 'learning_rate' to check; it offers "
    f"{OFFERED}. Try: minigan gradcheck mine.py:",
    "mine.py": f"mine.py is given without a name; it offers {OFFERED}. "
    "Try: minigan gradcheck mine.py:cube",
    "empty.py:f": "empty.py has no 'f' to check, and offers no Module, op or function. "
    "Try: a file that defines one.",
    "mein.py:net": "there is no Python file mein.py. Try: mine.py",
    "nowhere/mine.py:net": "there is no Python file nowhere/mine.py. Try: a path from ",
    "unclosed.py:y": "unclosed.py, line 2, when it is imported: SyntaxError: ",
    "raising.py:f": "raising.py, line 4, when it is imported: SystemExit: no data. "
    "Try: python raising.py.",
    "mine.py:Block --input 3": "Block needs arguments (units). Try: a line `layer = Block(...)` in "
    "mine.py, then minigan gradcheck mine.py:layer",
    "mine.py:Crashing --input 3": f"mine.py, line {line_number('undefined')}, in Crashing(): "
    "NameError: name 'undefined' is not defined. Try: ",
    "mine.py:Forgetful --input 3": "mine.py, for --input 3: Forgetful returns None, but must "
    "return a Tensor. Try: `return` in its last line.",
    "mine.py:Scale": "Scale takes x, and the command has no --input. Try: --input 4,3",
    "mine.py:distance --input 3": "distance takes x and w, and the command has 1 --input. "
    "Try: --input 4,3 --input 4,3",
    "mine.py:Scale --input 4x3": "--input is '4x3', but must be a shape: whole numbers from 1, "
    "with commas. Try: --input 4,28,28,1.",
    "mine.py:Scale --input 4,0": "--input is '4,0', but must be a shape",
    "mine.py:Scale --input 4,5": f"mine.py, line {line_number('self.gain)')}, for --input 4,5: "
    "ValueError: operands could not be broadcast together with shapes (4,5) (3,) in multiply",
    "mine.py:unfinished --input 3": f"mine.py, line {line_number('g * todo')}, for --input 3: "
    "NameError: name 'todo' is not defined. Try: another --input, or correct mine.py.",
    "mine.py:cube --input 3 --picture no/where.png": "the picture no/where.png can't be written",
    "--only softplsu": "no op, layer or loss is called 'softplsu'. Try: softplus or Softplus.",
    "--only relu mine.py:cube": "--only is for minigan's own. Try: without mine.py:cube, or",
    "--input 3": "--input and --picture are for a file of yours. "
    "Try: minigan gradcheck FILE.py:NAME --input 4,3",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_ends_in_one_sentence_and_exit_code_2(run, command):
    code, _, err = run(*command.split())
    assert code == 2
    assert err.startswith("minigan: ")
    assert MISTAKES[command] in err
    assert "Try: " in err
    assert err.count("\n") == 1


def test_in_a_process_of_its_own(run, tmp_path):
    command = [sys.executable, "-m", "minigan", "gradcheck", "mine.py:cube", "--input", "2,3"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "")
    assert "cube: the gradient to x is wrong" in result.stdout
