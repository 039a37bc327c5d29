"""app/photo.py: every kind of file a person may drop in, and what leaves again."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import time
import warnings
import zlib
from datetime import date
from hashlib import sha256

import numpy as np
import pillow_heif
import pytest
import torch
from matplotlib import cbook
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin
from skimage import data as samples

from app import photo
from app.photo import PhotoError, download_name, encode, load, open_photo

FACE = samples.astronaut()
SMALL = np.asarray(Image.fromarray(FACE).resize((96, 64)))  # 64 rows, 96 columns: no symmetry to hide behind
LINEAR = 1.0


def saved(image: Image.Image | np.ndarray, format: str, **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    if format == "HEIF":
        pillow_heif.from_pillow(image).save(file, **{"quality": 90, **options})
    else:
        image.save(file, format, **options)
    return file.getvalue()


def rows(found: photo.Photo) -> np.ndarray:
    assert found.pixels.dtype == torch.uint8 and found.pixels.shape == (1, 3, found.height, found.width)
    assert found.pixels.is_contiguous()
    return found.pixels[0].permute(1, 2, 0).numpy()


def mean_error(found: photo.Photo, expected: np.ndarray) -> float:
    assert rows(found).shape == expected.shape
    return float(np.abs(rows(found).astype(int) - expected).mean())


def refused(data: bytes) -> str:
    with pytest.raises(PhotoError) as caught:
        load(data)
    return one_sentence(str(caught.value))


def one_sentence(text: str) -> str:
    assert text[0].isupper() and re.fullmatch(r"[^\n.!]{20,150}\.", text), text
    return text


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values: np.ndarray | None, size: tuple[int, int], depth: int, colour: int, *chunks: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write: 16-bit RGB, headers that lie, hostile chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    lines = b"" if values is None else b"".join(b"\0" + line.tobytes() for line in values)
    body = b"" if values is None else chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body


def profile(space: bytes, **tags: bytes) -> bytes:
    """A version 2 ICC profile; `space` RGB, GRAY or CMYK."""
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {"wtpt": b"XYZ \0\0\0\0" + d50, "desc": name, **tags}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for sign, tag in tags.items():
        table += sign.encode() + struct.pack(">II", start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    kind, pcs = (b"prtr", b"Lab ") if "A2B0" in tags else (b"mntr", b"XYZ ")
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), b"", 0x02400000, kind, space.ljust(4), pcs, bytes(12), b"acsp"
    )
    return (head + bytes(28) + d50).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))


def rgb_profile(gamma: float, order: str = "rgb") -> bytes:
    """The primaries of sRGB, in `order`, with a plain gamma."""
    xyz = {"r": (0.4361, 0.2225, 0.0139), "g": (0.3851, 0.7169, 0.0971), "b": (0.1431, 0.0606, 0.7141)}
    tags = {
        f"{c}XYZ": b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz[p]))
        for c, p in zip("rgb", order, strict=True)
    }
    return profile(b"RGB", **tags, **{f"{c}TRC": curve(gamma) for c in "rgb"})


def cmyk_profile() -> bytes:
    """Ink without colour: L* falls by 20 for each of C, M, Y, and K is a weak black, L* 10."""
    ramp = bytes(range(256))
    grid = b"".join(
        bytes([26 if k else round((100 - 20 * (c + m + y)) * 2.55), 128, 128])
        for c in (0, 1)
        for m in (0, 1)
        for y in (0, 1)
        for k in (0, 1)
    )
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    back = bytes([0, 0, 0, 255] * 4 + [0, 0, 0, 0] * 4)  # from L*: how the black of a printer is found
    return profile(
        b"CMYK",
        A2B0=b"mft1\0\0\0\0\x04\x03\x02\0" + matrix + ramp * 4 + grid + ramp * 3,
        B2A0=b"mft1\0\0\0\0\x03\x04\x02\0" + matrix + ramp * 3 + back + ramp * 4,
    )


def srgb(linear: float) -> float:
    return 255 * (12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055)


# --- ordinary photographs


def test_a_real_jpeg_is_decoded_as_it_is():
    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    found = open_photo(path)
    assert (found.source_format, found.notes, found.settings) == ("JPEG", (), None)
    assert (found.width, found.height) == (512, 600)
    assert np.array_equal(rows(found), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    "format, options, error",
    [
        ("JPEG", {"quality": 95}, 3),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("HEIF", {}, 4),
        ("AVIF", {}, 4),
    ],
)
def test_each_format_comes_back_under_any_name(format, options, error, tmp_path):
    path = tmp_path / "holiday.txt"
    path.write_bytes(saved(FACE, format, **options))
    found = open_photo(str(path))
    assert found.source_format == format and found.notes == () and mean_error(found, FACE) <= error


def test_heif_is_recognised_by_its_compatible_brands():
    data = saved(SMALL, "HEIF")
    assert load(data[:8] + b"mif1" + data[12:]).source_format == "HEIF"
    data = saved(SMALL, "AVIF")
    assert load(data[:8] + b"mif1" + data[12:]).source_format == "AVIF"


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_single_brand_of_heif_is_enough(brand):
    data = saved(SMALL, "HEIF")
    end = int.from_bytes(data[:4], "big")
    data = data[:8] + brand + data[12:16] + brand * ((end - 16) // 4) + data[end:]
    assert load(data).source_format == "HEIF"


STORED = {  # EXIF orientation -> what a camera stores of an upright picture (rows, columns, 3)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize(
    "format, options, error",
    [
        ("PNG", {}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 4),
        ("WEBP", {"lossless": True}, 0),
        ("HEIF", {"chroma": 444}, 4),
        ("AVIF", {"quality": 90, "subsampling": "4:4:4"}, 4),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright_once(orientation, format, options, error):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = load(saved(STORED[orientation](SMALL), format, exif=exif.tobytes(), **options))
    assert mean_error(found, SMALL) <= error


def test_exif_does_not_turn_a_heif_that_its_own_box_has_turned():
    tag = struct.pack("<HHII", 0x0112, 3, 1, 6)  # twice: pillow-heif resets only the first
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + tag + tag + bytes(4)
    assert mean_error(load(saved(STORED[6](SMALL), "HEIF", exif=exif, chroma=444)), SMALL) <= 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"garbage" * 9, b"MM\0*\xff\xff\xff\xff", b""])
def test_broken_exif_turns_nothing(exif):
    assert mean_error(load(saved(SMALL, "JPEG", quality=95, exif=b"Exif\0\0" + exif)), SMALL) < 6


# --- colours


def test_sixteen_bit_grey_is_scaled_not_clipped():
    values = np.linspace(0, 65535, 256 * 32).round().astype(np.uint16).reshape(32, 256)
    found = load(saved(Image.fromarray(values), "PNG"))
    expected = np.rint(values / 257).astype(np.uint8)
    assert np.array_equal(rows(found), np.repeat(expected[..., None], 3, axis=2)) and expected.max() == 255


def test_sixteen_bit_colour_keeps_its_range():
    values = np.linspace(0, 65535, 64 * 64 * 3).round().astype(">u2").reshape(64, 64, 3)
    found = load(png(values, (64, 64), 16, 2))
    assert np.abs(rows(found).astype(float) - values / 257).max() <= 1
    assert rows(found).min() == 0 and rows(found).max() == 255


def test_the_transparent_value_of_sixteen_bit_grey_becomes_white():
    values = np.full((40, 40), 1000, ">u2")
    values[:20] = 1001
    found = load(png(values, (40, 40), 16, 0, chunk(b"tRNS", struct.pack(">H", 1001))))
    assert (rows(found)[:20] == 255).all() and (rows(found)[20:] == 4).all() and "white" in found.notes[0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_opaque_modes(mode):
    image = Image.fromarray(SMALL).convert(mode)
    found = load(saved(image, "PNG"))
    assert found.notes == () and np.array_equal(rows(found), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_is_flattened_onto_white(mode, format):
    image = Image.new("RGBA", (64, 48), (200, 200, 200, 128))
    image.paste((10, 10, 10, 0), (0, 0, 32, 48))
    found = load(saved(image.convert(mode), format, **({"lossless": True} if format == "WEBP" else {})))
    assert found.notes == ("Transparency was flattened onto white.",)
    assert (rows(found)[:, :32] == 255).all()
    assert np.abs(rows(found)[:, 32:] - (200 * 128 + 255 * 127) / 255).max() <= 1


def test_heif_transparency():
    found = load(saved(Image.new("RGBA", (64, 64), (200, 0, 0, 0)), "HEIF"))
    assert found.notes == ("Transparency was flattened onto white.",) and (rows(found) >= 254).all()


def test_an_opaque_alpha_channel_is_not_worth_a_note():
    assert load(saved(Image.fromarray(SMALL).convert("RGBA"), "PNG")).notes == ()


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_palette_with_transparency(transparency):
    image = Image.new("P", (64, 48), 0)
    image.putpalette([9, 8, 7, 0, 0, 0, 5, 5, 5])
    image.paste(1, (0, 0, 32, 48))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load(saved(image, "PNG", transparency=transparency))
    assert (rows(found)[:, :32] == 255).all() and (rows(found)[:, 32:] == (9, 8, 7)).all()
    assert found.notes == ("Transparency was flattened onto white.",)


def test_cmyk_without_a_profile():
    image = Image.merge("CMYK", [Image.new("L", (64, 64), ink) for ink in (255, 0, 0, 0)])
    found = load(saved(image, "JPEG", quality=100))
    assert np.abs(rows(found).astype(int) - (0, 255, 255)).max() <= 2 and "CMYK" in found.notes[0]


@pytest.mark.parametrize(
    "inks, expected",
    [  # neutral: L* 80; the darkest that the profile has, so black
        ((255, 0, 0, 0), srgb(((80 + 16) / 116) ** 3)),
        ((0, 0, 0, 255), 0),
        ((0, 0, 0, 0), 255),
    ],
)
def test_cmyk_through_its_profile(inks, expected):
    image = Image.merge("CMYK", [Image.new("L", (64, 64), ink) for ink in inks])
    found = load(saved(image, "JPEG", quality=100, icc_profile=cmyk_profile()))
    assert found.notes == ("Colours were converted from the embedded profile to sRGB.",)
    assert np.abs(rows(found) - expected).max() <= 3


@pytest.mark.parametrize(
    "format, options",
    [
        ("PNG", {}),
        ("JPEG", {"quality": 100}),
        ("WEBP", {"lossless": True}),
        ("HEIF", {"quality": -1, "chroma": 444}),
    ],
)
def test_a_linear_profile_is_converted(format, options):
    data = saved(Image.new("RGB", (64, 64), (55, 55, 55)), format, icc_profile=rgb_profile(LINEAR), **options)
    found = load(data)
    assert np.abs(rows(found) - srgb(55 / 255)).max() <= 3  # 128, where the file says 55
    assert found.notes == ("Colours were converted from the embedded profile to sRGB.",)


def test_a_profile_is_applied_before_transparency_is_flattened():
    image = Image.new("RGBA", (64, 64), (55, 55, 55, 128))
    found = load(saved(image, "PNG", icc_profile=rgb_profile(LINEAR)))
    assert np.abs(rows(found) - (srgb(55 / 255) * 128 + 255 * 127) / 255).max() <= 2 and len(found.notes) == 2


def test_swapped_primaries_swap_the_channels():
    found = load(saved(Image.new("RGB", (64, 64), (255, 0, 0)), "PNG", icc_profile=rgb_profile(2.2, "bgr")))
    assert np.abs(rows(found).astype(int) - (0, 0, 255)).max() <= 3


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile(mode):
    image = Image.new("L", (64, 64), 55).convert(mode)
    found = load(saved(image, "PNG", icc_profile=profile(b"GRAY", kTRC=curve(LINEAR))))
    assert np.abs(rows(found) - srgb(55 / 255)).max() <= 2 and len(found.notes) == 1


def test_a_colour_profile_on_a_grey_picture():
    found = load(saved(Image.new("L", (64, 64), 55), "PNG", icc_profile=rgb_profile(LINEAR)))
    assert np.abs(rows(found) - srgb(55 / 255)).max() <= 2


def test_an_srgb_profile_touches_no_value():
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = load(saved(SMALL, "PNG", icc_profile=own))
    assert found.notes == () and np.array_equal(rows(found), SMALL)


@pytest.mark.parametrize(
    "icc",
    [b"junk", b"\0" * 200, rgb_profile(LINEAR)[:300], profile(b"GRAY", kTRC=curve(2.2)), cmyk_profile()],
)
def test_a_profile_that_cannot_serve_is_noted_and_ignored(icc):
    found = load(saved(SMALL, "PNG", icc_profile=icc))
    assert found.notes == ("The embedded colour profile is broken, so it was ignored.",)
    assert np.array_equal(rows(found), SMALL)


def test_a_profile_that_does_not_unpack_is_noted():
    found = load(png(SMALL, (96, 64), 8, 2, chunk(b"iCCP", b"x\0\0not zlib")))
    assert "profile is broken" in found.notes[0] and np.array_equal(rows(found), SMALL)


# --- several pictures in one file


@pytest.mark.parametrize("format, options", [("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 95})])
def test_of_an_animation_the_first_frame_is_used(format, options):
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]
    found = load(saved(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert found.notes == ("Animated picture: only the first frame is used.",)
    assert np.abs(rows(found).astype(int) - (255, 0, 0)).max() <= 6


def test_of_a_heif_with_several_pictures_the_main_one_is_used():
    file, heif = io.BytesIO(), pillow_heif.HeifFile()
    for colour in ("red", "blue"):
        heif.add_from_pillow(Image.new("RGB", (64, 64), colour))
    heif.save(file, primary_index=1, quality=95)
    found = load(file.getvalue())
    assert "only the main one" in found.notes[0] and rows(found)[0, 0, 2] > 240


def test_of_a_multi_picture_jpeg_the_main_one_is_used():
    data = saved(SMALL, "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))], quality=95)
    assert load(data).source_format == "JPEG" and mean_error(load(data), SMALL) < 6


# --- what is refused


@pytest.mark.parametrize(
    "name, data",
    [
        ("GIF", saved(SMALL, "GIF")),
        ("TIFF", saved(SMALL, "TIFF")),
        ("BMP", saved(SMALL, "BMP")),
        ("PDF", b"%PDF-1.7\n..."),
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("SVG", b"<SVG></SVG>"),
        ("SVG", b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg></svg>'),
        ("video", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"),
    ],
)
def test_a_recognised_format_is_named_and_the_allowed_ones_too(name, data):
    text = refused(data)
    assert name in text and all(allowed in text for allowed in ("JPEG", "PNG", "WebP", "HEIF", "AVIF"))


@pytest.mark.parametrize(
    "data",
    [b"hello", b"\0" * 100, b"BM is a nice start for a text", "façade".encode() * 50, b"<html></html>"],
)
def test_other_bytes_are_refused(data):
    assert "not a picture" in refused(data) and "choose a JPEG" in refused(data)


def test_empty_missing_and_folders(tmp_path):
    assert "empty" in refused(b"")
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(PhotoError, match="There is no file"):
            open_photo(path)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.9])
def test_truncated_files(format, share):
    data = saved(SMALL, format)
    assert "damaged or cut short" in refused(data[: max(16, int(len(data) * share))])


@pytest.mark.parametrize(
    "magic",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x10\x27\0\0WEBP",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_after_a_valid_start(magic, seed):
    assert "damaged or cut short" in refused(magic + random.Random(seed).randbytes(3000))


@pytest.mark.parametrize("format, options", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_corrupted_body(format, options):  # the decoders of JPEG and HEIF cannot tell
    data = bytearray(saved(FACE, format, **options))
    data[len(data) // 2 : len(data) // 2 + 3000] = random.Random(1).randbytes(3000)
    assert "damaged" in refused(bytes(data))


def test_more_than_25_mb_is_refused_unread(tmp_path, monkeypatch):
    assert "25 MB" in refused(b"\xff\xd8\xff" + bytes(photo.MAX_BYTES))
    path = tmp_path / "heavy.jpg"
    with path.open("wb") as file:
        file.truncate(photo.MAX_BYTES + 1)
    monkeypatch.setattr(type(path), "read_bytes", lambda _: pytest.fail("read before the size was checked"))
    with pytest.raises(PhotoError, match="25 MB"):
        open_photo(path)


def png_that_claims(width: int, height: int) -> bytes:
    return png(None, (width, height), 8, 2, chunk(b"IDAT", b""))


def jpeg_that_claims(width: int, height: int) -> bytes:
    data = bytearray(saved(SMALL, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_that_claims(width: int, height: int) -> bytes:
    data = bytearray(saved(SMALL, "WEBP", lossless=True))
    data[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(data)


def iso_that_claims(format: str, width: int, height: int) -> bytes:
    box = b"ispe\0\0\0\0" + struct.pack(">II", 96, 64)
    data = saved(SMALL, format)
    assert box in data
    return data.replace(box, b"ispe\0\0\0\0" + struct.pack(">II", width, height))


@pytest.mark.parametrize(
    "data",
    [
        png_that_claims(10_000, 5_001),
        png_that_claims(50_000_001, 1),
        png_that_claims(100_000, 100_000),
        jpeg_that_claims(65_000, 65_000),
        webp_that_claims(16_383, 16_383),
        iso_that_claims("HEIF", 30_000, 30_000),
        iso_that_claims("AVIF", 12_000, 12_000),
    ],
)
@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, 10, None])
def test_more_than_50_megapixels_are_refused_before_decoding(data, limit, monkeypatch):
    for decoder in photo.DECODERS.values():
        monkeypatch.setattr(decoder, "load", lambda _: pytest.fail("decoded before the size was checked"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # whatever other libraries set
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = refused(data)
    assert "more than 50 megapixels" in text and time.perf_counter() - start < 0.5


@pytest.mark.parametrize("size, text", [((10_000, 5_001), "50 megapixels"), ((96, 31), "only 96 x 31")])
def test_a_size_that_only_decoding_reveals_is_checked_too(size, text, monkeypatch):
    monkeypatch.setattr(photo.DECODERS["HEIF"], "load", lambda image: setattr(image, "_size", size))
    assert text in refused(saved(SMALL, "HEIF"))


def test_exactly_50_megapixels_pass_the_limit():
    assert "damaged" in refused(png_that_claims(10_000, 5_000))


def test_too_small():
    assert "only 31 x 64" in refused(saved(Image.new("RGB", (31, 64)), "PNG"))
    assert load(saved(Image.new("RGB", (32, 32)), "PNG")).width == 32


def test_a_jpeg_of_endless_passes_is_refused():
    data = saved(SMALL, "JPEG", progressive=True)
    assert load(data).notes == ()
    at, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    assert "passes" in refused(data[:end] + data[at:end] * 100 + data[end:])


@pytest.mark.parametrize(
    "bomb",
    [
        chunk(b"zTXt", b"larvatus\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iTXt", b"larvatus\0\1\0\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iTXt", b"x\0\1\0\0\0" + zlib.compress(bytes(1_000_000))) * 80,
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))),
    ],
)
def test_chunks_that_explode_are_refused_quickly(bomb):
    start = time.perf_counter()
    assert "damaged" in refused(png(SMALL, (96, 64), 8, 2, bomb))
    assert time.perf_counter() - start < 2


def test_text_under_the_names_that_pillow_uses_itself_breaks_nothing():
    for name in (b"comment", b"xmp", b"exif", b"icc_profile"):
        found = load(png(SMALL, (96, 64), 8, 2, chunk(b"tEXt", name + b"\0larvatus:{}")))
        assert np.array_equal(rows(found), SMALL) and found.settings is None


@pytest.mark.parametrize(
    "format, options",
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("PNG", {"append_images": 1}),
        ("WEBP", {}),
        ("WEBP", {"append_images": 1}),
        ("HEIF", {}),
        ("AVIF", {}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_is_a_photo_or_a_sentence(format, options):
    if "append_images" in options:
        options = {"save_all": True, "append_images": [Image.fromarray(SMALL[::-1].copy())]}
    data, dice = saved(SMALL, format, **options), random.Random(7)
    for _ in range(80):
        broken = bytearray(data)
        for _ in range(dice.choice((1, 4, 20))):
            broken[dice.randrange(dice.choice((200, len(broken))))] = dice.randrange(256)
        try:
            assert load(bytes(broken)).pixels.dtype == torch.uint8
        except PhotoError as error:
            one_sentence(str(error))


# --- what leaves

PIXELS = torch.from_numpy(FACE.copy()).permute(2, 0, 1)[None]
SETTINGS = {"method": "tip-im", "params": {"γ": 1.0}, "checkpoints": ["sface"], "seed": 7, "note": 'Ünï "q"'}


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[0], PIXELS.flip(3), PIXELS[..., 10:200, 7:300]])
def test_png_keeps_every_value(pixels):
    found = load(encode(pixels))
    assert torch.equal(found.pixels, pixels.reshape(1, *pixels.shape[-3:])) and found.settings is None


def test_jpeg_quality_and_colour_resolution():
    files = {quality: encode(PIXELS, "JPEG", quality) for quality in (1, 50, 89, 90, 100)}
    assert sorted(files.values(), key=len) == list(files.values())
    sampling = {q: JpegImagePlugin.get_sampling(Image.open(io.BytesIO(data))) for q, data in files.items()}
    assert sampling == {1: 2, 50: 2, 89: 2, 90: 0, 100: 0}  # 2: 4:2:0; 0: 4:4:4
    assert mean_error(load(files[100]), FACE) < 1.5


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("settings", [SETTINGS, {}, {"text": "x" * (photo.MAX_SETTINGS - 12)}])
def test_settings_come_back(format, settings):
    found = load(encode(PIXELS, format, settings=settings))
    assert found.settings == settings and found.notes == ()


def test_settings_are_an_itxt_chunk_or_a_comment():
    text = Image.open(io.BytesIO(encode(PIXELS, settings=SETTINGS))).info["larvatus"]
    assert isinstance(text, PngImagePlugin.iTXt) and json.loads(text) == SETTINGS
    comment = Image.open(io.BytesIO(encode(PIXELS, "JPEG", settings=SETTINGS))).info["comment"]
    assert json.loads(comment.removeprefix(b"larvatus:")) == SETTINGS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[1, 2]",
        "null",
        '"text"',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        "{" * 9,
        "[" * 60_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"n": ' + "9" * 10_000 + "}",
        json.dumps({"text": "x" * 70_000}),
    ],
)
def test_settings_of_a_stranger_are_ignored_with_a_note(text):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("larvatus", text)
    files = [saved(SMALL, "PNG", pnginfo=info)]
    if len(text) < 65_000:
        files.append(saved(SMALL, "JPEG", comment=b"larvatus:" + text.encode()))
    for data in files:
        found = load(data)
        assert found.settings is None and len(found.notes) == 1
        assert "settings" in one_sentence(found.notes[0])


def test_a_comment_of_someone_else_is_not_ours():
    found = load(saved(SMALL, "JPEG", comment=b'{"camera": 1}'))
    assert found.settings is None and found.notes == ()


@pytest.mark.parametrize(
    "settings, error",
    [({"a": object()}, TypeError), ({"a": float("nan")}, ValueError), ({"a": "x" * 65_000}, ValueError)],
)
def test_settings_that_would_not_come_back_are_not_written(settings, error):
    with pytest.raises(error):
        encode(PIXELS, settings=settings)


@pytest.mark.parametrize("pixels", [PIXELS.float(), PIXELS[:, :1], PIXELS.repeat(2, 1, 1, 1), PIXELS[0, 0]])
def test_pixels_of_another_kind_are_not_written(pixels):
    with pytest.raises(ValueError, match="Expected uint8") as caught:
        encode(pixels)
    assert not isinstance(caught.value, PhotoError)


@pytest.mark.parametrize("options", [{"format": "GIF"}, {"format": "JPEG", "quality": 0}, {"quality": 101}])
def test_another_format_or_quality_is_a_sentence(options):
    with pytest.raises(PhotoError) as caught:
        encode(PIXELS, **options)
    one_sentence(str(caught.value))


@pytest.mark.parametrize("shape", [(3, 1, 65_501), (3, 65_501, 1)])
def test_a_side_that_no_jpeg_can_have_is_a_sentence_and_a_png(shape):
    pixels = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(PhotoError, match="choose PNG") as caught:
        encode(pixels, "JPEG")
    one_sentence(str(caught.value))
    assert encode(pixels) and encode(pixels[:, :65_500, :65_500], "JPEG")


def loaded_with_metadata() -> photo.Photo:
    exif = Image.Exif()
    exif[0x010F], exif[0xA431] = "SecretCamera", "SecretSerial"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    data = saved(
        SMALL,
        "JPEG",
        exif=exif,
        xmp=b"<x:xmpmeta>SecretPlace</x:xmpmeta>",
        comment=b"SecretNote",
        icc_profile=rgb_profile(LINEAR),
    )
    assert all(secret in data for secret in (b"SecretCamera", b"SecretSerial", b"SecretPlace", b"SecretNote"))
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)
    return load(data)


@pytest.mark.parametrize("settings", [None, SETTINGS])
def test_a_png_carries_nothing_but_pixels_and_settings(settings):
    data, at, names = encode(loaded_with_metadata().pixels, settings=settings), 8, []
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        names.append(name)
        at += length + 12
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"} | ({b"iTXt"} if settings else set())
    assert b"Secret" not in data and not Image.open(io.BytesIO(data)).getexif()


@pytest.mark.parametrize("settings", [None, SETTINGS])
def test_a_jpeg_carries_nothing_but_pixels_and_settings(settings):
    data = encode(loaded_with_metadata().pixels, "JPEG", settings=settings)
    names = [name for name, _ in Image.open(io.BytesIO(data)).applist]
    assert names == ["APP0"] + (["COM"] if settings else [])
    assert b"Secret" not in data and b"Exif" not in data and not Image.open(io.BytesIO(data)).getexif()


def test_download_name():
    stem = f"larvatus-tip-im-{date.today():%Y%m%d}-{sha256(b'data').hexdigest()[:8]}"
    for suffix in ("png", ".png", "jpg"):
        assert download_name("tip-im", b"data", suffix) == f"{stem}.{suffix.lstrip('.')}"
