"""Any picture that Pillow opens, made into what the networks take: RGB, and square."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, get_args

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from cifar2.errors import FileError, MissingFile, UserError, first_line
from cifar2.params import Fit, Size

if TYPE_CHECKING:
    from torch import Tensor

Picture: TypeAlias = "str | Path | BinaryIO | Image.Image | NDArray[np.uint8] | Tensor"

# Memory of a training: what the libraries take, and the bytes for each value of a pixel (uint8,
# float32 and copies). 10,000 pictures of 128×128 pixels took 4.3 GiB.
LIBRARIES, BYTES = 3 * 2**28, 8
BOX, BICUBIC = Image.Resampling.BOX, Image.Resampling.BICUBIC

# Endings of pictures that Pillow may not open, and what to do then.
HEIF = "HEIF needs a package: `pip install -c constraints.txt -e '.[heif]'`"
EXPORT = "not a format that can be read here; export it as JPEG"
OTHERS = ".3fr .arw .avif .cr2 .cr3 .dng .erf .jxl .nef .orf .pef .raf .rw2 .rwl .srw .svg"
REMEDIES = dict.fromkeys([".heic", ".heif", ".hif"], HEIF) | dict.fromkeys(OTHERS.split(), EXPORT)
STUBS = {"BUFR", "GRIB", "HDF5", "MPEG"}  # Pillow has their endings, but doesn't read them
OF_SYSTEMS = {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found"}

# Of a PNG, one compressed text or colour profile may be as large as all texts together (64 MiB).
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()


def to_tensor(picture: Picture, fit: Fit = "crop", size: int = 32) -> Tensor:
    """Return a picture as uint8 [3, size, size], RGB. One of that size keeps its pixels.

    It is rotated as its EXIF data say. For an animation, the first frame is used.

    Args:
        picture: a file, opened or by its path; an image of Pillow's; an array uint8 [H, W, 3] or
            [H, W]; or a tensor uint8 [3, H, W].
        fit: what happens to a picture that is not square. "crop" keeps the square in its middle,
            "pad" adds white bars, and "stretch" changes its proportions.

    Raises:
        MissingFile: if there is no such file.
        FileError: if it is not a picture, is damaged, or has more pixels than Pillow's limit.
        OSError: if it can't be read.
        ValueError: for an array or a tensor of another shape or type.
    """
    import torch

    if isinstance(picture, (np.ndarray, torch.Tensor)):
        picture = _from_array(picture)
    image = to_rgb(picture) if isinstance(picture, Image.Image) else read(picture, size)
    return torch.from_numpy(np.array(resize(image, fit, size))).permute(2, 0, 1)


def read(file: str | Path | BinaryIO, size: int) -> Image.Image:
    """Return a file's picture as RGB, to be made `size` pixels high and wide, or less.

    It is rotated as EXIF says. The errors are those of `to_tensor`.
    """
    with pillow_warnings():
        return read_in_thread(file, size)


@contextlib.contextmanager
def pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings, but for that of too many pixels, which becomes an error.

    Python changes this for all threads at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what is odd in a file, and is read all the same
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_in_thread(file: str | Path | BinaryIO, size: int) -> Image.Image:
    """Do what `read` does, in one of several threads within `pillow_warnings`."""
    name = str(file) if isinstance(file, (str, Path)) else getattr(file, "name", "the picture")
    try:
        with Image.open(file) as image:
            # A large JPEG is decoded at a half, a quarter or an eighth of its size: faster.
            image.draft(None, (8 * size, 8 * size))
            image.load()
            rotated: Image.Image = image
            with contextlib.suppress(Exception):  # of many types, for damaged EXIF data
                rotated = ImageOps.exif_transpose(image)
            return to_rgb(rotated)
    except FileNotFoundError as error:
        raise MissingFile(name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(name, f"too large, more than {Image.MAX_IMAGE_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow raises many types for a damaged file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if (ending := Path(name).suffix.lower()) in REMEDIES.keys() - Image.registered_extensions():
            raise FileError(name, REMEDIES[ending]) from error
        if isinstance(error, UnidentifiedImageError):
            raise FileError(name, "not a picture that Pillow knows") from error
        raise FileError(name, f"damaged ({first_line(error)})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB, of 8 bits each; what is transparent becomes white."""
    if image.mode.startswith(("I", "F")):
        # More than 8 bits, grey. White is 65535 in integers; in floats 1, or 255 if any is above 1.
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        highest = 65535 if image.mode.startswith("I") else 1 if values.max() <= 1 else 255
        pixels = np.clip(np.rint(values / highest * 255), 0, 255).astype(np.uint8)
        return Image.fromarray(pixels).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def resize(image: Image.Image, fit: Fit, size: int) -> Image.Image:
    """Return an RGB image at size×size pixels, a copy; `fit` is that of `to_tensor`."""
    # The mean over each pixel's area, as in a camera. For enlarging, it would give squares.
    method = BOX if min(image.size) >= size else BICUBIC
    if fit == "crop":
        return ImageOps.fit(image, (size, size), method)
    if fit == "stretch":
        return image.resize((size, size), method)
    scale = size / max(image.size)
    width, height = (max(1, round(scale * side)) for side in image.size)
    square = Image.new("RGB", (size, size), "white")
    square.paste(image.resize((width, height), method), ((size - width) // 2, (size - height) // 2))
    return square


def check_memory(count: int, size: int) -> None:
    """Raise UserError if a training on so many pictures, size×size pixels, would not fit."""
    free = psutil.virtual_memory().available
    needed = {each: LIBRARIES + 3 * each**2 * count * BYTES for each in get_args(Size)}
    if needed[size] > free:
        fitting = [each for each in needed if needed[each] <= free]
        hint = f"{max(fitting)} would fit" if fitting else "take fewer pictures"
        need, have = (f"{number / 2**30:.1f} GiB" for number in (needed[size], free))
        what = f"{count:,} pictures of {size}×{size} pixels need {need} of memory"
        raise UserError(f"data.size: {what}, and {have} are free; {hint}")


def find(path: Path) -> tuple[list[Path], list[OSError | UserError]]:
    """Return a file; or a folder's pictures, sorted, and errors for what can't be searched.

    A folder is searched with those below it, linked ones too. A file in it is a picture if its name
    ends like one. Hidden files, and folders that operating systems make, are left out.
    """
    if not os.path.isdir(path):
        return [path], []
    kinds = Image.registered_extensions().items()
    endings = {end for end, kind in kinds if kind in Image.OPEN.keys() - STUBS} | REMEDIES.keys()
    found, errors, searched = list[Path](), list[OSError | UserError](), set[str]()
    for folder, folders, names in os.walk(path, onerror=errors.append, followlinks=True):
        # Once each, so a loop of links ends, and no picture is counted again by way of a link.
        if (real := os.path.realpath(folder)) in searched:
            folders.clear()
            continue
        searched.add(real)
        folders[:] = sorted(each for each in folders if each[0] != "." and each not in OF_SYSTEMS)
        files = [Path(folder, name) for name in names if name[0] != "."]
        found += [each for each in files if each.suffix.lower() in endings]
    if not found and not errors:
        errors.append(UserError(f"{path}: no pictures in this folder"))
    return sorted(found), errors


def _from_array(array: NDArray[np.uint8] | Tensor) -> Image.Image:
    kind, shape = str(array.dtype).removeprefix("torch."), tuple(array.shape)
    if not isinstance(array, np.ndarray):
        fits = len(shape) == 3 and shape[0] == 3
        wanted = "a tensor must be uint8 [3, H, W]"
    else:
        fits = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
        wanted = "an array must be uint8 [H, W, 3] or [H, W]"
    if kind != "uint8" or not fits:
        raise ValueError(f"{wanted}, 0 to 255; this is {kind} {list(shape)}")
    if not isinstance(array, np.ndarray):
        array = array.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array)
