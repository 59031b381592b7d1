"""Any picture that Pillow opens, made into what the networks take: RGB, 32×32 pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from cifar2.errors import FileError, MissingFile, UserError, first_line

Picture = str | Path | BinaryIO | Image.Image | NDArray[np.uint8] | Tensor
Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)

SIZE = 32
# A JPEG file is decoded at an eighth, a quarter or a half of its size if that is still larger.
ENOUGH = 8 * SIZE


def to_tensor(picture: Picture, fit: Fit = "crop") -> Tensor:
    """Return a picture as uint8 [3, 32, 32], RGB. One of 32×32 pixels keeps its pixels.

    A tensor of that shape and type is returned as it is, on the CPU.

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
    if isinstance(picture, Tensor) and _is_done(picture):
        return picture.cpu()
    if isinstance(picture, Image.Image):
        image = picture
    elif isinstance(picture, (np.ndarray, Tensor)):
        image = _from_array(picture)
    else:
        image = read(picture)
    pixels = np.array(shrink(to_rgb(image), fit))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def read(file: str | Path | BinaryIO) -> Image.Image:
    """Open a picture, the way up that its camera noted (EXIF); of an animation the first frame.

    Raises:
        MissingFile, FileError, OSError: as `to_tensor` does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is odd in a file, and is read all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                image.draft(None, (ENOUGH, ENOUGH))
                return ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise MissingFile(_name(file)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
        raise FileError(_name(file), f"too large, {limit}") from error
    except Exception as error:  # Pillow raises many types for a damaged file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, UnidentifiedImageError):
            raise FileError(_name(file), "not a picture that Pillow knows") from error
        raise FileError(_name(file), f"damaged ({first_line(error)})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB, of 8 bits each; what is transparent becomes white."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def shrink(image: Image.Image, fit: Fit) -> Image.Image:
    """Return an RGB image at 32×32 pixels; `fit` is that of `to_tensor`."""
    width, height = image.size
    if width == height == SIZE:
        return image
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return _resize(image, SIZE, SIZE, (left, top, left + side, top + side))
    if fit == "stretch" or width == height:
        return _resize(image, SIZE, SIZE)
    scale = SIZE / max(width, height)
    small = _resize(image, max(1, round(scale * width)), max(1, round(scale * height)))
    square = Image.new("RGB", (SIZE, SIZE), "white")
    square.paste(small, ((SIZE - small.width) // 2, (SIZE - small.height) // 2))
    return square


def find(path: Path) -> list[Path]:
    """Return a file, or the picture files in a folder and in those below it, sorted.

    A file in a folder is a picture if its name ends as one that Pillow opens.

    Raises:
        MissingFile: if there is no such file or folder.
        UserError: if a folder holds no picture.
    """
    if not path.exists():
        raise MissingFile(path)
    if not path.is_dir():
        return [path]
    kinds = Image.registered_extensions()
    endings = {ending for ending, kind in kinds.items() if kind in Image.OPEN}
    files = [each for each in path.rglob("*") if each.suffix.lower() in endings and each.is_file()]
    if not files:
        raise UserError(f"{path}: no pictures in this folder")
    return sorted(files)


def _resize(
    image: Image.Image,
    width: int,
    height: int,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    # The mean over each pixel's area, as a camera has it. To enlarge, that would give squares.
    filters = Image.Resampling
    method = filters.BOX if min(image.size) >= SIZE else filters.BICUBIC
    return image.resize((width, height), method, box)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of more bits as one of 8: integers of 16 bits, floats to 1 or to 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    white_as_float = 1 if values.max() <= 1 else 255
    white = 65535 if image.mode.startswith("I") else white_as_float
    return Image.fromarray(np.clip(np.rint(values / white * 255), 0, 255).astype(np.uint8))


def _is_done(tensor: Tensor) -> bool:
    return tensor.dtype == torch.uint8 and tensor.shape == (3, SIZE, SIZE)


def _from_array(array: NDArray[np.uint8] | Tensor) -> Image.Image:
    if isinstance(array, Tensor):
        wanted = "a tensor must be uint8 [3, H, W]"
        pixels = array.permute(1, 2, 0).cpu().numpy() if array.ndim == 3 else np.zeros(0)
    else:
        wanted = "an array must be uint8 [H, W, 3] or [H, W]"
        pixels = array
    grey = pixels.ndim == 2 and pixels is array
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        kind = f"{str(array.dtype).removeprefix('torch.')} {list(array.shape)}"
        raise ValueError(f"{wanted}, 0 to 255; this is {kind}")
    return Image.fromarray(pixels)


def _name(file: str | Path | BinaryIO) -> str:
    return str(file) if isinstance(file, (str, Path)) else getattr(file, "name", "the picture")
