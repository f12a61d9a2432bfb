"""Chat messages for endpoints."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixtrack.tasks.images import load_image
from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.inference.prompts.chat import ChatPrompts
from pixtrack.tasks.records import ImageRef, Request


def ref(path: Path) -> ImageRef:
    with Image.open(path) as image:
        return ImageRef("hash", str(path), *image.size)


def url_of(builder: ChatPrompts, request: Request) -> str:
    messages = builder.prompt(builder.draft(request), []).messages or ()
    return str(messages[0]["content"][0]["image_url"]["url"])


def decoded(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_images_come_before_the_text_of_the_first_user_turn(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 5)).save(path)
    request = Request(7, (ref(path), ref(path)), ("First?", "one", "Second?"), "Be exact.")
    builder = ChatPrompts({}, max_images=2)
    prompt = builder.prompt(builder.draft(request), [])
    messages = prompt.messages or ()
    roles = [message["role"] for message in messages]
    assert roles == ["system", "user", "assistant", "user"]
    kinds = [part["type"] for part in messages[1]["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    assert messages[1]["content"][2]["text"] == "First?"
    assert messages[3] == {"role": "user", "content": "Second?"}
    assert prompt.request_id == "7" and prompt.token_ids is None


def test_images_stand_where_the_text_says_in_any_turn(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.png" for name in "abc"]
    for number, path in enumerate(files):
        Image.new("RGB", (4, 5 + number)).save(path)
    layout = (("In ", None, " or ", None, "?"), ("one",), ("And ", None))
    turns = ("In  or ?", "one", "And ")
    request = Request(1, tuple(map(ref, files)), turns, "", layout)
    builder = ChatPrompts({"image_transport": "file"}, max_images=3)
    first, answer, second = builder.prompt(builder.draft(request), []).messages or ()

    def shown(content: list[dict[str, Any]]) -> list[str]:
        return [part.get("text") or part["image_url"]["url"][-5:] for part in content]

    assert shown(first["content"]) == ["In ", "a.png", " or ", "b.png", "?"]
    assert answer == {"role": "assistant", "content": "one"}
    assert shown(second["content"]) == ["And ", "c.png"]


def test_a_question_on_no_image_is_plain_text() -> None:
    builder = ChatPrompts({})
    (message,) = builder.prompt(builder.draft(Request(1, (), ("Why?",))), []).messages or ()
    assert message == {"role": "user", "content": "Why?"}


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "png"), ("a.jpg", "jpeg"), ("a.webp", "webp")]
)
def test_a_plain_file_travels_byte_for_byte(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    Image.new("RGB", (4, 5), "red").save(path)
    url = url_of(ChatPrompts({}), Request(0, (ref(path),), ("?",)))
    assert url.startswith(f"data:image/{kind};base64,")
    assert base64.b64decode(url.partition(",")[2]) == path.read_bytes()


def test_a_plain_file_is_named_where_the_server_reads_files(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    Image.new("L", (4, 5)).save(path)
    url = url_of(ChatPrompts({"image_transport": "file"}), Request(0, (ref(path),), ("?",)))
    assert url == path.resolve().as_uri() and "%20" in url


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4), "blue").save(path, exif=exif)


def transparent(path: Path) -> None:
    Image.new("RGBA", (8, 4), (255, 0, 0, 40)).save(path)


def palette(path: Path) -> None:
    Image.new("P", (8, 4), 3).save(path)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.full((4, 8), 40_000, dtype=np.uint16)).save(path)


def cmyk(path: Path) -> None:
    Image.new("CMYK", (8, 4), (10, 200, 30, 40)).save(path)


@pytest.mark.parametrize("transport", ["data", "file"])
@pytest.mark.parametrize(
    ("write", "name"),
    [
        (rotated, "a.jpg"),
        (transparent, "a.png"),
        (palette, "a.png"),
        (sixteen_bits, "a.png"),
        (cmyk, "a.jpg"),
    ],
)
def test_what_servers_read_differently_is_sent_as_our_engines_see_it(
    tmp_path: Path, write, name, transport
) -> None:
    path = tmp_path / name
    write(path)
    seen = load_image(path)
    request = Request(0, (ImageRef("h", str(path), *seen.size),), ("?",))
    url = url_of(ChatPrompts({"image_transport": transport}), request)
    sent = decoded(url)
    assert sent.mode == "RGB" and sent.format == "PNG"
    assert sent.tobytes() == seen.tobytes()


def test_a_damaged_image_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"nothing")
    request = Request(0, (ImageRef("h", str(path), 1, 1),), ("?",))
    with pytest.raises(RequestRefused, match=r"a\.png"):
        url_of(ChatPrompts({}), request)


def test_too_many_images_are_refused() -> None:
    image = ImageRef("h", "none", 1, 1)
    with pytest.raises(RequestRefused, match="2 images"):
        ChatPrompts({}, max_images=1).draft(Request(0, (image, image), ("?",)))
