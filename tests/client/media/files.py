"""Picture files, good and bad, made from nothing."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import ExifTags, Image

GIF_HEAD = (
    b"GIF89a\x09\x00\x09\x00\x80\x00\x00" + bytes(6) + b",\x00\x00\x00\x00\x20\x00\x20\x00\x00"
)
KINDS = ("PNG", "JPEG", "WEBP", "GIF")  # that are taken


def picture(kind: str = "PNG", size: tuple[int, int] = (90, 60), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def chunk(kind: bytes, body: bytes) -> bytes:
    """Of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int, *before: bytes, pixels: bytes = b"") -> bytes:
    """An RGB PNG whose header promises a size, whatever pixels there are."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + body


def bomb(size: int = 2**26) -> bytes:
    """Zeros, a thousandth of the size."""
    return zlib.compress(bytes(size), 9)


def zipped_bomb() -> bytes:
    return gzip.compress(bytes(2**26))


def _moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=50)
    return file.getvalue()


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Main-Class: Bad\n")
    return file.getvalue()


def _scans() -> bytes:
    """A progressive JPEG that shows its last scan again and again."""
    whole = picture("JPEG", (600, 400), progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * 600 + whole[-2:]


def _jpeg_of(width: int, height: int) -> bytes:
    whole = bytearray(picture("JPEG"))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


def _webp_canvas() -> bytes:
    """16,384 pixels a side, by three bytes each."""
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\x00" * 2 + b"VP8 " + bytes(20)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _no_pictures() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "one byte", b"\x89"
    yield "text", b"just words, and no picture at all\n" * 40
    yield "HTML", b"<!doctype html><script>alert(1)</script>"
    yield "HTML with a PNG inside", b"<html><img src='data:'>" + picture()
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield "SVG, zipped", gzip.compress(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    yield "XML that expands", b"<!DOCTYPE a [<!ENTITY b 'bbbb'>]><svg>&b;&b;</svg>"
    yield "PDF", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    yield "PDF with a JPEG inside", b"%PDF-1.7\n1 0 obj<<>>stream\n" + picture("JPEG") + b"%%EOF"
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n"
    yield "ZIP", _archive()
    yield "a program", b"\x7fELF\x02\x01\x01" + bytes(200)
    yield "a film", b"\x00\x00\x00\x20ftypisom" + bytes(200)
    yield "AVIF", b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1miafMA1B" + bytes(200)
    for kind in ("BMP", "TIFF", "ICO", "PPM", "PCX", "TGA", "SGI", "DDS", "ICNS", "JPEG2000"):
        yield kind, picture(kind, (32, 32))


def _broken() -> Iterator[tuple[str, bytes]]:
    for kind in KINDS:
        whole = picture(kind)
        yield f"{kind}: its first bytes alone", whole[:12]
        yield f"{kind}: a third of it", whole[: len(whole) // 3]
        yield f"{kind}: all but its end", whole[: -len(whole) // 6]
        if kind != "WEBP":  # where they mean something
            yield f"{kind}: zeros behind its head", whole[:40] + bytes(len(whole) - 40)
    png = picture()
    yield "PNG: a wrong checksum of the header", _flipped(png, 30)
    yield "PNG: a wrong checksum of the pixels", _flipped(png, png.index(b"IDAT") + 20)
    yield "PNG: no header", png[:8] + png[33:]
    yield "PNG: no pixels", png[:33] + chunk(b"IEND", b"")
    yield "PNG: no end", png[:-12]
    yield "PNG: too few pixels", png_of(30, 20, pixels=bytes(50))
    yield "PNG: no width", png_of(0, 20)
    yield "PNG: a negative width", png_of(2**32 - 1, 20)
    yield "PNG: a chunk of 4 GB", png[:33] + b"\xff\xff\xff\xffIDAT" + png[41:]
    yield "PNG: another depth", png[:24] + b"\x07" + png[25:]
    yield "JPEG: no size", _jpeg_of(0, 0)
    yield "JPEG: tables that lie", picture("JPEG").replace(b"\xff\xdb\x00\x43", b"\xff\xdb\x00\x03")
    yield "JPEG: no tables at all", picture("JPEG").replace(b"\xff\xdb", b"\xff\xfe")
    yield "JPEG: a length that reaches past the end", b"\xff\xd8\xff\xe0\xff\xff" + bytes(40)
    yield "GIF: no picture", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
    yield "GIF: a code that cannot be", GIF_HEAD + b"\x63\x02\x44\x01\x00;"
    yield "GIF: a frame outside of its canvas, and no pixels", GIF_HEAD + b"\x02\x00;"
    yield "WEBP: a length that lies", b"RIFF\xff\xff\xff\x7f" + picture("WEBP")[8:]


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "PNG: 60,000 pixels a side", png_of(60_000, 60_000, pixels=bytes(2**20))
    yield "PNG: 2 GB of pixels", png_of(2**31 - 1, 2**31 - 1)
    yield "PNG: one pixel high, 30,000 wide", png_of(30_000, 1, pixels=bytes(90_001))
    yield "PNG: one pixel wide, 16,000 high", png_of(1, 16_000, pixels=bytes(64_000))
    pixels = bytes(9 * 28)
    text, megabyte = b"a\0\0" + bomb(), b"a\0\0" + bomb(2**20 - 1)
    yield "PNG: a text that expands", png_of(9, 9, chunk(b"zTXt", text), pixels=pixels)
    yield "PNG: a profile that expands", png_of(9, 9, chunk(b"iCCP", text), pixels=pixels)
    text = b"a\0\1\0\0\0" + bomb()
    yield "PNG: an international one", png_of(9, 9, chunk(b"iTXt", text), pixels=pixels)
    texts = [chunk(b"zTXt", megabyte)] * 99
    yield "PNG: 99 texts that expand", png_of(9, 9, *texts, pixels=pixels)
    yield "JPEG: 65,535 pixels a side", _jpeg_of(65_535, 65_535)
    yield "JPEG: 600 scans", _scans()
    yield "GIF: a canvas of 65,535 pixels a side", b"GIF89a\xff\xff\xff\xff" + picture("GIF")[10:]
    yield "WEBP: a canvas of 16,384 pixels a side", _webp_canvas()
    yield "a gzip bomb", zipped_bomb()


def _others_in_disguise() -> Iterator[tuple[str, bytes]]:
    for kind in ("PNG", "WEBP", "GIF"):
        yield f"{kind} with an archive behind it", picture(kind) + _archive()
    yield "PNG with a page behind it", picture() + b"<script>alert(1)</script>"
    yield "PNG with another behind it", picture() + picture()
    yield "GIF that is JavaScript", b"GIF89a=1;alert(document.domain)//" + bytes(40)
    yield "GIF that is PHP", b"GIF89a<?php system($_GET['c']); ?>"
    yield "JPEG's first bytes before a page", b"\xff\xd8\xff\xe0<html><script></script></html>"
    yield "BMP that is JavaScript", b"BM=1;alert(1)//" + bytes(60)
    for kind in ("GIF", "PNG", "WEBP"):
        yield f"{kind}: moving", _moving(kind)


HOSTILE: dict[str, bytes] = {
    **dict(_no_pictures()),
    **dict(_broken()),
    **dict(_bombs()),
    **dict(_others_in_disguise()),
}


def _strange() -> Iterator[tuple[str, bytes]]:
    """What viewers show, and so do we."""
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    yield "turned", picture("JPEG", exif=turned)
    yield "EXIF that is none", picture("JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(30))
    turned[ExifTags.Base.Orientation] = 99
    yield "turned who knows where", picture("PNG", exif=turned)
    yield "no text that expands", png_of(9, 9, chunk(b"zTXt", b"a\0\0"), pixels=bytes(9 * 28))
    yield "one pixel", picture("PNG", (1, 1))
    yield "a JPEG and a film behind it", picture("JPEG") + b"\0\0\0\x20ftypmp42" + bytes(3000)
    yield "progressive", picture("JPEG", (300, 200), progressive=True)
    yield "a pixel high, 200 wide", picture("PNG", (200, 1))
    yield "GIF with zeros behind it", picture("GIF") + bytes(3)


STRANGE: dict[str, bytes] = dict(_strange())
