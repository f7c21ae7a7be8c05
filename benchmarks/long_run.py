"""Memory and speed over a long training run: every thousand steps of `minigan train mlp-gan`.

Pictures, TensorBoard's files and checkpoints are written as always, and count. The run prints its
losses every thousand steps; that is when its resident memory is read (Linux).
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import report
from measuring import TRAIN, limit_threads


def train(steps: int) -> list[dict[str, float]]:
    """After each thousand steps: milliseconds a step since the line before, resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--steps", str(steps + 1), "--out", f"{folder}/run", "--no-progress"]
        process = subprocess.Popen([*TRAIN, "mlp-gan", *options], stdout=subprocess.PIPE, text=True)
        times, memory = [], []
        for line in process.stdout:
            if line.startswith("Iter: "):
                times.append(time.perf_counter())
                memory.append(resident(process.pid))
        if process.wait():
            raise SystemExit("minigan train failed.")
    return [
        {"steps": 1000 * i, "ms": times[i] - times[i - 1], "megabytes": memory[i]}
        for i in range(1, len(times))  # seconds for 1,000 steps are milliseconds for one
    ]


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def tables(figures: dict[str, Any]) -> str:
    rows = [
        {
            "steps": f"{row['steps']:,}",
            "ms a step": f"{row['ms']:.2f}",
            "resident MB": f"{row['megabytes']:.1f}",
        }
        for row in figures["rows"]
    ]
    return report.table(rows)


def draw(figures: dict[str, Any], path: Path) -> None:
    """Both over the steps."""
    steps = [row["steps"] for row in figures["rows"]]

    def plot(all_axes) -> None:
        titles = {"ms": "ms a step", "megabytes": "resident memory, MB"}
        for axes, (key, title) in zip(all_axes, titles.items(), strict=True):
            values = [row[key] for row in figures["rows"]]
            axes.plot(steps, values, "o-")
            axes.set_ylim(0, 1.3 * max(values))
            axes.set_xlabel("steps", fontsize=12)
            axes.set_title(title, fontsize=13)
            axes.grid(alpha=0.3)

    report.draw(path, (12, 4), (1, 2), plot)


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw memory and speed")
    options = parser.parse_args()
    limit_threads(options.threads)
    steps = 2000 if options.quick else options.steps
    figures = {"rows": train(steps), "threads": options.threads}
    report.publish(options, figures, tables, draw)


if __name__ == "__main__":
    main()
