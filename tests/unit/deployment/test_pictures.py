"""Pictures of every kind, as the networks get them."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from torch import Tensor

from cifar2.deployment import pictures
from cifar2.deployment.pictures import Fit, to_tensor
from cifar2.errors import FileError, MissingFile, UserError

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def written(image: Image.Image, format: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


def colour(pixels: Tensor) -> tuple[int, ...]:
    """Return the colour of a picture that has one."""
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 32, 32)
    (single,) = pixels.flatten(1).unique(dim=1).T.tolist()
    return tuple(single)


def random_image(width: int = 32, height: int = 32, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


# Sizes


@pytest.mark.parametrize("fit", pictures.FITS)
def test_picture_of_32_by_32_keeps_its_pixels(fit: Fit) -> None:
    image = random_image()
    assert torch.equal(
        to_tensor(written(image), fit).permute(1, 2, 0), torch.tensor(np.array(image))
    )


@pytest.mark.parametrize("fit", pictures.FITS)
def test_large_picture_is_averaged_not_sampled(fit: Fit) -> None:
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    inside = to_tensor(stripes, fit)[:, 1:-1, 1:-1]
    assert inside.float().sub(127.5).abs().max() < 2


def test_crop_keeps_the_square_in_the_middle() -> None:
    image = Image.new("RGB", (96, 32), BLUE)
    image.paste(Image.new("RGB", (32, 32), RED), (32, 0))
    assert colour(to_tensor(image, "crop")) == RED


def test_pad_adds_white_bars() -> None:
    pixels = to_tensor(Image.new("RGB", (64, 32), RED), "pad")
    assert pixels[:, 0, 0].tolist() == list(WHITE) and pixels[:, 31, 0].tolist() == list(WHITE)
    assert pixels[:, 8:24].flatten(1).unique(dim=1).T.tolist() == [list(RED)]


def test_stretch_keeps_all() -> None:
    image = Image.new("RGB", (640, 320), BLUE)
    image.paste(Image.new("RGB", (320, 320), RED))
    pixels = to_tensor(image, "stretch")
    assert pixels[:, 16, 2].tolist() == list(RED) and pixels[:, 16, 29].tolist() == list(BLUE)


@pytest.mark.parametrize("fit", pictures.FITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (31, 33), (2, 3)])
def test_odd_sizes_are_read(size: tuple[int, int], fit: Fit) -> None:
    pixels = to_tensor(Image.new("RGB", size, RED), fit)
    assert pixels.shape == (3, 32, 32)
    assert pixels[:, 16, 16].tolist() == list(RED) or max(size) == 5000


# Modes


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV"])
def test_white_is_white_in_every_mode(mode: str) -> None:
    image = Image.new("RGB", (40, 40), WHITE).convert(mode)
    assert min(colour(to_tensor(image))) >= 254


@pytest.mark.parametrize("mode, format", [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP")])
def test_what_is_transparent_becomes_white(mode: str, format: str) -> None:
    image = Image.new("RGBA", (40, 40), (*BLACK, 0)).convert(mode)
    file = written(image, format, **({"lossless": True} if format == "WEBP" else {}))
    assert colour(to_tensor(file)) == WHITE


def test_half_transparent_black_is_grey() -> None:
    assert colour(to_tensor(Image.new("RGBA", (40, 40), (0, 0, 0, 128)))) == (127, 127, 127)


def test_transparent_colour_of_a_palette_becomes_white() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([*BLUE, *RED])
    assert colour(to_tensor(written(image, "GIF", transparency=1))) == WHITE
    assert colour(to_tensor(written(image, "GIF"))) == RED


def test_transparent_grey_of_a_png_becomes_white() -> None:
    file = written(Image.new("L", (40, 40), 7), transparency=7)
    assert colour(to_tensor(file)) == WHITE


def test_palette_of_an_icon_is_read() -> None:
    """Pillow gives its image a palette only when it is copied."""
    icon = Image.new("RGB", (32, 32), RED).convert("P")
    assert colour(to_tensor(written(icon, "ICNS"))) == RED


@pytest.mark.parametrize("value, expected", [(0, 0), (32896, 128), (65535, 255), (200, 1)])
def test_sixteen_bits_are_scaled(value: int, expected: int) -> None:
    image = Image.fromarray(np.full((40, 40), value, np.uint16))
    assert colour(to_tensor(written(image))) == 3 * (expected,)
    assert colour(to_tensor(written(image, "TIFF"))) == 3 * (expected,)


@pytest.mark.parametrize("value, expected", [(1.0, 255), (0.5, 128), (200.0, 200), (-1.0, 0)])
def test_floats_reach_to_one_or_to_255(value: float, expected: int) -> None:
    image = Image.fromarray(np.full((40, 40), value, np.float32))
    assert colour(to_tensor(written(image, "TIFF"))) == 3 * (expected,)


def test_picture_that_lies_on_its_side_is_turned() -> None:
    image = Image.new("RGB", (40, 40), RED)
    image.paste(Image.new("RGB", (40, 20), BLUE))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the top of the scene is on the right
    pixels = to_tensor(written(image, exif=exif))
    assert pixels[:, 16, 2].tolist() == list(RED) and pixels[:, 16, 29].tolist() == list(BLUE)


def test_first_frame_of_an_animation() -> None:
    first, second = Image.new("RGB", (40, 40), RED), Image.new("RGB", (40, 40), BLUE)
    file = written(first, "GIF", save_all=True, append_images=[second])
    assert colour(to_tensor(file)) == RED


def test_large_jpeg_is_the_same_as_its_pixels() -> None:
    """It is decoded at a part of its size, which saves most of the time."""
    small = Image.fromarray(np.array(random_image(16, 16)))
    large = small.resize((3200, 3200), Image.Resampling.BICUBIC)
    file = written(large, "JPEG", quality=95)
    exact = to_tensor(Image.open(io.BytesIO(file.getvalue())).convert("RGB")).float()
    assert (to_tensor(file).float() - exact).abs().mean() < 2


# Arrays and tensors


def test_arrays_have_colours_last_and_tensors_first() -> None:
    image = random_image(50, 40)
    expected = to_tensor(image)
    array = np.array(image)
    assert torch.equal(to_tensor(array), expected)
    assert torch.equal(to_tensor(torch.from_numpy(array).permute(2, 0, 1)), expected)


def test_tensor_that_is_ready_is_not_copied() -> None:
    ready = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert to_tensor(ready) is ready


def test_grey_array() -> None:
    assert colour(to_tensor(np.full((40, 40), 9, np.uint8))) == (9, 9, 9)


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
    ids=lambda wrong: f"{type(wrong).__name__} {wrong.dtype} {tuple(wrong.shape)}",
)
def test_other_arrays_are_an_error(wrong: np.ndarray | Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 .*; this is \w+ \["):
        to_tensor(wrong)


# Files that are no pictures


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no such file"):
        to_tensor(tmp_path / "bird.jpg")


def test_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bird.jpg"
    path.write_text("a bird")
    with pytest.raises(FileError, match=r"bird\.jpg: not a picture that Pillow knows"):
        to_tensor(path)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_file_is_an_error(format: str, tmp_path: Path) -> None:
    content = written(random_image(100, 100), format).getvalue()
    path = tmp_path / "bird"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match=r"bird: (damaged|not a picture)"):
        to_tensor(path)


@pytest.mark.parametrize("side", [9500, 14000])  # Pillow warns of the first, and refuses the second
def test_decompression_bomb_is_an_error(side: int) -> None:
    file = written(Image.new("1", (side, side)))
    assert len(file.getvalue()) < 100_000
    with pytest.raises(FileError, match=r"too large, more than 89,478,485 pixels"):
        to_tensor(file)


def test_odd_metadata_gives_no_warning() -> None:
    image = Image.new("P", (40, 40))
    file = written(image, transparency=bytes(range(256)), pnginfo=PngImagePlugin.PngInfo())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_tensor(file)


@given(st.binary(max_size=300))
def test_random_bytes_are_an_error_in_one_line(content: bytes) -> None:
    with pytest.raises(FileError) as caught:
        to_tensor(io.BytesIO(content))
    assert "\n" not in str(caught.value)


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


@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"]),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(pictures.FITS),
)
def test_every_mode_and_size_is_read(mode: str, size: tuple[int, int], fit: Fit) -> None:
    pixels = to_tensor(Image.new(mode, size), fit)
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 32, 32)


# Folders


def test_folder_is_searched_for_pictures(tmp_path: Path) -> None:
    names = ["b.png", "a.JPG", "deep/er/c.webp"]
    for name in [*names, "notes.txt", "noending"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert pictures.find(tmp_path) == sorted(tmp_path / name for name in names)
    assert pictures.find(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="no pictures in this folder"):
        pictures.find(tmp_path)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        pictures.find(tmp_path / "nowhere")
