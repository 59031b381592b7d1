"""Pictures of every kind, as the networks get them."""

import io
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

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


def random_image(width: int = 32, height: int = 32) -> Image.Image:
    generator = np.random.default_rng(0)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


# Sizes


@pytest.mark.parametrize("fit", FITS)
def test_picture_of_32_by_32_keeps_its_pixels(fit: Fit) -> None:
    image = random_image()
    pixels = to_tensor(written(image), fit).permute(1, 2, 0)
    assert torch.equal(pixels, torch.tensor(np.array(image)))


@pytest.mark.parametrize("fit", FITS)
def test_large_picture_is_averaged_not_sampled(fit: Fit) -> None:
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    inside = to_tensor(stripes, fit)[:, 1:-1, 1:-1]
    assert inside.float().sub(127.5).abs().max() < 2


@pytest.mark.parametrize(
    "fit, edge, middle", [("crop", RED, RED), ("pad", WHITE, BLUE), ("stretch", BLUE, BLUE)]
)
def test_wide_picture_becomes_square(fit: Fit, edge: object, middle: object) -> None:
    """It is red in its middle third, and blue on the left and on the right of it."""
    image = Image.new("RGB", (96, 32), BLUE)
    image.paste(RED, (32, 0, 64, 32))
    pixels = to_tensor(image, fit)
    assert [tuple(pixels[:, y, 3].tolist()) for y in (0, 16, 31)] == [edge, middle, edge]
    assert tuple(pixels[:, 16, 16].tolist()) == RED


# Modes


@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "F"]),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(FITS),
)
@example("RGB", (1, 5000), "pad")
@example("RGB", (5000, 1), "crop")
def test_white_is_white_in_every_mode_and_size(mode: str, size: tuple[int, int], fit: Fit) -> None:
    image = Image.new("RGB", size, WHITE).convert("L" if mode == "F" else "RGB").convert(mode)
    pixels = to_tensor(image, fit)
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 32, 32)
    assert pixels.min() >= 254


CLEAR, TWO_COLOURS = (0, 0, 0, 0), (*BLUE, *RED)


@pytest.mark.parametrize(
    "image, format, options, expected",
    [
        (plain("RGBA", CLEAR), "PNG", {}, WHITE),
        (plain("RGBA", CLEAR), "WEBP", {"lossless": True}, WHITE),
        (plain("RGBA", (0, 0, 0, 128)), "PNG", {}, (127, 127, 127)),
        (plain("LA", (0, 0)), "PNG", {}, WHITE),
        (plain("L", 7), "PNG", {"transparency": 7}, WHITE),
        (plain("P", 1, TWO_COLOURS), "GIF", {"transparency": 1}, WHITE),
        (plain("P", 1, TWO_COLOURS), "GIF", {}, RED),
        # Pillow gives the image of an icon a palette only when it is copied.
        (plain("RGB", RED).convert("P").resize((32, 32)), "ICNS", {}, RED),
        # Of an animation, the first frame is used.
        (plain("RGB", RED), "GIF", {"save_all": True, "append_images": [plain("RGB", BLUE)]}, RED),
        (plain("I", 65535), "TIFF", {}, WHITE),
        # White is 65535 in 16 bits; in floats it is 1, or 255 if a value is above 1.
        *[
            (plain("I;16", value), format, {}, 3 * (expected,))
            for value, expected in [(0, 0), (200, 1), (32896, 128), (65535, 255)]
            for format in ("PNG", "TIFF")
        ],
        *[
            (plain("F", value), "TIFF", {}, 3 * (expected,))
            for value, expected in [(-1, 0), (0.5, 128), (1, 255), (200, 200)]
        ],
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
    image = random_image(50, 40)
    array = np.array(image)
    assert torch.equal(to_tensor(array), to_tensor(image))
    assert torch.equal(to_tensor(torch.from_numpy(array).permute(2, 0, 1)), to_tensor(image))
    assert torch.equal(to_tensor(array[..., 0]), to_tensor(image.getchannel("R")))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((32, 32, 3), np.float32),
        np.zeros((3, 32, 32), np.uint8),
        np.zeros((1, 32, 32, 3), np.uint8),
        torch.zeros(3, 32, 32),
        torch.zeros(32, 32, 3, dtype=torch.uint8),
        torch.zeros(32, 32, dtype=torch.uint8),
    ],
)
def test_other_arrays_are_an_error(wrong: np.ndarray | Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 .*; this is \w+ \["):
        to_tensor(wrong)


# Files that are damaged or odd; tests of the command have missing and truncated files, and texts


@pytest.mark.parametrize("side", [9500, 14000])  # Pillow warns of the first, and refuses the second
def test_decompression_bomb_is_an_error(side: int) -> None:
    file = written(Image.new("1", (side, side)))
    assert len(file.getvalue()) < 100_000
    with pytest.raises(FileError, match=r"too large, more than 89,478,485 pixels"):
        to_tensor(file)


def test_odd_metadata_gives_no_warning() -> None:
    file = written(plain("P", 0), transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_tensor(file)


@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO"]),
    st.integers(0, 2000),
    st.binary(min_size=1, max_size=8),
)
def test_damaged_bytes_give_a_picture_or_an_error(format: str, at: int, change: bytes) -> None:
    content = bytearray(written(random_image(), format).getvalue())
    at %= len(content)
    content[at : at + len(change)] = change
    try:
        assert to_tensor(io.BytesIO(content)).shape == (3, 32, 32)
    except FileError as error:
        assert "\n" not in str(error)


def test_folder_is_searched_for_pictures(tmp_path: Path) -> None:
    names = ["b.png", "a.JPG", "deep/er/c.webp"]
    for name in [*names, "notes.txt", "noending"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert pictures.find(tmp_path) == sorted(tmp_path / name for name in names)
    assert pictures.find(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
