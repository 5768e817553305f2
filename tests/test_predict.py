"""Predictions end to end: any source of images, every format of the table, resumed runs, memory, uncertainty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.io.votable import validate as validate_votable
from astropy.table import Table
from finished_runs import configured, finished, galaxies
from galaxy_files import pixels, write_image
from PIL import Image
from small_networks import NETWORKS, img_size, small_config

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cache import read_cutout
from galaxycnn.data.cutouts import cut_out
from galaxycnn.ensembles import save_ensemble
from galaxycnn.errors import DataError, UserError
from galaxycnn.models.builder import CNNBuilder
from galaxycnn.models.saving import load_model, read_recipe, save_model
from galaxycnn.models.typical import Typical, Watched, read_typical
from galaxycnn.predicting import Options, predict_to_file, running
from galaxycnn.predicting.images import ENDINGS, as_images
from galaxycnn.predicting.rows import readable_names
from galaxycnn.training import train
from galaxycnn.tree import GALAXY_ZOO_2

COLUMNS = list(GALAXY_ZOO_2.columns)
DROPPING = {"conv_layers": [[4, [3, 3]]], "dense_units": [8], "head": "tree", "dropout_rate": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = galaxies(tmp_path_factory.mktemp("predict"), 30)
    finished(configured(folder, "a"), seed=1)
    cropped = {"img_size": [20, 20], "crop": True, "crop_size": 30}
    finished(configured(folder, "b", data_preprocessing=cropped, model_params=DROPPING), seed=2)
    save_ensemble(
        folder / "models" / "both.ensemble.yaml", {folder / "models" / f"{x}.keras": 0.5 for x in "ab"}, views=1
    )
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return folder / "models" / "a.keras"


@pytest.fixture(scope="module")
def images(folder: Path) -> Path:
    return folder / "data" / "images_training_rev1"


def bare(model: Path, files: list[Path], settings: DataPreprocessing) -> np.ndarray:
    cutouts = np.stack([read_cutout(path, settings) for path in files])
    return load_model(model).predict(cutouts, verbose=0)


# -- what is predicted ---------------------------------------------------------------------------


def test_a_folder_is_predicted_as_the_network_does(model: Path, images: Path) -> None:
    table = galaxycnn.predict(images, model)
    files = sorted(images.iterdir())
    assert table["id"].tolist() == [path.stem for path in files]
    expected = bare(model, files, DataPreprocessing(img_size=[16, 16]))
    np.testing.assert_allclose(table[COLUMNS], expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.01
    assert (table["reason"] == "").all() and table["walk"].str.contains("odd").all()


def test_ensembles_cut_out_each_image_for_each_member(folder: Path, images: Path) -> None:
    one, other, both = (
        galaxycnn.predict(images, folder / "models" / name) for name in ("a.keras", "b.keras", "both.ensemble.yaml")
    )
    np.testing.assert_allclose(both[COLUMNS], (one[COLUMNS] + other[COLUMNS]) / 2, atol=1e-6)
    spread = both[[f"{column}_spread" for column in COLUMNS]]
    np.testing.assert_allclose(spread, np.abs(one[COLUMNS] - other[COLUMNS]) / 2, atol=1e-5)


def test_views_and_dropout_state_a_spread(folder: Path, images: Path) -> None:
    files, b = sorted(images.iterdir())[:5], folder / "models" / "b.keras"
    spread = [f"{column}_spread" for column in COLUMNS]
    plain, views = galaxycnn.predict(files, b), galaxycnn.predict(files, b, views=4)
    assert "Class1.1_spread" not in plain and views[spread].to_numpy().max() > 0
    drops, again = (galaxycnn.predict(files, b, dropout=20) for _ in range(2))
    np.testing.assert_array_equal(drops[spread], again[spread])
    assert drops[spread].max(axis=1).min() > 0.005
    assert 0 < np.abs(drops[COLUMNS] - plain[COLUMNS]).to_numpy().max() < 0.2
    with pytest.raises(UserError, match="has no layer of dropout; use --views"):
        galaxycnn.predict(files, folder / "models" / "a.keras", dropout=3)


def test_readable_names_are_unique_words() -> None:
    names = readable_names(GALAXY_ZOO_2)
    assert len(set(names)) == 37 and all(name.isidentifier() for name in names)


# -- sources -------------------------------------------------------------------------------------


def test_every_source_gives_the_same_galaxies(model: Path, tmp_path: Path) -> None:
    stack = np.stack([pixels(seed) for seed in range(4)])
    for number, image in enumerate(stack):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["images"], file["ra"], file["id"] = stack, np.arange(4.0), [11, 12, 13, 14]
    table = pd.DataFrame({"objid": [7, 8, 9, 10], "file": [f"{n}.png" for n in range(4)], "ra": [1.5, 2, 3, 4]})
    table.to_csv(tmp_path / "list.csv", index=False)
    table.assign(file=[str(n) for n in range(4)]).to_csv(tmp_path / "without_endings.csv", index=False)
    expected = galaxycnn.predict(tmp_path, model)[COLUMNS]
    sources = {
        "glob": f"{tmp_path}/*.png",
        "files": sorted(tmp_path.glob("*.png")),
        "hdf5": tmp_path / "all.h5",
        "list": tmp_path / "list.csv",
        "names": tmp_path / "without_endings.csv",
        "array": stack,
        "pillow": [Image.fromarray(image) for image in stack],
    }
    for name, source in sources.items():
        np.testing.assert_allclose(galaxycnn.predict(source, model)[COLUMNS], expected, atol=1e-6, err_msg=name)
    for frame in (table, Table.from_pandas(table)):
        found = galaxycnn.predict(frame, model, folder=tmp_path)
        assert found["ra"].tolist() == [1.5, 2, 3, 4] and found["id"].tolist() == ["7", "8", "9", "10"]
        np.testing.assert_allclose(found[COLUMNS], expected, atol=1e-6)
    stored = galaxycnn.predict(tmp_path / "all.h5", model)
    assert stored["ra"].tolist() == [0, 1, 2, 3] and stored["id"].tolist() == ["11", "12", "13", "14"]
    named = galaxycnn.predict(tmp_path / "without_endings.csv", model)
    assert named["file"].tolist() == [str(tmp_path / f"{number}.png") for number in range(4)]
    both = galaxycnn.predict([tmp_path / "list.csv", tmp_path / "0.png"], model)
    assert len(both) == 5 and np.isnan(both["ra"][4])
    assert len(galaxycnn.predict(stack[0], model)) == len(galaxycnn.predict(stack[0][..., 0], model)) == 1


def test_parquet_lists(model: Path, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    files = sorted(images.iterdir())[:3]
    table = pd.DataFrame({"path": [str(path) for path in files], "dec": [0.5, None, 2.25]})
    table.to_parquet(tmp_path / "list.parquet")
    found = galaxycnn.predict(tmp_path / "list.parquet", model)
    assert found["id"].tolist() == [path.stem for path in files]
    np.testing.assert_array_equal(found["dec"], [0.5, np.nan, 2.25])


def test_columns_that_we_have_are_carried_under_another_name(model: Path, images: Path) -> None:
    file = next(images.iterdir())
    found = galaxycnn.predict(pd.DataFrame({"file": [str(file)], "Class1.1": [0.25], "flags": ["mine"]}), model)
    assert found["given_Class1.1"][0] == 0.25 and found["given_flags"][0] == "mine" and found["flags"][0] != "mine"


def test_folders_below_are_searched_and_other_files_left(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a/1.png", "a/notes.txt", ".hidden/3.png", "4.png", "5.fits.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert [item.id for item in as_images(tmp_path)] == ["4", "5", "a/1", "b/2"]
    assert len(as_images(tmp_path)) == 4 and ".fits.fz" in ENDINGS


def test_what_is_not_there_is_said_at_once(model: Path, images: Path, tmp_path: Path) -> None:
    name = next(images.iterdir()).name
    for source, reason in (
        (images / f"{name}x", f"there is no image, folder or list at .*did you mean '{name}'"),
        (f"{tmp_path}/*.jpg", "no file is called"),
        (tmp_path, "there are no images"),
        ([], "there are no images"),
        (pd.DataFrame({"ra": [1.0]}), "no column that says which image"),
        (np.zeros((1, 8, 8, 3)), "say stretch='asinh' for fluxes"),
    ):
        with pytest.raises(DataError, match=reason):
            galaxycnn.predict(source, model)


def test_unreadable_files_become_rows(model: Path, images: Path, tmp_path: Path) -> None:
    good = write_image(tmp_path / "good.jpg", 1)
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:700])
    (tmp_path / "page.jpg").write_text("<html>502</html>")
    listed = pd.DataFrame({"file": ["good.jpg", "cut.jpg", "page.jpg", "gone.jpg"]})
    table = galaxycnn.predict(listed, model, folder=tmp_path).set_index("id")
    assert table.loc["good", "flags"] != "unreadable" and table.loc["good", COLUMNS].notna().all()
    bad = table.loc[["cut", "page", "gone"]]
    assert (bad["flags"] == "unreadable").all() and bad[COLUMNS].isna().all(axis=None) and (bad["walk"] == "").all()
    assert bad["reason"].tolist()[1:] == ["not an image, or its beginning is damaged", "No such file or directory"]
    assert "truncated" in bad["reason"].tolist()[0]


# -- numbers beside the answers ------------------------------------------------------------------


def test_quantities_and_inputs(tmp_path: Path) -> None:
    folder = galaxies(tmp_path, 30)
    labels = folder / "data" / "training_solutions_rev1.csv"
    known = pd.read_csv(labels)
    known.assign(z=np.linspace(0.01, 0.2, 30), pxscale=np.linspace(0.2, 0.4, 30)).to_csv(labels, index=False)
    pre = {"img_size": [16, 16], "questions": ["Class1"], "quantities": ["z"], "inputs": ["pxscale"]}
    params = {"model_type": "dual_head", "version": 3, "quantity_head": "mixture"}
    config = configured(folder, "z", data_preprocessing=pre, model_params=params)
    train(config, save_plots=False)
    files = sorted((folder / "data" / "images_training_rev1").iterdir())[:3]
    table = pd.DataFrame({"file": [str(path) for path in files], "pxscale": [0.2, None, 0.4]})
    found = galaxycnn.predict(table, folder / "models" / "z.keras")
    assert found["z"].notna().tolist() == [True, False, True] and (found["z_spread"].dropna() > 0).all()
    assert found["reason"].tolist() == ["", "the network needs pxscale, which is not known of it", ""]
    with pytest.raises(DataError, match="needs pxscale of every image"):
        galaxycnn.predict(files, folder / "models" / "z.keras")


# -- what is typical -----------------------------------------------------------------------------


def test_what_is_not_like_the_training_is_flagged(model: Path, tmp_path: Path) -> None:
    network, rng = load_model(model), np.random.default_rng(0)
    watched, settings = Watched(network), DataPreprocessing(img_size=[16, 16])
    known = np.stack([cut_out(Image.fromarray(pixels(seed)), settings, (0, 0, 40, 40)) for seed in range(300)])
    said = watched.predict_on_batch(known)
    np.testing.assert_allclose(said, network.predict_on_batch(known), atol=1e-6)
    features = watched.features()
    copies = []
    for suffix in (".keras", ".h5"):
        learnt = Typical.fit(features[:200], features[200:])
        copies.append(save_model(network, tmp_path / f"typical{suffix}", read_recipe(model), learnt))
    ordinary = np.stack([pixels(seed) for seed in range(1000, 1100)])
    strange = np.stack([rng.integers(0, 255, (40, 40, 3)).astype(np.uint8), 255 - pixels(1)])
    for path in copies:
        usual, odd = galaxycnn.predict(ordinary, path), galaxycnn.predict(strange, path)
        assert usual["flags"].str.contains("atypical").mean() < 0.1 and 0.3 < usual["atypicality"].mean() < 0.7
        assert odd["flags"].str.contains("atypical").all() and (odd["atypicality"] >= 0.99).all()
    one, views = galaxycnn.predict(ordinary[:5], copies[0]), galaxycnn.predict(ordinary[:5], copies[0], views=4)
    np.testing.assert_allclose(one["atypicality"], views["atypicality"])


@pytest.mark.parametrize("model_type", NETWORKS)
def test_every_network_has_features_that_tell_cutouts_apart(model_type: str) -> None:
    config = small_config(model_type)
    network = CNNBuilder(config).build()
    images = np.random.default_rng(1).integers(0, 256, (24, *img_size(model_type), 3)).astype(np.uint8)
    watched = Watched(network)
    said = keras.tree.flatten(watched.predict_on_batch(images))
    for ours, its in zip(said, keras.tree.flatten(network.predict_on_batch(images)), strict=True):
        np.testing.assert_allclose(ours, its, atol=1e-6)
    features = watched.features()
    assert len(features) == 24 and np.isfinite(features).all() and len(np.unique(features, axis=0)) == 24


def test_training_keeps_what_is_typical(tmp_path: Path) -> None:
    few = train(configured(galaxies(tmp_path / "few", 30), "few"), save_plots=False)
    many = train(configured(galaxies(tmp_path / "many", 150), "many"), save_plots=False)
    for run, kept in ((few, False), (many, True)):
        files = [path for path in run.files if path.suffix in (".keras", ".h5")]
        assert len(files) == 2 and all((read_typical(path) is not None) == kept for path in files)
    image = many.data.test.pixels()
    shares = galaxycnn.predict(image, many.files[2])["atypicality"]
    assert shares.between(0, 1).all() and 0.2 < shares.mean() < 0.8


# -- files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list with numbers, gaps, text that needs care, and a file that is not there."""
    files = [*sorted(images.iterdir())[:9], Path("gone.jpg")]
    table = pd.DataFrame(
        {
            "file": [str(path) for path in files],
            "objid": [587741534400217110 + n for n in range(10)],
            "ra": [180 + 0.1 * n for n in range(10)],
            "plate": [None, *range(9)],
            "note": ["", 'a "b", <c> & d', "two\nlines", "é", *["x"] * 6],
        }
    )
    path = tmp_path_factory.mktemp("list") / "list.csv"
    table.to_csv(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(
            path, dtype={"id": str}, keep_default_na=False, na_values={c: [""] for c in [*COLUMNS, "plate"]}
        )
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    table = Table.read(path) if path.suffix == ".fits" else parse_single_table(path).to_table()
    for name in table.colnames:
        if table[name].dtype.kind == "S":
            table[name] = (
                table[name].filled("").astype(str) if hasattr(table[name], "filled") else table[name].astype(str)
            )
    return table.to_pandas()


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits", ".vot", ".xml"])
def test_every_format_holds_the_same(model: Path, listed: Path, tmp_path: Path, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out{ending}"
    done = predict_to_file(listed, path, model, Options(batch=4))
    expected = galaxycnn.predict(listed, model)
    assert done.images == 10 and done.flags["unreadable"] == 1 and os.listdir(tmp_path) == [path.name]
    table = read(path)
    assert list(table) == list(expected)
    np.testing.assert_allclose(table[COLUMNS].astype(float), expected[COLUMNS], atol=1e-6)
    assert table["id"].astype(str).tolist() == [str(587741534400217110 + n) for n in range(10)]
    np.testing.assert_allclose(table["ra"], expected["ra"], rtol=1e-15)
    np.testing.assert_array_equal(table["plate"].astype(float), expected["plate"])
    note = expected["note"].str.replace("é", "?") if ending == ".fits" else expected["note"]
    assert table["note"].fillna("").astype(str).tolist() == note.tolist()
    assert table["walk"].fillna("").astype(str).tolist() == expected["walk"].tolist()


def test_tables_of_astronomers_are_valid(model: Path, listed: Path, tmp_path: Path) -> None:
    for ending in (".fits", ".vot"):
        predict_to_file(listed, tmp_path / f"out{ending}", model)
    with fits.open(tmp_path / "out.fits") as units:
        units.verify("exception")
        assert units[1].columns["ra"].unit == "deg" and units[1].columns["Class1.1"].format == "E"
    assert validate_votable(tmp_path / "out.vot", output=None)
    assert str(parse_single_table(tmp_path / "out.vot").to_table()["ra"].unit) == "deg"


def test_another_ending_is_refused_before_anything_is_read(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends with \.csv .*did you mean '\.fits'"):
        predict_to_file("no such images", tmp_path / "out.fitz", model)


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    rows = running.Columns.rows
    calls = []

    def fail(*arguments):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return rows(*arguments)

    monkeypatch.setattr(running.Columns, "rows", fail)


@pytest.mark.parametrize("dropout", [0, 2])
def test_an_interrupted_run_goes_on(
    folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dropout: int
) -> None:
    model, options, out = folder / "models" / "b.keras", Options(batch=4, dropout=dropout), tmp_path / "out.csv"
    whole = predict_to_file(images, tmp_path / "whole.csv", model, options)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted(patch, after=3)
        predict_to_file(images, out, model, options)
    assert not out.exists()
    with (tmp_path / "out.csv.part").open("a") as file:
        file.write("half a row")
    done = predict_to_file(images, out, model, options)
    assert (done.images, done.new) == (30, 18) and "12 of them before the interruption" in str(done)
    pd.testing.assert_frame_equal(pd.read_csv(out), pd.read_csv(whole.path), atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == ["out.csv", "whole.csv"]


def test_an_interrupted_run_does_not_go_on_with_something_else(
    folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, out = folder / "models" / "a.keras", folder / "models" / "b.keras", tmp_path / "out.csv"
    files = sorted(images.iterdir())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted(patch, after=3)
        predict_to_file(files, out, a, Options(batch=4))
    for changed, model, options, source in (
        ("model", b, Options(batch=4), files),
        ("views", a, Options(batch=4, views=2), files),
        ("names", a, Options(batch=4, names="readable"), files),
        ("images", a, Options(batch=4), files[1:]),
    ):
        with pytest.raises(UserError, match=rf"the interrupted run had (an)?other {changed}.*--restart"):
            predict_to_file(source, out, model, options)
    assert predict_to_file(files[1:], out, b, restart=True).new == 29


MEMORY = """
import resource, sys
from galaxycnn.predicting import Options, predict_to_file
model, folder, out = sys.argv[1:]
for count in (200, 2000):
    predict_to_file(f"{folder}/{count}.csv", f"{out}/{count}.csv", model, Options(batch=64))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_images(folder: Path, tmp_path: Path) -> None:
    finished(configured(folder, "large", data_preprocessing={"img_size": [64, 64]}))
    names = [write_image(tmp_path / f"{seed}.png", seed).name for seed in range(10)]
    for count in (200, 2000):
        pd.DataFrame({"file": names * (count // 10)}).to_csv(tmp_path / f"{count}.csv", index=False)
    words = [sys.executable, "-c", MEMORY, str(folder / "models" / "large.keras"), str(tmp_path), str(tmp_path)]
    said = subprocess.run(
        words, check=True, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    few, many = map(int, said.stdout.split())
    assert len(pd.read_csv(tmp_path / "2000.csv")) == 2000
    assert (many - few) / 1024 < 12, "1,800 cutouts alone are 22 MB"


# -- the command ---------------------------------------------------------------------------------


def test_one_picture_is_answered_in_words(model: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = sorted(images.iterdir())[0]
    assert main(["predict", "--model", str(model), str(file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: ") and "\nshape " in said and "\nodd " in said


def test_the_command_writes_a_table(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert main(["predict", "--model", str(model), str(images), "-o", str(out), "--names", "readable"]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 30 images (")
    assert "shape_smooth" in pd.read_csv(out)


def test_other_backends_seed_dropout_alike() -> None:
    from galaxycnn.predicting.networks import AlwaysDropout

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(AlwaysDropout(0.5)))
    assert (keras.ops.convert_to_numpy(again(np.ones((1, 64), np.float32))) == 0).any()
