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

An EfficientNet-Lite0 of {parameters:,} parameters that reads a colour cutout of a galaxy, {side}×{side} pixels, and
predicts the 37 vote fractions of the Galaxy Zoo 2 decision tree: what share of volunteers would give each answer.
`galaxycnn predict galaxy.jpg` uses it where no other model is named, and whatever takes a model file takes the name
`galaxy_zoo`.

## Data

{train:,} galaxies of *Galaxy Zoo – The Galaxy Challenge* (Kaggle 2013; SDSS gri composites of 424×424 pixels around
bright nearby galaxies, r < 17) with the fractions of their volunteers, and {extra:,} others of the same survey, of
which only the largest fraction is known and, for 1,424, a class. Their fractions are those that an earlier network of
the same kind predicted, once it was told these (`benchmarks/hard_labels.py`). Training began with that network's
backbone, whose own training began with ImageNet weights, and changed all but its first three stages.
The {test} galaxies of the test part were used once, after training; `galaxy_zoo.split.csv` names them, and
`galaxy_zoo.yaml` is the whole configuration. About 8 % of the galaxies are "odd spirals", three times as many as in
the survey. The votes are Galaxy Zoo 2's (Willett et al. 2013, MNRAS 435, 2835), the images those of the Sloan Digital
Sky Survey.

## Scores

On the {test} test galaxies, from {views} views of each (the default), with 95 % bootstrap intervals, by
`galaxycnn evaluate galaxy_zoo --images DIR --labels CSV --split galaxycnn/pretrained/galaxy_zoo.split.csv`;
predict-the-mean and the most frequent answer are those of the {train:,} galaxies with votes alone (`galaxycnn
baseline configs/votes_base.yaml`):

| | RMSE over all 37 fractions |
|---|---|
| predict-the-mean | {mean:.3f} |
| this network, one view | {single:.4f} |
| **this network** | **{rmse:.4f}** [{low:.4f} {high:.4f}] |

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

## How it was made

```sh
./run.zsh configs/votes_efficientnet_lite0.yaml                     # a network, with Kaggle's files in galaxy-zoo_data/
./run.zsh submit saved_models/votes_efficientnet_lite0.keras galaxy-zoo_data/images_without_labels --views 16 \\
    -o galaxy-zoo_data/predicted.csv                       # names the other galaxies
./run.zsh configs/votes_efficientnet_lite0.yaml --set model_name=first --set train_params.epochs=18 \\
    --set paths.extra_images_path=galaxy-zoo_data/images_without_labels \\
    --set paths.extra_labels_path=galaxy-zoo_data/predicted.csv
./run.zsh submit saved_models/first.keras galaxy-zoo_data/images_without_labels --views 8 \\
    -o galaxy-zoo_data/predicted.csv                       # names them again
.venv/bin/python benchmarks/hard_labels.py galaxy-zoo_data/predicted.csv galaxy-zoo_data/hard_labels.csv \\
    -o galaxy-zoo_data/told.csv                            # and is told what is known of them
./run.zsh galaxycnn/pretrained/galaxy_zoo.yaml             # learns from all, {minutes:.0f} minutes on {cores}
./run.zsh export saved_models/galaxy_zoo.keras -o galaxy_zoo.keras
```

The last step leaves out the optimizer and rounds the weights to half precision; the scores above are those of the file
as it is here.

## Three others, without ImageNet

Smaller ones, level with it or better from many views and better where one has to do. Their convolutions look for each
pattern in eight poses (`model_type: equivariant`), so that turning a cutout by quarters or mirroring it changes no
answer, and their {best_views} views (five rotations, three zooms) are to them the winner's 60. All began with random
weights and were trained with `optimizer: muon`. What was said above of use holds for them, too. On the same {test}
galaxies, by the same command with their names:

| network | cutout | parameters | epochs | learnt from | one view | {best_views} views |
|---|---|---|---|---|---|---|
{others}

From {best_views} views they predict 22, 12 and 9 galaxies a second on one core of an AMD EPYC with AVX-512,
`galaxy_zoo` 9 (`benchmarks/prediction_speed.py`, 2026-11-30).

All learnt from the {train:,} galaxies with votes. `galaxy_zoo_small` also did from the {extra:,}, as the mean of
`galaxy_zoo` and of the `galaxy_zoo_equivariant` that came along before (commit 03ac509, whose card says how it was
made) named them, once told their hard labels:

```sh
git show 03ac509:galaxycnn/pretrained/galaxy_zoo_equivariant.keras > galaxy-zoo_data/earlier.keras
cd galaxy-zoo_data
galaxycnn ensemble galaxy_zoo earlier.keras --name two --images images_training_rev1 \\
    --labels training_solutions_rev1.csv --split ../galaxycnn/pretrained/galaxy_zoo.split.csv --views 1
galaxycnn submit saved_models/two.ensemble.yaml images_without_labels --views 4 -o submission.csv
python ../benchmarks/hard_labels.py submission.csv hard_labels.csv -o told.csv
cd ..
./run.zsh galaxycnn/pretrained/galaxy_zoo_small.yaml    # {small_minutes:.0f} minutes on {small_cores}, without AVX-512
./run.zsh export saved_models/galaxy_zoo_small.keras -o galaxy_zoo_small.keras
```

The mean of these three named the same {extra:,} for the other two, and the galaxies of Galaxy Zoo 1, of which they have
the {gz1:,} that are not plainly smooth (predicted Class1.1 below 0.7). With Galaxy Zoo 1's images in GZ1_DIR:

```sh
cd galaxy-zoo_data
galaxycnn ensemble galaxy_zoo earlier.keras galaxy_zoo_small --name namers --images images_training_rev1 \\
    --labels training_solutions_rev1.csv --split ../galaxycnn/pretrained/galaxy_zoo.split.csv --views 1
galaxycnn submit saved_models/namers.ensemble.yaml images_without_labels --views 4 -o submission.csv
python ../benchmarks/hard_labels.py submission.csv hard_labels.csv -o told.csv
galaxycnn submit saved_models/namers.ensemble.yaml GZ1_DIR --views 3 -o gz1.csv
(cat told.csv; awk -F, 'NR > 1 && $2 < 0.7' gz1.csv) > all.csv
mkdir all; for id in $(tail -n +2 all.csv | cut -d, -f1); do
    cp images_without_labels/$id.jpg all/ 2>/dev/null || cp GZ1_DIR/$id.jpg all/
done
cd ..
for name in galaxy_zoo_equivariant galaxy_zoo_fine; do
    ./run.zsh galaxycnn/pretrained/$name.yaml  # {equivariant_minutes:.0f}, {fine_minutes:.0f} minutes on {fine_cores}
    ./run.zsh export saved_models/$name.keras -o $name.keras
done
```

Those two trainings were in bfloat16; the files compute in float32.

## The best: `galaxy_zoo_best`

`galaxy_zoo_best` is the mean of all four, {best_views} views each, and takes as long as all:

| the same {test} test galaxies | parameters | one view | {best_views} views |
|---|---|---|---|
{members}
| **`galaxy_zoo_best`** | {best_parameters:,} | | **{best_rmse:.4f}** [{best_low:.4f} {best_high:.4f}] |

```sh
galaxycnn ensemble galaxy_zoo galaxy_zoo_equivariant galaxy_zoo_fine galaxy_zoo_small --name galaxy_zoo_best \\
    --views {best_views} --images DIR --labels CSV --split galaxycnn/pretrained/galaxy_zoo.split.csv
```
"""

OTHERS, BEST = ("galaxy_zoo_small", "galaxy_zoo_equivariant", "galaxy_zoo_fine"), "galaxy_zoo_best"


def card() -> str:
    """The card, as Markdown."""
    measured, config = _measured(DEFAULT), read_recipe(PRETRAINED[DEFAULT]).config
    test, overall = measured["parts"]["test"], measured["parts"]["test"]["overall"]
    low, high = overall["intervals"]["rmse"]
    extra = measured["galaxies"]["train"] - measured["labelled"]
    return CARD.format(
        parameters=measured["parameters"],
        side=config.data_preprocessing.img_size[0],
        train=measured["labelled"],
        extra=extra,
        test=test["n"],
        views=test["views"],
        mean=overall["baseline"]["rmse"],
        single=test["single_view_rmse"],
        rmse=overall["rmse"],
        low=low,
        high=high,
        minutes=measured["training_seconds"] / 60,
        cores=_cores(measured),
        questions="\n".join(_row(name, output) for name, output in test["outputs"].items()),
        others="\n".join(_other(name) for name in OTHERS),
        gz1=_measured(OTHERS[-1])["galaxies"]["train"] - measured["galaxies"]["train"],
        **{key: value for name in OTHERS for key, value in _cost(name).items()},
        **_best(),
    )


def _measured(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.metrics.json").read_text())


def _other(name: str) -> str:
    """The row of a network beside the first."""
    measured, side = _measured(name), read_recipe(PRETRAINED[name]).config.data_preprocessing.img_size[0]
    test = measured["parts"]["test"]
    low, high = test["overall"]["intervals"]["rmse"]
    figures = [
        f"{side}×{side}",
        f"{measured['parameters']:,}",
        f"{measured['epochs']}",
        f"{measured['galaxies']['train']:,}",
        f"{test['single_view_rmse']:.4f}",
        f"{test['overall']['rmse']:.4f} [{low:.4f} {high:.4f}]",
    ]
    return f"| `{name}` | {' | '.join(figures)} |"


def _cost(name: str) -> dict[str, Any]:
    """What a network's training took, by keys that begin with the last word of its name."""
    measured, prefix = _measured(name), name.rpartition("_")[2]
    return {f"{prefix}_minutes": measured["training_seconds"] / 60, f"{prefix}_cores": _cores(measured)}


def _best() -> dict[str, Any]:
    """What is said of the mean of all."""
    measured = _measured(BEST)
    overall = measured["parts"]["test"]["overall"]
    low, high = overall["intervals"]["rmse"]
    return {
        "best_views": load_ensemble(BEST).views,
        "best_parameters": sum(_measured(member["run"])["parameters"] for member in measured["members"]),
        "best_rmse": overall["rmse"],
        "best_low": low,
        "best_high": high,
        "members": "\n".join(_member(member) for member in measured["members"]),
    }


def _member(member: dict[str, Any]) -> str:
    alone, overall = _measured(member["run"]), member["overall"]
    low, high = overall["intervals"]["rmse"]
    single = alone["parts"]["test"]["single_view_rmse"]
    score = f"{overall['rmse']:.4f} [{low:.4f} {high:.4f}]"
    return f"| `{member['run']}` | {alone['parameters']:,} | {single:.4f} | {score} |"


def _cores(measured: dict[str, Any]) -> str:
    cores = measured["machine"]["cores"]
    return "one core" if cores == 1 else f"{cores} cores"


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
