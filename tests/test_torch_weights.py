"""Weights of PyTorch without PyTorch: files old, new and foreign, and ResNet18 by its activations."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numpy.typing import NDArray
from torch_files import write_state_dict

from galaxycnn.config import load_config
from galaxycnn.errors import UserError
from galaxycnn.models import CNNBuilder
from galaxycnn.models.torch_weights import read_state_dict

STAGES = ("stem_pool", *(f"stage{stage}_block2_relu2" for stage in range(1, 5)))


def resnet18(side: tuple[int, int], weights: str | Path) -> keras.Model:
    return CNNBuilder(
        load_config(
            {
                "paths": {"images_path": "images"},
                "model_name": "torch",
                "data_preprocessing": {"layout": "kaggle", "img_size": list(side)},
                "model_params": {"model_type": "resnet18", "weights": str(weights)},
            }
        )
    ).build()


def activations(model: keras.Model, names: tuple[str, ...], images: NDArray) -> dict[str, NDArray]:
    inner = keras.Model(model.input, {name: model.get_layer(name).output for name in names})
    return {name: ops.convert_to_numpy(value) for name, value in inner(images, training=False).items()}


def pattern(height: int, width: int) -> NDArray[np.uint8]:
    """A picture that a formula makes, with structure on all scales."""
    row, column, channel = np.indices((height, width, 3))
    return ((7 * row + 13 * column + 29 * channel + row * column % 31) % 256).astype(np.uint8)[None]


def made_up_state() -> dict[str, NDArray]:
    """A state dict of torchvision's ResNet18 whose numbers a formula makes."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "bn1": (64,)}
    before = 64
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            shapes |= {f"{name}.conv1.weight": (filters, before, 3, 3), f"{name}.bn1": (filters,)}
            shapes |= {f"{name}.conv2.weight": (filters, filters, 3, 3), f"{name}.bn2": (filters,)}
            if before != filters:
                shapes |= {f"{name}.downsample.0.weight": (filters, before, 1, 1), f"{name}.downsample.1": (filters,)}
            before = filters
    state: dict[str, NDArray] = {}
    for number, (name, shape) in enumerate(shapes.items(), start=1):
        wave = np.sin(np.arange(np.prod(shape)) ** 1.5 * (0.1 + 0.003 * number)).astype(np.float32).reshape(shape)
        if len(shape) == 4:
            state[name] = wave * np.float32(2 / np.sqrt(np.prod(shape[1:])))
        else:
            state |= {f"{name}.weight": 1 + wave / 4, f"{name}.bias": wave / 4, f"{name}.running_mean": wave[::-1] / 4}
            state |= {f"{name}.running_var": 1 + wave**2, f"{name}.num_batches_tracked": np.array(7)}
    return state | {"fc.weight": np.zeros((1000, 512), np.float32), "fc.bias": np.zeros(1000, np.float32)}


@pytest.fixture(scope="module")
def made_up_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state_dict(made_up_state(), tmp_path_factory.mktemp("torch") / "resnet18.pth")


# -- files ---------------------------------------------------------------------------------------


def arrays() -> dict[str, NDArray]:
    kernel = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    return {"conv.weight": kernel, "count": np.array(3), "exact": np.array([1.5, -2.5]), "none": np.zeros((0, 4))}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict"])
def test_tensors_are_read_from_either_format_and_from_checkpoints(
    tmp_path: Path, legacy: bool, key: str | None
) -> None:
    content = arrays() if key is None else {key: arrays(), "epoch": 7}
    read = read_state_dict(write_state_dict(content, tmp_path / "state.pth", legacy=legacy))
    assert list(read) == list(arrays())
    for name, array in arrays().items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_pytorch_and_this_project_read_each_others_files(tmp_path: Path, legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    ours = torch.load(write_state_dict(arrays(), tmp_path / "ours.pth", legacy=legacy), weights_only=True)
    assert {name: tensor.numpy().tolist() for name, tensor in ours.items()} == {
        name: array.tolist() for name, array in arrays().items()
    }
    transposed = torch.arange(6.0).reshape(2, 3).T[1:]  # a view: strides and an offset
    torch.save({"a": transposed, "b": torch.nn.Parameter(transposed.half())}, tmp_path / "theirs.pth",
               _use_new_zipfile_serialization=not legacy)  # fmt: skip
    theirs = read_state_dict(tmp_path / "theirs.pth")
    np.testing.assert_array_equal(theirs["a"], [[1, 4], [2, 5]])
    assert theirs["b"].dtype == np.float16


class _Harm:
    def __reduce__(self) -> object:
        return Path.touch, (Path("harm-was-done"),)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": _Harm()}))
    with pytest.raises(UserError, match=r"evil.pth: is no PyTorch state dict \(it asks for"):
        read_state_dict("evil.pth")
    assert not Path("harm-was-done").exists()


@pytest.mark.parametrize("content", [{"epoch": 3}, {"weight": "not a tensor"}, {}], ids=str)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: dict) -> None:
    path = write_state_dict(content, tmp_path / "state.pth")
    if content:
        with pytest.raises(UserError, match="something else than tensors by name"):
            read_state_dict(path)
    else:
        assert not read_state_dict(path)


def test_a_tensor_outside_its_numbers_is_refused(tmp_path: Path) -> None:
    path = write_state_dict({"weight": np.zeros(8, np.float32)}, tmp_path / "state.pth")
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", bytes(16))
    with pytest.raises(UserError, match="outside its own numbers"):
        read_state_dict(path)


@given(st.binary(max_size=64), st.integers(0, 600), st.booleans())
@settings(max_examples=60)
def test_a_damaged_file_is_told_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, position: int, legacy: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "state.pth"
    whole = write_state_dict(arrays(), path, legacy=legacy).read_bytes()
    for damaged in (junk, whole[:position], whole[:position] + junk + whole[position + len(junk) :]):
        path.write_bytes(damaged)
        try:
            read_state_dict(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: is no PyTorch state dict")


# -- ResNet18 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_resnet18_computes_what_pytorch_computes(tmp_path: Path, legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    from torch_resnet18 import ResNet18

    torch.manual_seed(0)
    network = ResNet18().eval()
    for name, tensor in network.state_dict().items():
        if ".bn" in name or name.startswith("bn") or "downsample.1" in name:
            tensor.copy_(torch.rand_like(tensor, dtype=torch.float32) + 0.5)
    torch.save(network.state_dict(), tmp_path / "random.pth", _use_new_zipfile_serialization=not legacy)
    for side in ((33, 46), (64, 64)):
        images = pattern(*side)
        scaled = (torch.from_numpy(images / 255) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
            [0.229, 0.224, 0.225]
        )
        with torch.no_grad():
            expected = network.activations(scaled.float().permute(0, 3, 1, 2))
        found = activations(resnet18(side, tmp_path / "random.pth"), tuple(expected), images)
        for name, tensor in expected.items():
            reference = tensor.permute(0, 2, 3, 1).numpy()
            np.testing.assert_allclose(found[name], reference, atol=3e-6 * np.abs(reference).max(), err_msg=name)


RESNET18 = {
    "stem_pool": ((1, 9, 12, 64), (1.344756, 1.422742, 0.599881)),
    "stage1_block2_relu2": ((1, 9, 12, 64), (1.582632, 1.849279, 0.495591)),
    "stage2_block2_relu2": ((1, 5, 6, 128), (1.910842, 2.678774, 3.704466)),
    "stage3_block2_relu2": ((1, 3, 3, 256), (2.208989, 3.038048, 0.0)),
    "stage4_block2_relu2": ((1, 2, 2, 512), (1.702034, 2.436454, 0.522088)),
}
"""Shape; mean, deviation and the sixth channel of the last pixel: computed by PyTorch 2.13 with the network of
``torch_resnet18.py``, the weights of ``made_up_state`` and ``pattern(33, 46)``."""


def test_resnet18_computes_what_pytorch_once_computed(made_up_file: Path) -> None:
    found = activations(resnet18((33, 46), made_up_file), tuple(RESNET18), pattern(33, 46))
    for name, (shape, figures) in RESNET18.items():
        value = found[name]
        assert value.shape == shape
        np.testing.assert_allclose((value.mean(), value.std(), value[0, -1, -1, 5]), figures, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("prefix", ["module.", "backbone.resnet."])
def test_names_may_have_a_prefix(tmp_path: Path, made_up_file: Path, prefix: str) -> None:
    path = write_state_dict(
        {prefix + name: array for name, array in read_state_dict(made_up_file).items()}, tmp_path / "prefixed.pth"
    )
    plain, prefixed = (resnet18((32, 32), file).get_layer("stage4_block2_conv2") for file in (made_up_file, path))
    np.testing.assert_array_equal(prefixed.get_weights()[0], plain.get_weights()[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"layer3.1.conv2.weight": None}, "has no layer3.1.conv2.weight for the layer 'stage3_block2_conv2'"),
        (
            {"bn1.bias": np.zeros(32, np.float32)},
            r"bn1.bias has shape \(32,\), but the layer 'stem_norm' takes",
        ),
    ],
    ids=["missing", "shape"],
)
def test_weights_of_another_network_are_told(tmp_path: Path, change: dict, sentence: str) -> None:
    state = {name: array for name, array in (made_up_state() | change).items() if array is not None}
    with pytest.raises(UserError, match=sentence):
        resnet18((32, 32), write_state_dict(state, tmp_path / "other.pth"))
