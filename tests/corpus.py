"""Over 300 files that nobody should put in, and some that are merely odd; the same on every machine.

As a program it puts each through the decoder and prints what the worst of them cost:

    python -m tests.corpus
"""

from __future__ import annotations

import io
import json
import pickle
import random
import re
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from app import photo
from tests.test_photo import FACE, SMALL, chunk, iso_that_claims, jpeg_that_claims, png, png_that_claims, saved

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF")
CUTS = (1, 3, 11, 24, 100, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)  # bytes, or a share of the file
MUTANTS = 36  # of each format
HTML = b"<html><body onload=alert(1)><script>alert(1)</script></body></html>"


def corpus() -> dict[str, bytes]:
    """Every file by a name that says what is wrong with it."""
    return {**_cut(), **_mutated(), **_of_other_kinds(), **_of_two_kinds(), **_huge(), **_odd()}


def _cut() -> dict[str, bytes]:
    found = {}
    for format in FORMATS:
        data = saved(SMALL, format)
        for cut in CUTS:
            found[f"{format} cut at {cut}"] = data[: cut if isinstance(cut, int) else int(cut * len(data))]
    return found


def _mutated() -> dict[str, bytes]:
    dice, found = random.Random(0), {}
    for format in FORMATS:
        data = saved(SMALL, format)
        for i in range(MUTANTS):
            broken = bytearray(data)
            kind = ("flipped", "overwritten", "doubled", "emptied")[i % 4]
            start = dice.randrange(4, len(broken))
            if kind == "flipped":
                for _ in range(dice.choice((1, 8, 64))):
                    broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
            elif kind == "overwritten":
                broken[start : start + 40] = dice.randbytes(40)
            elif kind == "doubled":
                broken[start:start] = broken[start : start + 200]
            else:
                del broken[start : start + dice.choice((1, 30))]
            found[f"{format} {kind} {i}"] = bytes(broken)
    return found


def _of_other_kinds() -> dict[str, bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("photo.png", saved(SMALL, "PNG"))
    texts = {"text": b"hello", "HTML": HTML, "script": b"#!/bin/sh\nrm -rf x\n", "JSON": b'{"photo": "me.png"}'}
    others = {
        "nothing": b"",
        "zeros": bytes(5000),
        "noise": random.Random(1).randbytes(5000),
        "ZIP": packed.getvalue(),
        "pickle": pickle.dumps({"pixels": [1, 2, 3]}),
        "array": np.lib.format.magic(1, 0) + bytes(200),
        "PDF": b"%PDF-1.7\n1 0 obj\n",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "SVG entities": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aa">]><svg>&a;</svg>',
        "GIF": saved(SMALL, "GIF"),
        "TIFF": saved(SMALL, "TIFF"),
        "BMP": saved(SMALL, "BMP"),
        "video": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(400),
        "executable": b"\x7fELF\2\1\1" + bytes(400),
        "path": b"../../../../etc/passwd",
        "address": b"http://169.254.169.254/latest/meta-data/",
    }
    return {f"a {name}": data for name, data in {**texts, **others}.items()}


def _of_two_kinds() -> dict[str, bytes]:
    """A picture that is something else as well: at its end, in its comment, or by its first bytes."""
    found = {f"{format} with a script at its end": saved(SMALL, format) + HTML for format in FORMATS}
    found |= {f"{format} with a ZIP at its end": saved(SMALL, format) + b"PK\3\4" + bytes(60) for format in FORMATS}
    found["GIF that is a script"] = b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)"
    found["JPEG with a script in its comment"] = saved(SMALL, "JPEG", comment=HTML)
    found["PNG with a script in its text"] = png(SMALL, (96, 64), 8, 2, chunk(b"tEXt", b"Comment\0" + HTML))
    for a in FORMATS:
        found[f"{a} under another's head"] = saved(SMALL, "PNG" if a != "PNG" else "JPEG")[:8] + saved(SMALL, a)[8:]
    return found


def _huge() -> dict[str, bytes]:
    """What claims to be huge, and what becomes huge."""
    found = {f"PNG of {w} x {h}": png_that_claims(w, h) for w, h in ((100_000, 100_000), (2**31 - 1, 1), (1, 60_000))}
    found["JPEG of 65,000 squared"] = jpeg_that_claims(65_000, 65_000)
    found |= {f"{format} of 30,000 squared": iso_that_claims(format, 30_000, 30_000) for format in ("HEIF", "AVIF")}
    for name, body in {
        "zTXt": b"larvatus\0\0" + zlib.compress(bytes(50_000_000)),
        "iTXt": b"larvatus\0\1\0\0\0" + zlib.compress(bytes(50_000_000)),
        "iCCP": b"x\0\0" + zlib.compress(bytes(50_000_000)),
    }.items():
        found[f"PNG whose {name} explodes"] = png(SMALL, (96, 64), 8, 2, chunk(name.encode(), body))
    found["over 25 MB"] = b"\xff\xd8\xff" + bytes(photo.MAX_BYTES)
    brackets = chunk(b"tEXt", b"larvatus\0" + b"[" * 60_000)
    found["settings of 60,000 brackets"] = png(SMALL, (96, 64), 8, 2, brackets)
    return found


def largest() -> dict[str, bytes]:
    """The most that is allowed, at its most expensive."""
    packer, lines = zlib.compressobj(), 7_000
    grey = [packer.compress(b"\0" + bytes([128]) * 8 * 7_000) for _ in range(lines)]  # 16 bits, half transparent
    body = (chunk(b"IDAT", b"".join(grey) + packer.flush()), chunk(b"IEND", b""))
    return {
        "PNG of 49 megapixels": png(None, (7_000, lines), 16, 6, *body),
        "JPEG of 49 megapixels": saved(Image.new("RGB", (7_000, 7_000)), "JPEG"),
    }


def _odd() -> dict[str, bytes]:
    """Unusual, but photos: they are read, or refused in a sentence."""
    picture, other = Image.fromarray(SMALL), Image.fromarray(SMALL[::-1].copy())
    found = {}
    for value in (0, 9, 2**16 - 1):
        exif = Image.Exif()
        exif[0x0112] = value
        found[f"turned by {value}"] = saved(picture, "JPEG", exif=exif)
    found |= {f"EXIF of {len(e)} bytes": saved(picture, "JPEG", exif=e) for e in (b"Exif\0\0", b"Exif\0\0II*\0" * 99)}
    found |= {f"mode {mode}": saved(picture.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    found["CMYK"] = saved(picture.convert("CMYK"), "JPEG")
    found["CMYK with a broken profile"] = saved(picture.convert("CMYK"), "JPEG", icc_profile=b"nonsense" * 50)
    found["deep profile"] = saved(picture, "JPEG", icc_profile=bytes(3_000_000))
    found["16 bits of grey"] = saved(Image.fromarray(SMALL[..., 0].astype(np.uint16) * 257), "PNG")
    found["16 bits of colour"] = png(SMALL.astype(">u2") * 257, (96, 64), 16, 2)
    for format in ("PNG", "WEBP", "AVIF"):
        found[f"animated {format}"] = saved(picture, format, save_all=True, append_images=[other] * 5)
    for size in ((1, 1), (31, 31), (5_000, 33), (33, 5_000)):
        found[f"{size[0]} x {size[1]}"] = saved(Image.new("RGB", size), "PNG")
    found["progressive"] = saved(FACE, "JPEG", progressive=True)
    return found


def main() -> None:
    """One line of JSON: how many files, the slowest in seconds, the peak of memory in bytes."""
    slowest, read, files = ("", 0.0), 0, {**corpus(), **largest()}
    before = peak()
    for name, data in files.items():
        start = time.perf_counter()
        try:
            photo.load(data)
            read += 1
        except photo.PhotoError:
            pass
        slowest = max(slowest, (name, time.perf_counter() - start), key=lambda pair: pair[1])
    print(json.dumps({"files": len(files), "read": read, "slowest": slowest, "peak": peak(), "before": before}))


def peak() -> int:
    """The most memory that this program has held, in bytes. getrusage's figure would start with the parent's."""
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


if __name__ == "__main__":
    main()
