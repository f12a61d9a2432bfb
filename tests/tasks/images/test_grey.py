"""Grey of more than eight bits: its levels stay, whatever the file says of them."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from pixtrack.tasks.images import BadImage, decode_image, inspect_image


def encoded(image: Image.Image, kind: str = "TIFF") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def grey(mode: str, values: list[float]) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def levels(data: bytes) -> list[int]:
    image = decode_image(data)
    assert inspect_image(data).width == image.width
    return [image.getpixel((x, 0))[0] for x in range(image.width)]  # type: ignore[index]


def tiff(bits: int, row: bytes, *, width: int, order: str = "<", **tags: int) -> bytes:
    """An uncompressed grey TIFF of one row, made by hand: Pillow does not write every kind."""
    values = {
        256: width, 257: 1, 258: bits, 259: 1, 262: tags.get("photometric", 1), 273: 0, 277: 1,
        278: 1, 279: len(row), 339: tags.get("samples", 1),
    }  # fmt: skip
    values[273] = 8 + 2 + 12 * len(values) + 4
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in values.items()
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(values)) + entries + struct.pack("<I", 0) + row


@pytest.mark.parametrize("mode", ["I", "F"])
@pytest.mark.parametrize("values", [[0, 128, 255], [10, 20, 30], [200, 201, 202], [2, 2, 255]])
def test_32_bits_with_ordinary_levels_keep_them(mode: str, values: list[float]) -> None:
    assert levels(encoded(grey(mode, values))) == values


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535, 1_000_000])
@pytest.mark.parametrize("mode", ["I", "F"])
def test_white_of_usual_depths_is_white_in_32_bits(mode: str, white: int) -> None:
    shown = levels(encoded(grey(mode, [0, white // 2, white])))
    assert shown[0] == 0 and abs(shown[1] - 127) <= 1 and shown[2] == 255


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([0, 0.25, 0.5, 1], [0, 64, 128, 255]), ([0, 0.5, 1.02], [0, 128, 255]),
     ([-0.01, 0.5, 0.9], [0, 128, 230]), ([0, 0], [0, 0])],
)  # fmt: skip
def test_shares_of_white_are_scaled_also_where_resampling_went_over(
    values: list[float], wanted: list[int]
) -> None:
    assert levels(encoded(grey("F", values))) == wanted


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_are_scaled_as_such_and_a_dark_image_stays_dark(kind: str) -> None:
    wanted = [0, 64, 128, 255]
    assert levels(encoded(grey("I;16", [257 * v for v in wanted]), kind)) == wanted
    assert levels(encoded(grey("I;16", [0, 255, 400]), kind)) == [0, 1, 2]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [16, 32])
def test_either_byte_order_is_read(order: str, bits: int) -> None:
    scale = 257 if bits == 16 else 1
    row = struct.pack(f"{order}3{'H' if bits == 16 else 'i'}", 0, 64 * scale, 255 * scale)
    samples = 1 if bits == 16 else 2
    assert levels(tiff(bits, row, width=3, order=order, samples=samples)) == [0, 64, 255]


@pytest.mark.parametrize(("bits", "samples", "code"), [(16, 1, "H"), (32, 3, "f")])
def test_a_scan_of_which_0_is_white_is_not_shown_as_its_negative(
    bits: int, samples: int, code: str
) -> None:
    scale = 257 if bits == 16 else 1
    row = struct.pack(f"<3{code}", 0, 64 * scale, 255 * scale)
    data = tiff(bits, row, width=3, samples=samples, photometric=0)
    assert all(abs(a - b) <= 1 for a, b in zip(levels(data), [255, 191, 0], strict=True))


def test_12_bits_are_12_bits() -> None:
    assert levels(tiff(12, bytes([0, 0x08, 0, 0xFF, 0xFF, 0xFF]), width=4)) == [0, 128, 255, 255]


def test_32_bits_without_a_sign_go_to_their_end() -> None:
    row = struct.pack("<4I", 0, 2**30, 2**31, 2**32 - 1)
    assert levels(tiff(32, row, width=4)) == [0, 64, 128, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_value_that_is_no_number_is_refused_in_words(value: float, where: int) -> None:
    values = [0.0, 0.5, 1.0]
    values[where] = value
    for read in (inspect_image, decode_image):
        with pytest.raises(BadImage, match="not finite"):
            read(encoded(grey("F", values)))
