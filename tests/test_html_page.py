"""Pages: whatever is put into a template is text."""

import base64
import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from eyebright.html_page import json_in_page, render_page, script_hash


@given(st.text())
def test_json_in_a_page_is_the_same_json_and_ends_no_element(text):
    found = json_in_page({"text": text})
    assert "<" not in found
    assert json.loads(found) == {"text": text}


def test_a_script_is_named_by_its_hash():
    digest = base64.b64encode(hashlib.sha256(b"let x = 1;").digest()).decode()
    assert script_hash("let x = 1;") == f"sha256-{digest}"


def test_values_are_escaped_and_names_that_are_no_text_are_shown():
    page = render_page(
        "eyebright.report",
        "again.html",
        ways_back=[("<b>", "\udce9 & \"'")],
        results={"weights_sha256": ""},
        environment=[],
    )
    assert "<dt>&lt;b&gt;</dt>" in page.decode()
    assert "<code>\\udce9 &amp; &#34;&#39;</code>" in page.decode()
