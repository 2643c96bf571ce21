"""The page that a browser gets first: its title and head, as it is and compressed."""

from __future__ import annotations

import gzip
import http.client

import pytest
import viser

from viewer.server.guard import guarded
from viewer.server.page import FirstPage, first_page, with_our_head


def test_visers_page_is_ours_by_name_and_still_visers() -> None:
    page = first_page().html.decode()
    assert page.count("<title>") == 1
    assert "<title>VMem Viewer</title>" in page
    assert page.index("vmem-opening") < page.index("<script data-p=") < page.index("<body")
    assert gzip.decompress(first_page().gzipped).decode() == page


def test_a_page_without_a_title_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no title"):
        with_our_head("<html></html>")


@pytest.mark.parametrize(("path", "accepted"), [("/", "gzip, br"), ("/index.html?a=1", "")])
def test_the_server_answers_with_it(path: str, accepted: str) -> None:
    with guarded(None, page=lambda: FirstPage(b"ours")):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    connection = http.client.HTTPConnection("127.0.0.1", server.get_port(), timeout=10)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": accepted})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
        server.stop()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert (gzip.decompress(content) if accepted else content) == b"ours"
    assert response.headers["Content-Security-Policy"]
