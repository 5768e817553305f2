"""Processor seconds of commands in which the network itself has next to nothing to do: the least of several runs.

    python benchmarks/start_speed.py
    git worktree add ../before COMMIT && python benchmarks/start_speed.py --against ../before

With ``--against`` another checkout takes turns with this one, in the same environment.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from command import start

from galaxycnn.errors import UserError
from galaxycnn.machine import machine
from galaxycnn.progress import track
from galaxycnn.simulate import simulate_survey

CONFIG = {
    "paths": {"images_path": "survey/images_training_rev1", "labels_path": "survey/training_solutions_rev1.csv"},
    "data_preprocessing": {"layout": "kaggle", "img_size": [64, 64]},
    "model_name": "start",
    "model_params": {"model_type": "base"},
    "train_params": {"epochs": 1, "metrics": ["accuracy", "rmse"]},
}
TRAIN = ["train", "config.yaml", "--no-save_plots"]
COMMANDS = {
    "list the networks": ["list", "models"],
    "predict one galaxy": ["predict", "galaxy.jpg"],
    "train `base` for one epoch": TRAIN,
    "the same, with its pictures": TRAIN[:-1],
} | {
    f"train `{name}`": [*TRAIN, "--set", f"model_params.model_type={name}"]
    for name in ("hierarchy", "efficientnet_lite0", "vit")
}


def main() -> None:
    arguments = _arguments()
    checkouts = [Path(__file__).parents[1], *([arguments.against] if arguments.against else [])]
    for checkout in checkouts:
        if not (checkout / "galaxycnn" / "cli.py").is_file():
            raise UserError(f"--against {checkout}: this is no checkout of galaxycnn")
    print(f"{machine()['processor']}\n\n| command | {' | '.join(['this', 'the other'][: len(checkouts)])} |")
    print("|---|" + "---|" * len(checkouts))
    with tempfile.TemporaryDirectory() as folder:
        _galaxies(Path(folder))
        for name, words in COMMANDS.items():
            rounds = track(range(arguments.repeats), name, total=arguments.repeats)
            runs = [[seconds(checkout, words, Path(folder)) for checkout in checkouts] for _ in rounds]
            print(f"| {name} | {' | '.join(f'{min(run):.1f} s' for run in zip(*runs, strict=True))} |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to measure in turn")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def _galaxies(folder: Path) -> None:
    survey = simulate_survey(folder / "survey", galaxies=64, seed=1, image_size=64)
    shutil.copy(next((survey / "images_training_rev1").iterdir()), folder / "galaxy.jpg")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))


def seconds(checkout: Path, words: list[str], folder: Path) -> float:
    """Processor time of one command of that checkout, in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-m", "galaxycnn.cli", *words]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    start(main)
