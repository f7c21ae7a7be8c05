"""The command `minigan`: train, sample, score, data, gradcheck, doctor. Nothing imports this file.

Every mistake ends in one sentence and exit code 2.
"""

import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

import minigan
from minigan import backend
from minigan.errors import ConfigError, MiniganError
from minigan.gan.config import TrainConfig
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.presets import PRESETS, preset
from minigan.gan.run_folder import RunFolder, new_run_folder, newest_run

app = typer.Typer(
    name="minigan",
    help="Train generative adversarial networks you can read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Fetch data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Preset = Annotated[
    str | None, typer.Argument(metavar="PRESET", help=f"{' or '.join(PRESETS)}; default mlp-gan.")
]
Device = Annotated[str | None, typer.Option(help='"cpu", "gpu", "gpu:1" or "auto".')]
OPTIONS = {field.name for field in fields(TrainConfig)}


def main() -> None:
    """Run the command line; the console script's entry point."""
    try:
        app()
    except MiniganError as error:
        typer.echo(f"minigan: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("minigan: stopped.", err=True)
        sys.exit(130)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"minigan {minigan.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


# ── train ────────────────────────────────────────────────────────────────────────────────────


def _networks(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel="Networks")


def _game(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel="Game")


def _pictures(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Folders of pictures (dcgan-images)")


@app.command()
def train(
    preset_name: Preset = None,
    data: Annotated[
        str | None,
        typer.Option(
            help='"digits" (10,000, embedded), a folder of MNIST files, or, for dcgan-images, a '
            "folder of pictures."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps in all.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="The same as so many times through all pictures.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Real pictures a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Weights, noise and data order.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Adam's, for both players.")] = None,
    samples: Annotated[int | None, typer.Option(help="How many in a sample picture.")] = None,
    sample_columns: Annotated[int | None, typer.Option(help="How many of them in a row.")] = None,
    sample_every: Annotated[int | None, typer.Option(help="Steps between pictures.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default runs/PRESET.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run.")] = False,
    device: Device = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time of steps 11 to 30 goes.")
    ] = False,
    latent_size: Annotated[
        int | None,
        typer.Option(
            "--z-dim",
            "--latent-size",
            help="Numbers in a noise vector.",
            rich_help_panel="Networks",
        ),
    ] = None,
    noise: Annotated[str | None, _networks('"uniform" in [-1, 1), or "normal".')] = None,
    gf_dim: Annotated[int | None, _networks("Filters of G's last hidden convolution.")] = None,
    df_dim: Annotated[int | None, _networks("Filters of D's first convolution.")] = None,
    gfc_dim: Annotated[int | None, _networks("Neurons of G's dense layer.")] = None,
    dfc_dim: Annotated[int | None, _networks("Neurons of D's dense layer.")] = None,
    layer_norm: Annotated[bool | None, _networks("D normalises each picture by itself.")] = None,
    spectral_norm: Annotated[bool | None, _networks("Bound the slope of D's layers.")] = None,
    objective: Annotated[str | None, _game(f"One of {', '.join(OBJECTIVES)}.")] = None,
    beta1: Annotated[float | None, _game("Adam's memory of gradients.")] = None,
    beta2: Annotated[float | None, _game("Adam's memory of their squares.")] = None,
    d_steps: Annotated[int | None, _game("D's updates for one of G's.")] = None,
    real_label: Annotated[float | None, _game("Below 1: one-sided label smoothing.")] = None,
    instance_noise: Annotated[float | None, _game("Noise on the pictures D learns from.")] = None,
    r1: Annotated[float | None, _game("Penalty on D's slopes at real pictures.")] = None,
    average_decay: Annotated[
        float | None, _game("Average G over time, such as 0.999, and sample from that.")
    ] = None,
    pattern: Annotated[str | None, _pictures("Which files, such as '**/*.png'.")] = None,
    crop: Annotated[bool | None, _pictures("Cut the middle out of each first.")] = None,
    input_height: Annotated[int | None, _pictures("Rows of what is cut out.")] = None,
    input_width: Annotated[int | None, _pictures("Columns; default as many as rows.")] = None,
    output_height: Annotated[int | None, _pictures("Rows to scale it to; default 64.")] = None,
    output_width: Annotated[int | None, _pictures("Columns; default as many as rows.")] = None,
    grayscale: Annotated[
        bool | None, _pictures("Default: found out.", "--grayscale/--color")
    ] = None,
    train_size: Annotated[int | None, _pictures("How many files, the first by name.")] = None,
    skip_broken: Annotated[
        bool | None, _pictures("Leave out files that can't be used.", "--skip-broken")
    ] = None,
) -> None:
    """Train a GAN. With no arguments: the MLP GAN on embedded digits, about a minute."""
    options = {name: value for name, value in locals().items() if name in OPTIONS}
    _train(
        {**options, "data": _absolute(data)}, preset_name, epochs, out, resume, progress, profile
    )


def _train(
    options: dict[str, Any],
    preset_name: str | None,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    progress: bool,
    profile: bool,
) -> None:
    from minigan.gan.training import PROFILED, TrainingRun

    if epochs is not None and options["steps"] is not None:
        raise ConfigError(
            f"--epochs {epochs} and --steps {options['steps']} both say how long to train. "
            f"Try: one of the two."
        )
    if resume:
        folder = _run_to_resume(preset_name, out)
        config = _resumed_config(folder, preset_name, options)
    else:
        config = preset(preset_name or "mlp-gan").with_options(**options)
        folder = RunFolder(out) if out else new_run_folder(config.preset)
        if folder.holds_a_run():
            raise ConfigError(
                f"{folder} already holds a run, and nothing is overwritten. "
                f"Try: --resume to continue it, or another --out."
            )
    run = TrainingRun(config, folder, say=typer.echo)
    if epochs is not None:
        run.train_for(epochs)
    config = run.config
    if resume:
        run.resume()
    if run.step >= config.steps:
        typer.echo(
            f"{folder} already has its {run.step:,} steps. "
            f"Try: minigan train --resume --out {folder} --steps {2 * run.step}"
        )
        return
    if profile and config.steps - run.step < PROFILED.stop:
        raise ConfigError(
            f"--profile looks at steps 11 to 30 from where the run starts, but this one takes "
            f"{config.steps - run.step}. Try: --steps {run.step + PROFILED.stop}."
        )
    folder.create(config)
    typer.echo(
        f"{config.preset}: steps {run.step:,} to {config.steps:,}, batches of "
        f"{config.batch_size} from {len(run.batches):,} {run.source}, on {run.device}.\n"
        f"Writing to {folder}. Ctrl-C stops, saves everything and says how to continue."
    )
    began, first = time.perf_counter(), run.step
    finished = run.train(progress, profile)
    seconds = time.perf_counter() - began
    typer.echo(f"{run.step - first:,} steps in {_duration(seconds)}.")
    if finished:
        typer.echo(
            f"Look at {folder.sample_pictures()[-1]}, {folder.losses} and {folder.animation}.\n"
            f"More pictures: minigan sample {folder}"
        )
    else:
        typer.echo(
            f"Stopped at step {run.step:,}; everything is saved.\n"
            f"Continue: minigan train --resume --out {folder}"
        )


def _run_to_resume(preset_name: str | None, out: Path | None) -> RunFolder:
    if out is not None:
        return RunFolder(out)
    if preset_name is not None:
        preset(preset_name)  # an unknown name is the better complaint
    folder = newest_run(preset_name)
    if folder is None:
        raise ConfigError(
            f"there is no {preset_name or 'run'} to resume in runs/. "
            f"Try: minigan train {preset_name or ''}".rstrip()
            + "."
        )
    return folder


def _resumed_config(
    folder: RunFolder, preset_name: str | None, options: dict[str, Any]
) -> TrainConfig:
    """The run's own configuration; only --steps and --device may change."""
    config = folder.read_config()
    given = {"preset": preset_name, **options}
    for name, value in given.items():
        if name not in ("steps", "device") and value not in (None, getattr(config, name)):
            option = "the preset" if name == "preset" else f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{folder} was started with {name} {getattr(config, name)}, not {value}; a "
                f"resumed run keeps its options. Try: without {option}, or a new run in another "
                f"--out."
            )
    return config.with_options(steps=options["steps"], device=options["device"])


def _absolute(data: str | None) -> str | None:
    return data if data in (None, "digits") else str(Path(data).resolve())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


# ── sample ───────────────────────────────────────────────────────────────────────────────────


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="A run's folder, such as runs/mlp-gan.")],
    n: Annotated[int, typer.Option("--n", min=1, max=10_000, help="How many pictures.")] = 36,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other noise.")] = 0,
    label: Annotated[
        int | None, typer.Option(help="The class of all, if the run learns labels.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="PNG to write; default RUN/sample_SEED.png.")
    ] = None,
    device: Device = None,
) -> None:
    """Draw pictures from a trained generator; one that learns labels draws each in turn."""
    from minigan.gan.sampling import sample_run

    target = out or run / f"sample_{seed}.png"
    step = sample_run(RunFolder(run), n, seed, target, device or "cpu", label)
    typer.echo(f"{n} pictures of the generator after {step:,} steps: {target}")


# ── score ────────────────────────────────────────────────────────────────────────────────────


@app.command()
def score(
    run: Annotated[
        Path | None, typer.Argument(help="A run's folder, such as runs/mlp-gan.")
    ] = None,
    n: Annotated[
        int, typer.Option("--n", min=2, max=100_000, help="How many pictures of the run's.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other noise.")] = 0,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Score these pictures instead: `images` uint8 (N,H,W) or (N,H,W,C), and "
            "`labels` (N,) if classes were asked for.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The real pictures; default the run's own, or digits.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Which files, if --data has pictures.")
    ] = None,
    device: Device = None,
) -> None:
    """Say in numbers how good a run's pictures are, beside the real ones."""
    from minigan.gan import score as scoring
    from minigan.gan.scored_pictures import pictures_of_file, pictures_of_run, real_pictures

    place = device or "cpu"
    folder = None if run is None else RunFolder(run)
    if images is not None:
        pictures, target = pictures_of_file(images), images.with_suffix(".score.json")
    elif folder is not None:
        pictures, target = pictures_of_run(folder, n, seed, place), folder.path / "score.json"
    else:
        raise ConfigError(
            f"score needs a run or pictures. Try: minigan score {newest_run() or 'runs/mlp-gan'}"
        )
    real = real_pictures(pictures, folder, _absolute(data), pattern, say=typer.echo)
    result = scoring.score(pictures, real, seed, place)
    typer.echo(scoring.table(result))
    scoring.write_score(result, target)
    typer.echo(f"Written to {target}.")


# ── data ─────────────────────────────────────────────────────────────────────────────────────


@data_app.command()
def mnist(
    folder: Annotated[
        Path | None, typer.Option(help="Where to put the files; default: the user's cache.")
    ] = None,
) -> None:
    """Fetch the full MNIST, 70,000 digits, 11 MB; files already there are kept."""
    from minigan.data import fetch_mnist

    path = fetch_mnist(folder) if folder else fetch_mnist()
    typer.echo(f"MNIST is in {path}\nTrain on it: minigan train --data {path}")


# ── gradcheck ────────────────────────────────────────────────────────────────────────────────


@app.command()
def gradcheck(
    target: Annotated[
        str | None,
        typer.Argument(metavar="FILE.py:NAME", help="Your layer, op or function; default: all."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="SHAPE", help="Such as 4,28,28,1; one for each input."),
    ] = None,
    order: Annotated[int, typer.Option(min=1, help="1: gradients; 2: their gradients.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other inputs.")] = 0,
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of minigan's, such as conv2d.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG to draw of your FILE.py:NAME.")] = None,
) -> None:
    """Prove gradients by numbers: minigan's own, or those of your FILE.py:NAME."""
    from minigan.testing.gradcheck import check_file, check_specifications

    if target is None:
        if inputs or picture:
            raise ConfigError(
                "--input and --picture are for a file of yours. "
                "Try: minigan gradcheck FILE.py:NAME --input 4,3"
            )
        right = check_specifications(only, order, seed, say=typer.echo)
    else:
        if only:
            raise ConfigError(f"--only is for minigan's own. Try: without {target}, or without it.")
        right = check_file(target, inputs or [], order, seed, picture, say=typer.echo)
    if not right:
        raise typer.Exit(1)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────


@app.command()
def doctor() -> None:
    """Say what minigan finds on this machine: versions, BLAS, threads, GPU, folders, data."""
    from minigan.environment import environment

    facts = environment()
    facts["gpu"] = backend.gpu_problem() or "works"
    libraries = facts.pop("libraries")
    facts.pop("command")
    facts["libraries"] = ", ".join(f"{k} {v or 'missing'}" for k, v in libraries.items())
    facts["can write here"] = _writable(Path.cwd())
    facts["embedded digits"] = _embedded_digits()
    facts["full MNIST"] = _full_mnist()
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}  {value}")


def _writable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return f"yes ({folder})"
    except OSError as error:
        return f"no: {error.strerror}. Try: another folder, or --out with one"


def _embedded_digits() -> str:
    from minigan.data import load_digits

    try:
        return f"{len(load_digits().images):,} digits"
    except MiniganError as error:
        return str(error)


def _full_mnist() -> str:
    from minigan.data import default_mnist_folder, load_mnist

    folder = default_mnist_folder()
    if not folder.is_dir():
        return "not fetched (only needed for --data). Try: minigan data mnist"
    try:
        return f"{len(load_mnist(folder, 'train').images):,} digits in {folder}"
    except MiniganError as error:
        return str(error)
