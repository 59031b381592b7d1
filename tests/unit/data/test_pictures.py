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
from PIL.PngImagePlugin import PngInfo

from cifar2.data import pictures
from cifar2.data.pictures import to_tensor
from cifar2.errors import FileError
from cifar2.params import Fit

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
TEXT = PngInfo()
TEXT.add_text("prompt", "a bird " * 300_000, zip=True)


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
        # What a picture carries besides may be large, or damaged.
        (plain("RGB", RED), "PNG", {"pnginfo": TEXT}, RED),
        (plain("RGB", RED), "PNG", {"icc_profile": bytes(2**21)}, RED),
        (plain("RGB", RED), "PNG", {"exif": b"Exif\0\0damaged"}, RED),
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


def test_photos_of_phones_and_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "camera.DNG").write_bytes(b"II*\0")
    with pytest.raises(FileError, match=r"camera\.DNG: .* export it as JPEG$"):
        to_tensor(tmp_path / "camera.DNG")
    with monkeypatch.context() as without_pillow_heif:
        without_pillow_heif.delitem(Image.registered_extensions(), ".heic", raising=False)
        (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftyp")
        with pytest.raises(FileError, match=r"phone\.heic: .* -e '\.\[heif\]'`$"):
            to_tensor(tmp_path / "phone.heic")
    pytest.importorskip("pillow_heif", reason="needs the extra cifar2[heif]")
    assert abs(to_tensor(written(plain("RGB", RED), "HEIF"))[:, 9, 9] - torch.tensor(RED)).max() < 9


def test_folder_search_follows_links_and_leaves_out_what_systems_make(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    pictures_in_it = ["b.png", "a.JPG", "deep/er/c.webp", "d.heic", "e.dng", "linked/f.png"]
    others = ["notes.txt", "noending", "Thumbs.db", "video.mpg", "._b.png", ".DS_Store"]
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "deep-again").symlink_to(folder)
    (folder / "broken.png").symlink_to("nowhere.png")
    for name in [*pictures_in_it, *others, ".trash/g.png", "__MACOSX/h.png"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    expected = sorted(folder / name for name in [*pictures_in_it, "broken.png"])
    assert pictures.find(folder) == (expected, [])
    for named in "notes.txt", "._b.png":
        assert pictures.find(folder / named) == ([folder / named], [])
