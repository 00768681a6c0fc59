import io
import random
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from stages import images
from stages.errors import ImageError
from stages.images import decode, encode_jpeg, encode_png

PIXELS = np.random.default_rng(5).integers(0, 256, (6, 9, 3), dtype=np.uint8)
SMOOTH = cv2.resize(PIXELS, (90, 60), interpolation=cv2.INTER_CUBIC)
ORIENTATION = 0x0112  # the EXIF tag


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(mode="RGB"):
    return Image.fromarray(SMOOTH).convert(mode)


def turned(orientation, form, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(picture(), form, exif=exif, **options)


def png_header(width, height):
    """A PNG file that claims a size and holds next to nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_pixels_come_back_from_png_as_they_went_in():
    assert np.array_equal(decode(encode_png(PIXELS)), PIXELS)


def test_the_same_pixels_give_the_same_png_without_any_metadata():
    assert encode_png(PIXELS) == encode_png(PIXELS.copy()) == encode_png(np.asfortranarray(PIXELS))
    with Image.open(io.BytesIO(encode_png(PIXELS))) as image:
        assert (image.info, image.mode, image.size) == ({}, "RGB", (9, 6))


def test_jpeg_comes_back_close_and_without_metadata():
    content = encode_jpeg(SMOOTH, quality=95)
    assert np.abs(decode(content).astype(int) - SMOOTH).mean() < 4
    assert content == encode_jpeg(SMOOTH, quality=95)
    with Image.open(io.BytesIO(content)) as image:
        assert not image.getexif()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "JPEG2000"])
def test_every_lossless_format_gives_the_same_pixels(form):
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = decode(saved(picture(), form, **options))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert np.array_equal(decoded, SMOOTH)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "GIF"])
def test_every_lossy_format_gives_pixels_close_by(form):
    decoded = decode(saved(picture(), form))
    assert decoded.shape == SMOOTH.shape
    assert np.abs(decoded.astype(int) - SMOOTH).mean() < 20


def test_these_tests_see_every_format():
    assert len(images.FORMATS) == len(["PNG", "BMP", "TIFF", "WEBP", "JPEG2000", "JPEG", "AVIF", "GIF"])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_a_picture_is_turned_upright_as_its_exif_says(orientation, form):
    decoded = decode(turned(orientation, form, **({"lossless": True} if form == "WEBP" else {})))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = picture()
    upright.info["exif"] = exif.tobytes()
    assert np.array_equal(decoded, np.asarray(ImageOps.exif_transpose(upright)))
    assert decoded.shape == ((90, 60, 3) if orientation > 4 else (60, 90, 3))


def test_a_jpeg_of_a_camera_held_upright_stands_upright():
    decoded = decode(turned(6, "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - np.rot90(SMOOTH, k=-1)).mean() < 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    assert np.array_equal(decode(turned(orientation, "PNG")), SMOOTH)


def test_cmyk_becomes_the_colours_that_it_prints():
    decoded = decode(saved(picture("CMYK"), "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - SMOOTH).mean() < 8


@pytest.mark.parametrize("profile", [b"garbage" * 99, b"", "screen"])
def test_a_profile_that_is_of_no_use_for_inks_is_left_alone(profile):
    given = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() if profile == "screen" else profile
    content = saved(picture("CMYK"), "JPEG", quality=95, icc_profile=given)
    assert np.array_equal(decode(content), decode(saved(picture("CMYK"), "JPEG", quality=95)))


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_is_refused_with_what_would_be_right(brand):
    content = struct.pack(">I", 24) + b"ftyp" + brand + bytes(99)
    assert refusal(content) == "a HEIC picture, which is not decoded; convert it to JPEG or AVIF"


@pytest.mark.parametrize("form", images.FORMATS)
def test_the_format_is_told_by_the_content(form):
    assert images.read(saved(picture(), form)).format == form


def test_no_other_library_decodes_what_strangers_sent():
    root = Path(images.__file__).parent
    sources = {file.relative_to(root).as_posix(): file.read_text() for file in root.rglob("*.py")}
    decoding = re.compile(r"cv2\.(imdecode|imread)|Image\.open\(")
    assert len(sources) > 50
    found = {name for name, text in sources.items() if decoding.search(text)}
    assert found == {"images.py", "tracking.py"}  # the second looks at pictures of our own making


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette_pictures_have_three_channels(mode):
    image = picture(mode)
    assert np.array_equal(decode(saved(image, "PNG")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode):
    image = Image.new(mode, (2, 1), 0)
    image.putpixel((1, 0), (40, 40, 40, 255) if mode == "RGBA" else (40, 255))
    assert decode(saved(image, "PNG")).tolist() == [[[255, 255, 255], [40, 40, 40]]]


def test_half_transparency_is_half_white():
    assert decode(saved(Image.new("RGBA", (1, 1), (0, 100, 200, 128)), "PNG")).tolist() == [[[127, 177, 227]]]


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_is_white(form):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decode(saved(image, form, transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_of_sixteen_bits_the_upper_eight_stay(form):
    grey = np.linspace(0, 65535, 12 * 20).astype(np.uint16).reshape(12, 20)
    decoded = decode(saved(Image.fromarray(grey), form))
    assert np.array_equal(decoded, np.stack([grey >> 8] * 3, axis=-1))


def test_sixteen_bits_of_each_colour_are_decoded_too():
    colours = PIXELS.astype(np.uint16) * 257
    content = cv2.imencode(".png", colours[..., ::-1])[1].tobytes()
    assert np.array_equal(decode(content), PIXELS)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_thirty_two_bits_are_refused_because_their_range_is_unknown(kind):
    content = saved(Image.fromarray(np.linspace(0, 1, 12).astype(kind).reshape(3, 4)), "TIFF")
    with pytest.raises(ImageError, match="its pixels have 32 bits and no known range; 8 or 16 bits are decoded"):
        decode(content)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(form):
    options = {"save_all": True, "append_images": [Image.new("RGB", (90, 60), "red")], "duration": 40}
    first = Image.new("RGB", (90, 60), "blue")
    decoded = decode(saved(first, form, **options | ({"lossless": True} if form == "WEBP" else {})))
    assert np.unique(decoded.reshape(-1, 3), axis=0).tolist() == [[0, 0, 255]]


def test_a_gif_that_names_a_transparent_colour_keeps_its_others():
    options = {"save_all": True, "append_images": [Image.new("P", (4, 4), 1)], "transparency": 3}
    assert decode(saved(Image.new("RGB", (4, 4), "blue"), "GIF", **options)).tolist() == [[[0, 0, 255]] * 4] * 4


def test_a_line_one_pixel_high_is_a_picture():
    assert decode(encode_png(np.zeros((1, 600, 3), dtype=np.uint8))).shape == (1, 600, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_off_is_refused(form, share):
    content = saved(picture(), form)
    with pytest.raises(ImageError):
        decode(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"hello\n" * 99,
        b"<html><body>404</body></html>",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        bytes(10**5),
    ],
    ids=["nothing", "zero", "text", "html", "gif", "jpeg", "png", "zeros"],
)
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ImageError):
        decode(content)


def test_two_refusals_of_one_file_read_the_same():
    assert refusal(b"hello") == refusal(b"hello") == "not a picture of a known format"


def refusal(content):
    with pytest.raises(ImageError) as error:
        decode(content)
    return str(error.value)


@pytest.mark.parametrize("side", [8001, 12_000, 100_000, 2**31 - 1])
def test_a_header_that_claims_too_much_is_refused_before_any_memory_is_taken(side):
    assert "pixels" in refusal(png_header(side, side))


def test_the_limit_itself_is_allowed(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 54)
    assert np.array_equal(decode(encode_png(PIXELS)), PIXELS)
    monkeypatch.setattr(images, "MAX_PIXELS", 53)
    assert refusal(encode_png(PIXELS)) == "9 x 6 pixels; at most 53 are decoded"


@pytest.mark.parametrize(("width", "height"), [(0, 8), (8, 0)])
def test_a_picture_without_pixels_is_refused(width, height):
    assert refusal(png_header(width, height))


@pytest.mark.parametrize("form", ["EPS", "PPM", "TGA", "PCX", "SGI", "DDS", "ICO"])
def test_formats_that_pages_do_not_show_are_refused_unread(form):
    assert refusal(saved(picture(), form)) == "not a picture of a known format"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000"])
def test_whatever_a_damaged_file_says_it_is_refused_or_decoded(form):
    content, drawn = saved(picture().resize((18, 12)), form), random.Random(form)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(drawn.choice([1, 4, 16])):
            damaged[drawn.randrange(min(len(damaged), drawn.choice([64, 512, 10**6])))] = drawn.randrange(256)
        try:
            decoded = decode(bytes(damaged))
        except ImageError:
            continue
        assert decoded.dtype == np.uint8
        assert decoded.shape[2:] == (3,)


def test_of_a_picture_with_several_views_the_first_is_taken():
    content = saved(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", (90, 60), "red")], quality=95)
    assert np.abs(decode(content).astype(int) - SMOOTH).mean() < 4


def test_many_threads_decode_alike():
    contents = [saved(picture(), form) for form in images.FORMATS] * 4
    with ThreadPoolExecutor(8) as pool:
        assert [pixels.tobytes() for pixels in pool.map(decode, contents)] == [
            decode(each).tobytes() for each in contents
        ]


def test_odd_metadata_warns_nobody():
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "x" * 2000, zip=True)
    assert np.array_equal(decode(saved(picture(), "PNG", pnginfo=info, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), SMOOTH)
