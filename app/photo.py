"""Untrusted bytes to a photo, and pixels to the bytes of a file.

The format is told by the content, never by the file name; every limit holds before a pixel is decoded; what
comes out is upright 8-bit sRGB without metadata. Pillow's image classes are called directly rather than
through Image.open: only the decoder of the recognised format runs, and Pillow's own bomb limit, global state
that any library may change, plays no part.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms
from PIL.AvifImagePlugin import AvifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile
from torch import Tensor

MAX_BYTES = 25 * 1024**2
MAX_PIXELS = 50_000_000
MIN_SIDE = 32
MAX_SCANS = 100  # of a progressive JPEG: photos have ten; 25 MB hold 300,000 empty ones, hours of decoding
MAX_JPEG_SIDE = 65_500  # pixels: libjpeg's own limit
MAX_SETTINGS = 65_000  # bytes of JSON: just under 64 KiB, so that they fit into one JPEG comment
KEY = "larvatus"
CHOOSE = "choose a JPEG, PNG, WebP, HEIF or AVIF photo."

DECODERS = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "HEIF": HeifImageFile,
    "AVIF": AvifImageFile,
}
MAGIC = {"JPEG": rb"\xff\xd8\xff", "PNG": rb"\x89PNG\r\n\x1a\n", "WEBP": rb"RIFF.{4}WEBP"}
# Brands of an ISO media file, the telling ones first: AVIF and HEIC both list the general mif1.
BRANDS = (("HEIF", rb"he[iv][cxms]"), ("AVIF", rb"avi[fs]"), ("HEIF", rb"m[is]f1"))
REFUSED = {
    "a GIF": rb"GIF8[79]a",
    "a TIFF": rb"II[*+]\0|MM\0[*+]",
    "a BMP": rb"BM.{4}\0{4}",
    "a PDF": rb"%PDF-",
    "an SVG drawing": rb"(\xef\xbb\xbf)?\s*<(svg\b|.{0,1000}<svg\b)",
    "a video": rb".{4}ftyp",
}
SCAN = rb"\xff\xda\0(\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)"
TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(ValueError):
    """A file that cannot be used as a photo: one sentence for the person, what happened and what to do."""


@dataclass(frozen=True, eq=False)  # compared by identity: tensors have no single truth value
class Photo:
    """An upright photo: `pixels` (1, 3, H, W) uint8 RGB, sRGB, 0 to 255.

    uint8 and not the engines' float32: 50 megapixels would be 600 MB as floats, and whole numbers make
    "bit-identical outside the face" a plain fact. `source_format` is JPEG, PNG, WEBP, HEIF or AVIF; `notes`
    are sentences on what was changed; `settings` is what the file says an earlier run wrote: untrusted.
    """

    pixels: Tensor
    source_format: str
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] | None = None

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[-1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[-2])


def open_photo(path: str | Path) -> Photo:
    """`load` for a file on disk, whose size is checked before it is read. Raises PhotoError."""
    path = Path(path)
    try:
        if not path.is_file():  # nor a pipe or a device, which could go on for ever
            raise PhotoError(f"There is no file {path.name}: check the path.")
        _check_bytes(path.stat().st_size)
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"The file {path.name} cannot be opened: check that you may read it.") from error
    return load(data)


def load(data: bytes) -> Photo:
    """Decode a JPEG, PNG, WebP, HEIF or AVIF of at most 25 MB and 50 megapixels. Raises PhotoError only."""
    _check_bytes(len(data))
    kind = _kind(data)
    notes: list[str] = []
    try:
        image = DECODERS[kind](io.BytesIO(data))  # reads the header only
        _check_size(*image.size)
        image.load()
        _check_size(*image.size)  # a HEIF header may have lied
        if getattr(image, "is_animated", False):
            notes.append(
                "The file holds several pictures: only the main one is used."
                if kind == "HEIF"
                else "Animated picture: only the first frame is used."
            )
        settings = _settings(image, notes)
        turn = None if kind == "HEIF" else _turn(image)  # libheif has turned it already, whatever EXIF says
        rgb = _to_srgb(image, notes)
        del image  # of 50 megapixels each copy is 200 MB
        rgb = rgb if turn is None else rgb.transpose(turn)
    except PhotoError:
        raise
    except Exception as error:  # on broken files decoders raise nearly anything, struct.error to SyntaxError
        raise PhotoError(f"This {kind} file is damaged or cut short: download or export it again.") from error
    planes = np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))
    return Photo(torch.from_numpy(planes)[None], kind, tuple(notes), settings)


def encode(pixels: Tensor, format: str = "PNG", quality: int = 95, settings: dict[str, Any] | None = None) -> bytes:
    """A file of uint8 `pixels`, (1, 3, H, W) or (3, H, W), with JSON-able `settings` as its only metadata.

    PNG keeps every value. JPEG has `quality` 1 to 100; from 90 up its colour channels keep full resolution,
    since halving them would blur away the part of a mask that lives in colour. Raises ValueError for other
    pixels or settings over 65,000 bytes, PhotoError for another format or quality or a JPEG too long.
    """
    if pixels.dtype != torch.uint8 or pixels.shape[:-2] not in ((3,), (1, 3)):
        raise ValueError(f"Expected uint8 (1, 3, H, W) or (3, H, W), got {pixels.dtype} {[*pixels.shape]}.")
    if format not in ("PNG", "JPEG") or not 1 <= quality <= 100:
        raise PhotoError("A photo is written as PNG or as JPEG of quality 1 to 100: choose one of these.")
    if format == "JPEG" and max(pixels.shape[-2:]) > MAX_JPEG_SIDE:
        raise PhotoError(f"A JPEG has at most {MAX_JPEG_SIDE:,} pixels a side: choose PNG for this photo.")
    text = "" if settings is None else json.dumps(settings, ensure_ascii=False, allow_nan=False)
    if (size := len(text.encode())) > MAX_SETTINGS:
        raise ValueError(f"Settings of {size} bytes do not fit into a photo: at most {MAX_SETTINGS}.")
    rows = pixels.detach().cpu().reshape(pixels.shape[-3:]).permute(1, 2, 0).contiguous()
    image, file = Image.fromarray(rows.numpy()), io.BytesIO()
    if format == "JPEG":
        comment = f"{KEY}:{text}".encode() if text else None
        sampling = "4:4:4" if quality >= 90 else "4:2:0"
        image.save(file, "JPEG", quality=quality, subsampling=sampling, comment=comment)
        return file.getvalue()
    chunks = PngInfo()
    if text:
        chunks.add_itxt(KEY, text)
    image.save(file, "PNG", pnginfo=chunks, compress_level=4)  # twice as fast as 6, files 1 % larger
    return file.getvalue()


def download_name(method: str, data: bytes, suffix: str = "png") -> str:
    """`larvatus-<method>-<YYYYMMDD>-<8 hex of the file's SHA-256>.<suffix>`."""
    return f"{KEY}-{method}-{date.today():%Y%m%d}-{hashlib.sha256(data).hexdigest()[:8]}.{suffix.lstrip('.')}"


def _check_bytes(size: int) -> None:
    if size == 0:
        raise PhotoError(f"The file is empty: {CHOOSE}")
    if size > MAX_BYTES:
        raise PhotoError("The file is larger than 25 MB: save a smaller copy and choose that.")


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError(f"The picture is {width} x {height}, more than 50 megapixels: save a smaller copy.")
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"The picture is only {width} x {height} pixels: choose a larger one.")


def _kind(data: bytes) -> str:
    """The key into DECODERS, by the first bytes. Raises PhotoError, naming what was recognised if it can."""
    for kind, magic in MAGIC.items():
        if re.match(magic, data, re.DOTALL):
            if kind == "JPEG" and len(re.findall(SCAN, data)) > MAX_SCANS:
                raise PhotoError(f"This JPEG has over {MAX_SCANS} passes, unlike any photo: export it again.")
            return kind
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        for kind, brand in BRANDS:
            if re.search(brand, brands):
                return kind
    for name, magic in REFUSED.items():
        if re.match(magic, data, re.DOTALL | re.IGNORECASE):
            raise PhotoError(f"This file is {name}, which is not read here: {CHOOSE}")
    raise PhotoError(f"This file is not a picture that can be read here: {CHOOSE}")


def _settings(image: Image.Image, notes: list[str]) -> dict[str, Any] | None:
    """The JSON object in a PNG's text chunk or a JPEG's comment; anything else there is noted and dropped."""
    text, comment, mark = image.info.get(KEY), image.info.get("comment"), f"{KEY}:".encode()
    if isinstance(comment, bytes) and comment.startswith(mark):  # a PNG may have a "comment" too, as str
        text = comment[len(mark) :]
    if text is None:
        return None
    try:
        if len(text) <= MAX_SETTINGS and isinstance(found := json.loads(text), dict):
            json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # no NaN, no half characters
            return found
    except (ValueError, RecursionError):
        pass
    notes.append("The Larvatus settings in this file cannot be read, so they are ignored.")
    return None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes a loaded image upright. EXIF that cannot be read does not say which way is up."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def _to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """Any mode to RGB: first the embedded profile, then transparency onto white."""
    info = image.info
    image, alpha = _split(image)
    if "icc_profile" in info:
        image = _through_profile(image, info["icc_profile"] or b"", notes)
    if image.mode == "CMYK":
        notes.append("Print colours (CMYK) were converted by a simple rule and may look a little different.")
    image = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is None or alpha.getextrema()[0] == 255:
        return image
    notes.append("Transparency was flattened onto white.")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """8-bit colours as L, RGB or CMYK, and the alpha channel as L where there is one."""
    if image.mode == "I;16":  # Pillow cannot scale 16-bit grey, nor keep its transparent value
        values, clear = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
        return image, None if clear is None else Image.fromarray((values != clear).astype(np.uint8) * 255)
    mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode in ("1", "L", "LA") else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode), None
    image = image.convert("RGBA")
    return image.convert(mode), image.getchannel("A")


def _through_profile(image: Image.Image, icc: bytes, notes: list[str]) -> Image.Image:
    """L, RGB or CMYK to sRGB by an untrusted profile; the same image where that is broken or sRGB itself."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if image.mode == "L" and profile.profile.xcolor_space == "RGB ":
            image = image.convert("RGB")
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if image.mode == "RGB" and _changes_little(transform):
            return image
        converted = transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("The embedded colour profile is broken, so it was ignored.")
        return image
    notes.append("Colours were converted from the embedded profile to sRGB.")
    return converted


def _changes_little(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether no colour moves by more than 2 levels: sRGB under any name, which rounding must not touch."""
    cube = np.indices((6, 6, 6), dtype=np.uint8).reshape(3, 1, 216).transpose(1, 2, 0) * 51
    moved = np.asarray(transform.apply(Image.fromarray(np.ascontiguousarray(cube))))
    return int(np.abs(moved.astype(int) - cube).max()) <= 2
