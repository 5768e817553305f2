"""Write ``galaxycnn/pretrained/README.md``, the card of the networks that come with galaxycnn, from their measures.

python docs/make_model_card.py
"""

from __future__ import annotations

import json
from typing import Any

from galaxycnn.ensembles import load_ensemble
from galaxycnn.files import atomic_path
from galaxycnn.models.saving import read_recipe
from galaxycnn.pretrained import DEFAULT, PRETRAINED
from galaxycnn.tree import GALAXY_ZOO_2

FOLDER = PRETRAINED[DEFAULT].parent

CARD = """# The network `galaxy_zoo`

<!-- Made from the measures in *.metrics.json by docs/make_model_card.py. -->

A convolutional network of {parameters:,} parameters that looks for each pattern in eight poses (`model_type:
equivariant`), so that turning a cutout by quarters or mirroring it changes no answer. It reads a colour cutout of
a galaxy, {side}×{side} pixels, and predicts the 37 vote fractions of the Galaxy Zoo 2 decision tree: what share
of volunteers would give each answer. `galaxycnn predict galaxy.jpg` uses it where no other model is named, and
whatever takes a model file takes the name `galaxy_zoo`. [Three others](#three-others) come along, and [a mean of
three](#the-best-galaxy_zoo_best).

## Data

{train:,} galaxies of *Galaxy Zoo – The Galaxy Challenge* (Kaggle 2013; SDSS gri composites of 424×424 pixels around
bright nearby galaxies, r < 17) with the fractions of their volunteers; {told:,} others of the challenge, of which
only the largest fraction is known and, for 1,424, a class; and {gz1:,} of Galaxy Zoo 1, of which none is used. The
fractions of the latter two are those that earlier networks predicted, for the {told:,} once they were told what is
known (`benchmarks/hard_labels.py`). Training began with random weights. The {test} galaxies of the test part were
looked at only after training; `galaxy_zoo.split.csv` names them, and `galaxy_zoo.yaml` is the whole configuration.
About 8 % of the challenge's galaxies here are "odd spirals", three times as many as in the survey. The votes are
Galaxy Zoo 2's (Willett et al. 2013, MNRAS 435, 2835), the images those of the Sloan Digital Sky Survey.

## Scores

On the {test} test galaxies, from {views} views of each (the default), with 95 % bootstrap intervals, by `galaxycnn
evaluate galaxy_zoo --images DIR --labels CSV --split galaxycnn/pretrained/galaxy_zoo.split.csv`; predict-the-mean
and the most frequent answer are those of all galaxies that it learnt from (of the {train:,} with votes alone the
mean has 0.172, by `galaxycnn baseline configs/votes_base.yaml`):

| | RMSE over all 37 fractions |
|---|---|
| predict-the-mean | {mean:.3f} |
| this network, one view | {single:.4f} |
| **this network** | {score} |

Question by question; *reached* are the galaxies that the volunteers bring to the question, among which the accuracy
is that of the most likely answer; the calibration error is the mean distance between stated and true fractions in
bins of the stated ones:

| question | reached | accuracy | most frequent answer | RMSE | predict-the-mean | calibration error |
|---|---|---|---|---|---|---|
{questions}

The sums of the decision tree hold by construction. `galaxy_zoo.metrics.json` has every measure.

## What it must not be used for

- Images that are not like its own: other surveys, depths, filters, redshifts or scales, unless their predictions
  are compared with labels there. `galaxycnn predict` flags what is `atypical` of its training galaxies; that finds
  much of it, and not all.
- Rare things: rings, lenses, mergers, dust lanes and the like (Class8) were a few dozen galaxies of the training.
  Artefacts and stars (Class1.3) were fewer still, and are hardly ever found.
- Single galaxies as facts. It predicts what volunteers would have voted, with their biases: small, faint and
  distant galaxies look smoother than they are, and the fractions are not corrected for redshift.
- Fractions of a population without a correction for the confusion that the tables show.

## Three others

What was said above of use holds for them, too. On the same {test} galaxies, by the same command with their names:

| network | cutout | parameters | epochs | learnt from | one view | {best_views} or 16 views |
|---|---|---|---|---|---|---|
{networks}

`galaxy_zoo_small` is as `galaxy_zoo`, whose {best_views} views (five rotations, three zooms) are to it the winner's
60. So they are to `galaxy_zoo_polar`, which reads galaxies along rays from their centre (`model_type: polar`) and
learnt from the votes alone. `galaxy_zoo_lite0` is an EfficientNet-Lite0, which other networks from ImageNet can begin
with; its views differ more, and it takes 16. How fast they are, `benchmarks/README.md` says.

## How they were made

`galaxy_zoo` (called `galaxy_zoo_equivariant` then) and `galaxy_zoo_small` are those of commit e634550, whose card
has the commands of all that came along then: an EfficientNet-Lite0 from ImageNet weights, networks that learnt what
it named, and those that learnt what these named. `galaxy_zoo_lite0` is that EfficientNet-Lite0 after {lite0_epochs}
epochs more, all but its first three stages, on the {train:,}, on the {told:,} as `galaxy_zoo_best` of that commit
names them once it is told their hard labels, and on {lite0_gz1:,} galaxies of Galaxy Zoo 1 as it names them: those
that are not plainly smooth (predicted Class1.1 below 0.7). With Kaggle's files in `galaxy-zoo_data/`, and Galaxy
Zoo 1's images in GZ1_DIR:

```sh
git worktree add ../earlier e634550
cp ../earlier/galaxycnn/pretrained/galaxy_zoo.keras galaxy-zoo_data/earlier_lite0.keras
cd galaxy-zoo_data
../../earlier/run.zsh submit galaxy_zoo_best images_without_labels --views 4 -o submission.csv
python ../benchmarks/hard_labels.py submission.csv hard_labels.csv -o told.csv
../../earlier/run.zsh submit galaxy_zoo_best GZ1_DIR --views 3 -o gz1.csv
(cat told.csv; awk -F, 'NR > 1 && $2 < 0.7' gz1.csv) > all.csv
mkdir all; for id in $(tail -n +2 all.csv | cut -d, -f1); do
    cp images_without_labels/$id.jpg all/ 2>/dev/null || cp GZ1_DIR/$id.jpg all/
done
cd ..
./run.zsh galaxycnn/pretrained/galaxy_zoo_lite0.yaml    # {lite0_minutes:.0f} minutes on one core
./run.zsh export saved_models/galaxy_zoo_lite0.keras -o galaxy_zoo_lite0.keras
```

`galaxy_zoo_polar` is `configs/best_small_data.yaml` with seed {polar_seed} and the same galaxies for the test:

```sh
./run.zsh galaxycnn/pretrained/galaxy_zoo_polar.yaml    # {polar_minutes:.0f} minutes on one core (bfloat16)
./run.zsh export saved_models/galaxy_zoo_polar.keras -o galaxy_zoo_polar.keras
```

`export` leaves out the optimizer and rounds the weights to half precision; the scores are those of the files as they
are here. `galaxy_zoo` took {minutes:.0f} minutes on one core, in bfloat16; the file computes in float32.

## The best: `galaxy_zoo_best`

`galaxy_zoo_best` is the mean of `galaxy_zoo`, `galaxy_zoo_lite0` and `galaxy_zoo_polar`, {best_views} views each, and
takes as long as all three. Networks of one kind come to say the same, and so do those that learn the same names;
these are of three kinds, and the third learnt no names. That the first two are members was settled after five of
their kinds had been measured on the {test} galaxies, and that the third is, before it was, but after its like of
another seed; so the score of the mean may be a little better than another {test} galaxies would say
(`docs/results.md`).

| the same {test} test galaxies | parameters | {best_views} views |
|---|---|---|
{members}
| **`galaxy_zoo_best`** | {best_parameters:,} | {best_score} |

```sh
galaxycnn ensemble galaxy_zoo galaxy_zoo_lite0 galaxy_zoo_polar --name galaxy_zoo_best --views {best_views} \\
    --images DIR --labels CSV --split galaxycnn/pretrained/galaxy_zoo.split.csv
```
"""

SMALL, LITE0, POLAR, BEST = (f"{DEFAULT}_{kind}" for kind in ("small", "lite0", "polar", "best"))
TOLD = 2947
"""Galaxies of the challenge of which only hard labels are known."""


def card() -> str:
    """The card, as Markdown."""
    measured, lite0, polar = (_measured(name) for name in (DEFAULT, LITE0, POLAR))
    config = read_recipe(PRETRAINED[DEFAULT]).config
    test, overall = measured["parts"]["test"], measured["parts"]["test"]["overall"]
    return CARD.format(
        parameters=measured["parameters"],
        side=config.data_preprocessing.img_size[0],
        train=measured["labelled"],
        told=TOLD,
        gz1=_galaxy_zoo_1(measured),
        test=test["n"],
        views=test["views"],
        mean=overall["baseline"]["rmse"],
        single=test["single_view_rmse"],
        score=_score(overall, "**"),
        minutes=measured["training_seconds"] / 60,
        questions="\n".join(_row(name, output) for name, output in test["outputs"].items()),
        networks="\n".join(_network(name) for name in (DEFAULT, SMALL, LITE0, POLAR)),
        lite0_epochs=lite0["epochs"],
        lite0_gz1=_galaxy_zoo_1(lite0),
        lite0_minutes=lite0["training_seconds"] / 60,
        polar_seed=polar["seed"],
        polar_minutes=polar["training_seconds"] / 60,
        **_best(),
    )


def _measured(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.metrics.json").read_text())


def _galaxy_zoo_1(measured: dict[str, Any]) -> int:
    """How many of the galaxies that a network learnt from are of Galaxy Zoo 1."""
    return measured["galaxies"]["train"] - measured["labelled"] - TOLD


def _network(name: str) -> str:
    """The row of a network."""
    measured, side = _measured(name), read_recipe(PRETRAINED[name]).config.data_preprocessing.img_size[0]
    test = measured["parts"]["test"]
    figures = [
        f"{side}×{side}",
        f"{measured['parameters']:,}",
        f"{measured['epochs']}",
        f"{measured['galaxies']['train']:,}",
        f"{test['single_view_rmse']:.4f}",
        _score(test["overall"]),
    ]
    return f"| `{name}` | {' | '.join(figures)} |"


def _best() -> dict[str, Any]:
    """What is said of the mean."""
    measured = _measured(BEST)
    return {
        "best_views": load_ensemble(BEST).views,
        "best_parameters": sum(_measured(member["run"])["parameters"] for member in measured["members"]),
        "best_score": _score(measured["parts"]["test"]["overall"], "**"),
        "members": "\n".join(_member(member) for member in measured["members"]),
    }


def _member(member: dict[str, Any]) -> str:
    parameters = _measured(member["run"])["parameters"]
    return f"| `{member['run']}` | {parameters:,} | {_score(member['overall'])} |"


def _score(overall: dict[str, Any], mark: str = "") -> str:
    """The RMSE between two ``mark``, and its interval."""
    low, high = overall["intervals"]["rmse"]
    return f"{mark}{overall['rmse']:.4f}{mark} [{low:.4f} {high:.4f}]"


def _row(name: str, output: dict[str, Any]) -> str:
    reached = output["confusion"]["true_walk"]
    question = GALAXY_ZOO_2.question(name)
    figures = [
        f"{reached['accuracy']:.3f}",
        f"{reached['baseline']['accuracy']:.3f}",
        f"{output['rmse']:.3f}",
        f"{output['baseline']['rmse']:.3f}",
        f"{output['calibration']['error']:.3f}",
    ]
    return f"| {question.name}: {question.text} | {reached['n']} | {' | '.join(figures)} |"


def main() -> None:
    with atomic_path(FOLDER / "README.md") as temporary:
        temporary.write_text(card())


if __name__ == "__main__":
    main()
