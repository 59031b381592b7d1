"""Pictures of every kind, as the networks get them."""

import io
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from cifar2.deployment import pictures
from cifar2.deployment.pictures import Fit, to_tensor
from cifar2.errors import FileError

FITS: tuple[Fit, ...] = get_args(Fit)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def written(image: Image.Image, format: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


def plain(mode: str, value: Any, palette: tuple[int, ...] = ()) -> Image.Image:
    """Return a picture of one colour."""
    if mode in ("I;16", "F"):
        return Image.fromarray(np.full((40, 40), value, np.uint16 if mode == "I;16" else "f4"))
    image = Image.new(mode, (40, 40), value)
    if palette:
        image.putpalette(palette)
    return image


def random_array(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Sizes


@pytest.mark.parametrize("fit", FITS)
def test_picture_of_32_by_32_keeps_its_pixels_and_a_large_one_is_averaged(fit: Fit) -> None:
    array = random_array(32, 32)
    pixels = to_tensor(written(Image.fromarray(array)), fit)
    assert (pixels.permute(1, 2, 0).numpy() == array).all()
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    inside = to_tensor(stripes, fit)[:, 1:-1, 1:-1]
    assert inside.float().sub(127.5).abs().max() < 2


@pytest.mark.parametrize(
    "fit, edge, middle", [("crop", RED, RED), ("pad", WHITE, BLUE), ("stretch", BLUE, BLUE)]
)
def test_wide_picture_becomes_square(fit: Fit, edge: object, middle: object) -> None:
    image = Image.new("RGB", (96, 32), BLUE)
    image.paste(RED, (32, 0, 64, 32))  # its middle third
    pixels = to_tensor(image, fit)
    assert [tuple(pixels[:, y, 3].tolist()) for y in (0, 16, 31)] == [edge, middle, edge]
    assert tuple(pixels[:, 16, 16].tolist()) == RED


# Modes


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "F"]


@pytest.mark.parametrize("fit", FITS)
def test_white_is_white_in_every_mode_and_size(fit: Fit) -> None:
    for mode, size in product(MODES, [(1, 1), (1, 5000), (5000, 1), (31, 70)]):
        image = Image.new("RGB", size, WHITE).convert("L" if mode == "F" else "RGB").convert(mode)
        pixels = to_tensor(image, fit)
        assert pixels.dtype == torch.uint8 and pixels.shape == (3, 32, 32)
        assert pixels.min() >= 254


CLEAR, TWO_COLOURS = (0, 0, 0, 0), (*BLUE, *RED)


@pytest.mark.parametrize(
    "image, format, options, expected",
    [
        (plain("RGBA", CLEAR), "PNG", {}, WHITE),
        (plain("RGBA", (0, 0, 0, 128)), "PNG", {}, (127, 127, 127)),
        (plain("L", 7), "PNG", {"transparency": 7}, WHITE),
        (plain("P", 1, TWO_COLOURS), "GIF", {"transparency": 1}, WHITE),
        (plain("P", 1, TWO_COLOURS), "GIF", {}, RED),
        # Pillow gives the image of an icon a palette only when it is copied.
        (plain("RGB", RED).convert("P").resize((32, 32)), "ICNS", {}, RED),
        # Of an animation, the first frame is used.
        (plain("RGB", RED), "GIF", {"save_all": True, "append_images": [plain("RGB", BLUE)]}, RED),
        (plain("I", 65535), "TIFF", {}, WHITE),
        # White is 65535 in 16 bits; in floats it is 1, or 255 if a value is above 1.
        (plain("I;16", 200), "PNG", {}, (1, 1, 1)),
        (plain("I;16", 65535), "TIFF", {}, WHITE),
        (plain("F", -1), "TIFF", {}, (0, 0, 0)),
        (plain("F", 0.5), "TIFF", {}, (128, 128, 128)),
        (plain("F", 200), "TIFF", {}, (200, 200, 200)),
    ],
)
def test_colour_of_a_file(
    image: Image.Image, format: str, options: dict[str, Any], expected: tuple[int, ...]
) -> None:
    pixels = to_tensor(written(image, format, **options))
    assert pixels.flatten(1).unique(dim=1).T.tolist() == [list(expected)]


def test_picture_that_lies_on_its_side_is_rotated() -> None:
    image = plain("RGB", RED)
    image.paste(BLUE, (0, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the top of the scene is on the right
    pixels = to_tensor(written(image, exif=exif))
    assert pixels[:, 16, 2].tolist() == list(RED) and pixels[:, 16, 29].tolist() == list(BLUE)


def test_arrays_have_colours_last_and_tensors_first() -> None:
    array = random_array(40, 50)
    image = Image.fromarray(array)
    assert torch.equal(to_tensor(array), to_tensor(image))
    assert torch.equal(to_tensor(torch.from_numpy(array).permute(2, 0, 1)), to_tensor(image))
    assert torch.equal(to_tensor(array[..., 0]), to_tensor(image.getchannel("R")))


def test_other_arrays_are_an_error() -> None:
    first, last = np.zeros((3, 32, 32), np.uint8), np.zeros((32, 32, 3), np.uint8)
    for wrong in first, last.astype("f4"), torch.from_numpy(last), torch.from_numpy(first).float():
        with pytest.raises(ValueError, match=r"must be uint8 .*; this is \w+ \["):
            to_tensor(wrong)


# Files that are damaged or odd; tests of the command have missing and truncated files, and texts


@pytest.mark.parametrize("side", [9500, 14000])  # Pillow warns of the first, and refuses the second
def test_decompression_bomb_is_an_error(side: int) -> None:
    file = written(Image.new("1", (side, side)))
    assert len(file.getvalue()) < 100_000
    with pytest.raises(FileError, match=r"too large, more than 89,478,485 pixels"):
        to_tensor(file)


def test_folder_is_searched_for_pictures(tmp_path: Path) -> None:
    names = ["b.png", "a.JPG", "deep/er/c.webp"]
    for name in [*names, "notes.txt", "noending"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert pictures.find(tmp_path) == sorted(tmp_path / name for name in names)
    assert pictures.find(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
