"""Base 64 for URLs: one text for some bytes, and no other is taken for it."""

import pytest

from gql_server import base64url


@pytest.mark.parametrize(("raw", "text"), [(b"", ""), (b"\xfb", "-w"), (b"\xfb\xff", "-_8"), (b"\xfb\xff\xbf", "-_-_")])
def test_bytes_are_text_without_padding_and_are_read_again(raw: bytes, text: str):
    assert (base64url.encode(raw), base64url.decode(text)) == (text, raw)


@pytest.mark.parametrize("text", ["-w==", "-x", "+w", "-_8\n", "é", "-"])
def test_what_is_not_written_so_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011
        base64url.decode(text)
