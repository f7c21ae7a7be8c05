"""The table that grades the gradient check: python -m minigan.testing.mutants."""

from __future__ import annotations

from collections.abc import Sequence

from minigan.testing.mutants import FAMILIES
from minigan.testing.mutants.grading import MINIGAN, SCALES, Grade, Verdict, grade


def table(result: Grade) -> str:
    """The share of mutants killed, in Markdown: families by methods, plain / scaled."""
    methods = list(dict.fromkeys(v.method for v in result.verdicts))
    lines = [
        f"| family | mutants | {' | '.join(methods)} |",
        f"|---|---:|{'---:|' * len(methods)}",
    ]
    for family in (*FAMILIES, None):
        verdicts = [[result.of(method, scale, family) for scale in SCALES] for method in methods]
        count = len(verdicts[0][0])
        if count:
            cells = (" / ".join(map(percentage, pair)) for pair in verdicts)
            lines.append(f"| {family or '**all**'} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def percentage(verdicts: Sequence[Verdict]) -> str:
    """How many of them killed; only all of them are 100."""
    killed = sum(v.killed for v in verdicts)
    return f"{100 * killed // len(verdicts)}"


def summary(result: Grade) -> str:
    """How many survived or were false alarms, and which."""
    seeds = {v.method == MINIGAN: len(v.noticed) for v in result.verdicts}
    lines = [
        f"Noticed on each of {seeds[True]} seeds (peers: {seeds.get(False, 0)}), in percent; "
        f"plain / with outputs times {SCALES[1]:g}.",
        f"{len(result.of(MINIGAN, SCALES[0]))} mutants, {len(result.survivors)} survive; "
        f"{result.true_checks:,} true checks, {len(result.false_alarms)} false alarms.",
    ]
    for v in result.survivors:
        missed = ", ".join(str(seed) for seed, noticed in enumerate(v.noticed) if not noticed)
        lines.append(f"- survives: {v.mutant}, outputs times {v.scale:g}, seeds {missed}")
    lines += [f"- false alarm: {words}" for words in result.false_alarms]
    return "\n".join(lines)


def main(
    seeds: int = 20,
    peer_seeds: int = 5,
    true_checks: int = 10_000,
    processes: int | None = None,
) -> None:
    """How many of the mutants does each gradient check kill?

    In percent, as the functions are / with their outputs multiplied by 1e-6. A check kills a mutant
    if it notices it on every seed.
    """
    result = grade(seeds, peer_seeds, true_checks, processes, progress=True)
    print(table(result), summary(result), sep="\n\n")
    if result.survivors or result.false_alarms:
        raise SystemExit(1)


if __name__ == "__main__":
    import typer

    typer.run(main)
