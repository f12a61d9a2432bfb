"""Images as the model sees them, and the defects that are found without decoding."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

from pixtrack.tasks import images
from pixtrack.tasks.images import BadImage, decode_image, inspect_image, load_image
from tests.shared import SHARED, needs_shared

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


@pytest.mark.parametrize("pages", [2, 5])
def test_a_tiff_of_several_pages_is_said_to_be_one(pages: int) -> None:
    rest = [Image.new("L", (10, 10), 9)] * (pages - 1)
    data = encoded(Image.new("L", (10, 10)), "TIFF", save_all=True, append_images=rest)
    for look in (inspect_image, decode_image):
        with pytest.raises(BadImage, match=f"a TIFF of {pages} pages"):
            look(data)


@pytest.mark.parametrize("preview_first", [True, False])
def test_a_preview_is_no_page_of_a_tiff(preview_first: bool) -> None:
    page, preview = Image.new("RGB", (40, 20), RED), Image.new("RGB", (4, 2), WHITE)
    page.encoderinfo, preview.encoderinfo = {"tiffinfo": {254: 0}}, {"tiffinfo": {254: 1}}
    first, second = (preview, page) if preview_first else (page, preview)
    data = encoded(first, "TIFF", save_all=True, append_images=[second], **first.encoderinfo)
    facts, decoded = inspect_image(data), decode_image(data)
    assert (facts.width, facts.height) == decoded.size == (40, 20)
    assert decoded.getpixel((5, 5)) == RED


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_says_how_many_frames_it_has(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), (n * 60, 9, 9)) for n in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert inspect_image(data).frames == 3
    assert inspect_image(encoded(frames[0], kind)).frames == 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white_at_every_depth(depth: int) -> None:
    """Four pixels, of which the second is the transparent one, in a PNG made by hand."""
    levels = {1: [0, 1, 0, 1], 2: [0, 1, 2, 3], 4: [0, 7, 8, 15]}
    values = levels.get(depth, [n * ((1 << depth) - 1) // 3 for n in range(4)])
    row = int("".join(f"{value:0{depth}b}" for value in values).ljust(8, "0"), 2)
    data = png(4, depth, row.to_bytes(max(1, depth * 4 // 8), "big"), b"tRNS", values[1])
    shown = [decode_image(data).getpixel((x, 0))[0] for x in range(4)]  # type: ignore[index]
    white = (1 << depth) - 1
    wanted = [255 if v == values[1] else v * 255 / white for v in values]
    assert all(abs(a - b) <= 1 for a, b in zip(shown, wanted, strict=True)), (shown, wanted)


def png(width: int, depth: int, row: bytes, kind: bytes, value: int) -> bytes:
    """A grey PNG of one row, with one more chunk that holds a number of 16 bits."""

    def chunk(name: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + crc

    header = struct.pack(">IIBBBBB", width, 1, depth, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(kind, struct.pack(">H", value)),
            chunk(b"IDAT", zlib.compress(b"\0" + row)),
            chunk(b"IEND", b""),
        )
    )


def test_what_preparing_takes_asking_takes_too() -> None:
    """A fault that only the conversion to RGB meets is met when the image is prepared."""
    data = encoded(Image.new("F", (9, 9), float("nan")), "TIFF")
    for read in (inspect_image, decode_image):
        with pytest.raises(BadImage, match="not finite"):
            read(data)


@needs_shared("cases/images")
def test_the_cases_from_the_field() -> None:
    refused = {"lfs.png": "Git LFS", "html.png": "HTML", "svg.svg": "SVG", "heic.heic": "HEIC"}
    for path in sorted((SHARED / "cases" / "images").iterdir()):
        if path.name in refused:
            with pytest.raises(BadImage, match=refused[path.name]):
                load_image(path)
        else:
            facts = inspect_image(path.read_bytes())
            assert load_image(path).size == (facts.width, facts.height)


@needs_shared("benchmarks/photographs")
def test_photographs_are_shown_as_pillow_decodes_them_turned_as_the_camera_was() -> None:
    paths = sorted((SHARED / "benchmarks" / "photographs").iterdir())
    for path in paths:
        facts, shown = inspect_image(path.read_bytes()), load_image(path)
        with Image.open(path) as opened:
            wanted = ImageOps.exif_transpose(opened).convert("RGB")
        assert shown.size == wanted.size == (facts.width, facts.height), path.name
        assert ImageChops.difference(shown, wanted).getbbox() is None, path.name
    assert len(paths) == 18
