"""The state file that torchvision publishes for VGG16 is taken as it is; anything else is named in one line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
import torch

from components.errors import UserError
from components.files import sha256_file
from components.labs.transfer.params import Train
from components.labs.transfer.training.backbones import PUBLISHED as PUBLISHED_FILE
from components.labs.transfer.training.backbones import backbone, load_pretrained
from components.labs.transfer.training.state_file import read_state
from components.labs.transfer.training.vgg import Vgg, load_state
from tests.components.sources.web import serve, whole
from tests.face_data import section

PUBLISHED = {
    **{f"features.{layer}": (64, before, 3, 3) for layer, before in ((0, 3), (2, 64))},
    **{f"features.{layer}": (128, before, 3, 3) for layer, before in ((5, 64), (7, 128))},
    **{f"features.{layer}": (256, before, 3, 3) for layer, before in ((10, 128), (12, 256), (14, 256))},
    **{f"features.{layer}": (512, before, 3, 3) for layer, before in ((17, 256), (19, 512), (21, 512))},
    **{f"features.{layer}": (512, 512, 3, 3) for layer in (24, 26, 28)},
    **{"classifier.0": (4096, 25088), "classifier.3": (4096, 4096), "classifier.6": (1000, 4096)},
}
"""Layers of torchvision.models.vgg16, by the shapes of their weights; each has a bias, too."""
WEIGHTS = 138_357_544
"""As torchvision's documentation counts them."""

State = dict[str, torch.Tensor]


def official() -> State:
    """One number each, seen as a whole tensor: half a gigabyte that takes no room. The first filters are real."""
    state: State = {}
    for index, (layer, shape) in enumerate(PUBLISHED.items()):
        state[f"{layer}.weight"] = torch.tensor(index / 100).expand(shape)
        state[f"{layer}.bias"] = torch.tensor(-index / 100).expand(shape[:1])
    state["features.0.weight"] = torch.randn(64, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    return state


def written(state: object, folder: Path) -> Path:
    torch.save(state, folder / "vgg16.pth")
    return folder / "vgg16.pth"


def test_the_published_names_and_shapes_load_from_a_file(tmp_path: Path) -> None:
    state = official()
    assert sum(prod(tensor.shape) for tensor in state.values()) == WEIGHTS
    path = written(state, tmp_path)
    network = Vgg(width=1.0)
    load_state(network, read_state(str(path), sha256_file(path), tmp_path), str(path))
    loaded = network.state_dict()
    assert loaded.keys() == {name for name in state if name.startswith("features.")}
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)
    assert network.outputs == 512


def test_a_picture_goes_through_what_was_loaded() -> None:
    """Filters that pass the middle pixel's red on: the network's mean is that of the largest red, normalised."""
    network = Vgg(width=1.0)
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    for name, tensor in state.items():
        if name.endswith("weight"):
            tensor[0, 0, 1, 1] = 1
    load_state(network, state, "made")
    red = torch.tensor([0.2, 0.9])
    pictures = torch.zeros(2, 3, 64, 64)
    pictures[:, 0] = red[:, None, None]
    with torch.inference_mode():
        found = network(pictures)
    assert torch.allclose(found[:, 0], ((red - 0.485) / 0.229).clamp(min=0), atol=1e-5)


def without(name: str) -> Callable[[State], State]:
    return lambda state: {other: tensor for other, tensor in state.items() if other != name}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("features.28.bias"), "it has no features.28.bias"),
        (lambda state: {**state, "features.1.running_mean": torch.zeros(64)}, "has no features.1.running_mean"),
        (lambda state: {**state, "features.5.weight": torch.zeros(128, 32, 3, 3)}, r"features.5.weight is \(128, 32"),
        (lambda state: {**state, "features.5.weight": "words"}, r"features.5.weight is \(\)"),
        (lambda state: {"model": state}, "it has no features.0.weight"),
    ],
)
def test_another_networks_state_is_refused_by_name(spoil: Callable[[State], State], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_state(Vgg(width=1.0), spoil(official()), "file.pth")


def test_a_file_of_another_hash_is_not_used(tmp_path: Path) -> None:
    path = written({}, tmp_path)
    with pytest.raises(UserError, match=f"has the sha256 {sha256_file(path)}, not {'0' * 64}"):
        read_state(str(path), "0" * 64, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"PK\x03\x04 half a zip"])
def test_a_file_without_tensors_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no file of tensors"):
        read_state(str(path), sha256_file(path), tmp_path)


class Attack:
    """What runs code in whoever unpickles it: it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_a_file_that_would_run_code_is_refused_though_its_hash_is_right(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"features.0.bias": torch.ones(3), "attack": Attack(tmp_path / "ran")}, path)
    with pytest.raises(UserError, match="is no file of tensors"):
        read_state(str(path), sha256_file(path), tmp_path)
    params = section(Train, "transfer", "train", backbone="efficientnet_lite0")
    path.rename(tmp_path / PUBLISHED_FILE)
    with pytest.raises(pickle.UnpicklingError):
        load_pretrained(backbone(params), params, {"efficientnet_lite0": tmp_path}, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*vgg16\.pth"):
        read_state(str(tmp_path / "vgg16.pth"), "0" * 64, tmp_path)


def test_an_address_is_downloaded_once_and_only_with_the_right_hash(tmp_path: Path) -> None:
    path = written({"features.0.bias": torch.ones(3)}, tmp_path)
    sha256 = sha256_file(path)
    with serve() as web:
        web.pages["/vgg16.pth"] = whole(path.read_bytes())
        for _ in range(2):
            state = read_state(f"{web.address}/vgg16.pth", sha256, tmp_path / "kept")
            assert torch.equal(state["features.0.bias"], torch.ones(3))
        assert [page for page, _ in web.requests] == ["/vgg16.pth"]
        with pytest.raises(UserError, match="it is not used"):
            read_state(f"{web.address}/vgg16.pth", "0" * 64, tmp_path / "others")
        assert list((tmp_path / "others").iterdir()) == []
        with pytest.raises(UserError, match="answered 404"):
            read_state(f"{web.address}/none.pth", sha256, tmp_path / "nowhere")
