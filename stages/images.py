"""Pictures in and out of bytes: the only module that decodes one. Pixels are uint8[H, W, 3], RGB, upright."""

import io
import struct
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from stages.errors import ImageError

Pixels = NDArray[np.uint8]  # uint8[H, W, 3], RGB, 0 to 255

MAX_PIXELS = 64_000_000  # a 64-megapixel picture takes 192 MB decoded; what claims more is refused by its header
# What pages show and cameras write. Pillow knows more, some of it dangerous from strangers: EPS starts Ghostscript.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
Image.init()  # all readers, now: two threads that met a new format at once would find half of them

# Its free decoders come in one library with encoders under the GPL, and what they decode is under patents.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# What Pillow's readers raise on damaged files; RuntimeError is AVIF's.
_DAMAGE = (OSError, EOFError, SyntaxError, ValueError, RuntimeError, struct.error, Image.DecompressionBombError)


class Picture(NamedTuple):
    """What a file holds: its format by content, whatever its name says, and its pixels."""

    format: str  # one of ``FORMATS``
    pixels: Pixels


def decode(content: bytes) -> Pixels:
    """The pixels of ``read``."""
    return read(content).pixels


def read(content: bytes) -> Picture:
    """The picture in ``content`` as uint8[H, W, 3], RGB, turned upright as its EXIF orientation says.

    Of an animation it is the first frame; transparency is laid on white; of 16 bits the upper 8 stay; inks become the
    colours that their profile says they print.

    Raises:
        ImageError: when it is no picture of ``FORMATS``, is cut off, has 32-bit pixels, or claims more than ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which we do not keep
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(f"{image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are decoded")
                form = str(image.format)
                ImageOps.exif_transpose(image, in_place=True)
                return Picture(form, np.asarray(_on_white(_of_inks(_of_bytes(image))), dtype=np.uint8))
    except UnidentifiedImageError:  # its message holds an address in memory, which no table may
        raise ImageError(_unknown(content)) from None
    except _DAMAGE as error:
        raise ImageError(f"not a picture that can be decoded ({error})") from None


def encode_png(pixels: Pixels) -> bytes:
    """``pixels``, uint8[H, W, 3] RGB, as a PNG file without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def encode_jpeg(pixels: Pixels, *, quality: int) -> bytes:
    """``pixels``, uint8[H, W, 3] RGB, as a JPEG file without any metadata; ``quality`` from 1 to 95."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _of_bytes(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ImageError("its pixels have 32 bits and no known range; 8 or 16 bits are decoded")
    if image.mode.startswith("I;16"):  # Pillow would cut at 255 what it should scale
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image


def _of_inks(image: Image.Image) -> Image.Image:
    """What the inks of a CMYK picture look like by its own profile, or by the plain rule where that is of no use."""
    if image.mode != "CMYK" or not image.info.get("icc_profile"):
        return image
    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return ImageCms.profileToProfile(image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image


def _unknown(content: bytes) -> str:
    """Why ``content``, of no format that is decoded, is refused."""
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        return "a HEIC picture, which is not decoded; convert it to JPEG or AVIF"
    return "not a picture of a known format"


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
