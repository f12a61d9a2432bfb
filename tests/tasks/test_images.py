"""Images as the model sees them, and the defects that are found without decoding."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from pixtrack.tasks import images
from pixtrack.tasks.images import BadImage, decode_image, inspect_image, load_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(size: tuple[int, int] = (300, 200)) -> Image.Image:
    return Image.effect_noise(size, 60).convert("RGB")


def near(pixel: object, wanted: tuple[int, int, int], by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(pixel, wanted, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_every_format_gives_its_size_and_its_pixels(kind: str) -> None:
    data = encoded(Image.new("RGB", (30, 20), RED), kind)
    facts = inspect_image(data)
    assert (facts.format, facts.width, facts.height) == (kind, 30, 20)
    image = decode_image(data)
    assert (image.mode, image.size) == ("RGB", (30, 20))
    assert near(image.getpixel((15, 10)), RED)


def test_a_cmyk_jpeg_becomes_the_colour_that_it_shows() -> None:
    data = encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95)
    assert near(decode_image(data).getpixel((5, 5)), RED)


def test_a_palette_becomes_its_colours() -> None:
    data = encoded(Image.new("RGB", (20, 20), RED).convert("P"), "PNG")
    assert decode_image(data).getpixel((5, 5)) == RED


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 10, 20))
    data = encoded(image, "PNG", transparency=0)
    assert decode_image(data).getpixel((2, 2)) == WHITE
    assert decode_image(data).getpixel((15, 2)) == RED


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(mode: str) -> None:
    clear = (0, 0, 0, 0) if mode == "RGBA" else (0, 0)
    half = (0, 0, 0, 128) if mode == "RGBA" else (0, 128)
    image = Image.new(mode, (20, 20), clear)
    image.paste(half, (10, 0, 20, 20))
    decoded = decode_image(encoded(image, "PNG"))
    assert decoded.getpixel((2, 2)) == WHITE
    assert near(decoded.getpixel((15, 5)), (127, 127, 127), 1)


def test_a_transparent_colour_of_an_rgb_png_is_white() -> None:
    image = Image.new("RGB", (20, 20), RED)
    image.paste((0, 0, 0), (0, 0, 10, 20))
    decoded = decode_image(encoded(image, "PNG", transparency=(0, 0, 0)))
    assert decoded.getpixel((2, 2)) == WHITE
    assert decoded.getpixel((15, 2)) == RED


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped_to_white(kind: str) -> None:
    image = Image.new("I;16", (4, 1))
    for x, value in enumerate((0, 257 * 64, 257 * 128, 65535)):
        image.putpixel((x, 0), value)
    decoded = decode_image(encoded(image, kind))
    assert [decoded.getpixel((x, 0)) for x in range(4)] == [(v, v, v) for v in (0, 64, 128, 255)]


def test_floating_point_grey_from_0_to_1_is_scaled() -> None:
    image = Image.new("F", (2, 1))
    image.putpixel((0, 0), 0.0)
    image.putpixel((1, 0), 1.0)
    decoded = decode_image(encoded(image, "TIFF"))
    assert [decoded.getpixel((x, 0)) for x in range(2)] == [(0, 0, 0), WHITE]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_black_and_white_become_rgb(mode: str) -> None:
    assert decode_image(encoded(Image.new(mode, (9, 9), 255), "PNG")).getpixel((1, 1)) == WHITE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_rotation_is_applied_and_counts_in_the_recorded_size(
    kind: str, orientation: int
) -> None:
    image = Image.new("RGB", (40, 20), WHITE)
    image.paste(RED, (0, 0, 20, 20))  # the left half
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    size = (20, 40) if orientation in (6, 8) else (40, 20)
    facts, decoded = inspect_image(data), decode_image(data)
    assert (facts.width, facts.height) == size == decoded.size
    red = {1: (3, 10), 3: (37, 10), 6: (10, 3), 8: (10, 37)}[orientation]
    assert near(decoded.getpixel(red), RED)


def test_a_png_orientation_behind_the_pixels_is_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = encoded(Image.new("RGB", (40, 20)), "PNG")
    chunk = b"eXIf" + exif.tobytes()[6:]
    extra = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = body[:-12] + extra + body[-12:]
    facts = inspect_image(data)
    assert (facts.width, facts.height) == (20, 40) == decode_image(data).size


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, WHITE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert near(decode_image(data).getpixel((5, 5)), RED)
    assert inspect_image(data).width == 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_found(kind: str, share: float) -> None:
    data = encoded(noise(), kind)
    with pytest.raises(BadImage):
        inspect_image(data[: int(len(data) * share)])


def test_a_truncated_jpeg_with_a_thumbnail_is_found() -> None:
    exif = Image.Exif()
    thumbnail = encoded(noise((30, 20)), "JPEG")
    exif[0x010E] = thumbnail.decode("latin1").encode("unicode_escape").decode()[:200]
    data = encoded(noise(), "JPEG", exif=exif.tobytes() + thumbnail)
    assert b"\xff\xd9" in data[: len(data) // 2]
    assert inspect_image(data).width == 300
    with pytest.raises(BadImage):
        inspect_image(data[: len(data) // 2])


def test_a_changed_byte_in_a_png_is_found_by_its_checksum() -> None:
    data = bytearray(encoded(noise(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BadImage):
        inspect_image(bytes(data))


def test_bytes_behind_the_end_do_no_harm() -> None:
    for kind in ("PNG", "JPEG"):
        assert inspect_image(encoded(noise(), kind) + b"trailing").width == 300


def test_the_cheap_check_refuses_nothing_that_a_decoder_shows() -> None:
    """A JPEG whose end marker is missing may still decode: then it is not refused."""
    data = encoded(noise(), "JPEG")
    cut = data[:-2]
    try:
        decode_image(cut)
    except BadImage:
        with pytest.raises(BadImage):
            inspect_image(cut)
    else:
        assert inspect_image(cut).width == 300


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, this is text", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_what_is_no_image_says_so(data: bytes, reason: str) -> None:
    for read in (inspect_image, decode_image):
        with pytest.raises(BadImage, match=reason):
            read(data)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(12_000, 12_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    for read in (inspect_image, decode_image):
        with pytest.raises(BadImage, match="decompression bomb"):
            read(png_header(*size))


def test_the_largest_image_of_the_seven_datasets_is_not_a_bomb() -> None:
    assert images.MAX_PIXELS > 6250 * 9375
    assert inspect_image(encoded(Image.new("1", (6250, 9375)), "PNG")).height == 9375


def test_zero_pixels_are_refused() -> None:
    with pytest.raises(BadImage):
        inspect_image(png_header(0, 10))


def test_a_path_is_read_and_a_missing_one_is_a_bad_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (5, 5), RED), "PNG"))
    assert load_image(path).getpixel((0, 0)) == RED
    with pytest.raises(BadImage, match="cannot be read: No such file"):
        load_image(tmp_path / "b.png")


def test_a_colour_profile_does_not_stop_an_image() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(Image.new("RGB", (9, 9), RED), "PNG", icc_profile=profile)
    assert decode_image(data).getpixel((1, 1)) == RED


def test_damaged_files_of_every_kind_end_as_a_bad_image_or_an_image() -> None:
    """Whatever bytes come, nothing but BadImage is raised."""
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000"):
        data = encoded(noise((40, 30)), kind)
        for position in range(0, len(data), max(1, len(data) // 40)):
            spoilt = bytearray(data)
            spoilt[position] ^= 0xA5
            for read in (inspect_image, decode_image):
                try:
                    read(bytes(spoilt))
                except BadImage:
                    continue


@pytest.mark.parametrize("mode", ["I", "F"])
@pytest.mark.parametrize("levels", [(0, 128, 255), (10, 20, 30), (200, 201, 202)])
def test_deep_grey_with_ordinary_levels_keeps_them(mode: str, levels: tuple[int, ...]) -> None:
    image = Image.new(mode, (3, 1))
    for place, level in enumerate(levels):
        image.putpixel((place, 0), level)
    decoded = decode_image(encoded(image, "TIFF"))
    assert [decoded.getpixel((place, 0))[0] for place in range(3)] == list(levels)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_dark_image_of_16_bits_stays_dark(kind: str) -> None:
    image = Image.new("I;16", (2, 1))
    image.putpixel((0, 0), 255)
    image.putpixel((1, 0), 200)
    decoded = decode_image(encoded(image, kind))
    assert decoded.getpixel((0, 0)) == (1, 1, 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_grey_that_is_no_number_is_refused_in_words(value: float) -> None:
    image = Image.new("F", (2, 1), value)
    with pytest.raises(BadImage, match="not finite"):
        decode_image(encoded(image, "TIFF"))


@pytest.mark.parametrize("pages", [2, 5])
def test_a_tiff_of_several_pages_is_said_to_be_one(pages: int) -> None:
    rest = [Image.new("L", (10, 10), 9)] * (pages - 1)
    data = encoded(Image.new("L", (10, 10)), "TIFF", save_all=True, append_images=rest)
    for look in (inspect_image, decode_image):
        with pytest.raises(BadImage, match=f"a TIFF of {pages} pages"):
            look(data)


NO_IMAGES = {
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n",
    "HTML": b"\xef\xbb\xbf\n <!DOCTYPE html><html><body>404</body></html>",
    "web page": b"<html><head></head></html>",
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "SVG": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"x" * 50,
    "JSON": b'{"error": "no such file"}',
    "ZIP": b"PK\x03\x04" + b"x" * 40,
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_called_what_it_is(kind: str) -> None:
    for look in (inspect_image, decode_image):
        with pytest.raises(BadImage, match=kind):
            look(NO_IMAGES[kind])


CASES = (
    Path(os.environ.get("PIXTRACK_TEST_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
    / "cases" / "images"
)  # fmt: skip


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no case images at {CASES}")
def test_the_cases_from_the_field() -> None:
    refused = {"lfs.png": "Git LFS", "html.png": "HTML", "svg.svg": "SVG", "heic.heic": "HEIC"}
    for path in sorted(CASES.iterdir()):
        if path.name in refused:
            with pytest.raises(BadImage, match=refused[path.name]):
                load_image(path)
        else:
            facts = inspect_image(path.read_bytes())
            assert load_image(path).size == (facts.width, facts.height)
