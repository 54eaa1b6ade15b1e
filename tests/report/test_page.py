"""Our own page, and pages that load nothing."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from harness.report import files, pictures
from harness.report.offline import loads, offline
from harness.report.page import page, write_page
from harness.report.summary import build_summary, conclude
from support.report import chromium, sample

GOOGLE = """<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
    <script>
        window.dataLayer = window.dataLayer || [];
        function gtag(){dataLayer.push(arguments);}
        gtag('js', new Date());
    </script>
"""


class Words(HTMLParser):
    """What a reader sees, in the order of the page, and its ids and links."""

    def __init__(self, html):
        super().__init__()
        self.said, self.ids, self.links, self.closed, self._skip = [], [], [], 0, False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._skip = tag in ("style", "script")
        known = dict(attrs)
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known["href"]] if tag == "a" else []
        self.closed += tag == "details" and "open" not in known

    def handle_endtag(self, tag):
        self._skip = False

    def handle_data(self, data):
        if not self._skip and data.strip():
            self.said.append(" ".join(data.split()))

    @property
    def text(self):
        return " ".join(self.said)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A page of a run with findings, and its words."""
    run_dir = sample.failing().write(tmp_path_factory.mktemp("failing") / "run")
    (run_dir / "journal").mkdir()
    facts = {
        "identity": "uuid:5d8a",
        "files": [{"name": "firmware.bin", "sha256": "9f31" * 16, "about": [["signed by", "the vendor"]]}],
        "calibration": None,
    }
    files.facts_path(run_dir, "nk3-mini").write_text(json.dumps(facts))
    conclude(run_dir)
    pictures.draw_run(run_dir)
    html = write_page(run_dir, ["no Node 20 or newer was found"]).read_text()
    return run_dir, html, Words(html)


def test_it_opens_on_the_verdict(failing):
    _, _, words = failing
    first = words.text[:900]
    assert "FAIL" in first
    assert "model run: simulated key, no vendor firmware executed" in first
    assert "findings against the key, the worst of severity S1" in first
    assert "Nitrokey 3A Mini, firmware v1.8.3" in first
    assert words.text.index("FAIL") < words.text.index("Findings") < words.text.index("Operations")


def test_a_finding_is_one_sentence_with_its_command_and_its_cut_map(failing):
    _, html, words = failing
    assert 'Sign in, cut 3.2 ms after "request sent": attestation certificate lost' in words.said
    assert html.count('class="copy"') == html.count("<code>keyharness replay ") == 2
    assert "keyharness replay kh1:nk3-mini/fido2.get_assertion:20261120:op" in words.text
    inside = {link.removeprefix("#") for link in words.links if link.startswith("#")}
    assert "op-nk3-mini-fido2.get-assertion" in inside
    assert inside <= set(words.ids), "a link of the page leads nowhere"


def test_it_says_what_was_tested_and_what_was_not(failing):
    _, _, words = failing
    for said in (
        "firmware.bin",
        f"sha256 {'9f31' * 16}",
        "signed by: the vendor",
        "uuid:5d8a",
        "late-replay.toml",
    ):
        assert said in words.text
    assert "this key has no such command" in words.text
    assert "conformance/test_admin.py::test_locked[nk3-mini]" in words.text
    assert "Estimated: a twin wears nothing out" in words.text
    assert "CTAPHID_INIT while busy was answered with 0x7F, not 0x06" in words.text
    assert "Allure's page is not here, because no Node 20 or newer was found" in words.text


def test_the_cut_maps_of_all_operations_are_open(failing):
    run_dir, html, words = failing
    shown = re.findall(r'<img alt="([^"]*)" src="data:image/svg\+xml,([^"]*)"', html)
    assert len(shown) == 7
    assert sum(alt.startswith("cut map of ") for alt, _ in shown) == 6
    assert words.closed == 0
    from urllib.parse import unquote

    # The rasters of five operations without a violation are linked: they would double the page.
    links = re.findall(r'<a href="(pictures/[^"]*)">flash raster</a>', html)
    assert len(links) == 5
    drawn = {path: path.read_text() for path in (run_dir / files.PICTURES).glob("*.svg")}
    linked = [drawn.pop(run_dir / unquote(link)) for link in links]
    assert all(body.startswith("<?xml") for body in linked)
    assert sorted(unquote(markup.unescape(body)) for _, body in shown) == sorted(drawn.values())


def test_the_browser_may_run_only_its_own_script(failing):
    _, html, _ = failing
    assert loads(html) == []
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = markup.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1])
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert " on" not in "".join(re.findall(r"<[a-z]+[^>]*\son[a-z]+=", html))


def test_what_a_test_says_is_not_markup(tmp_path):
    made = sample.failing()
    made.results[3]["reason"] = "<script>alert(1)</script>"
    made.results[4] |= {"outcome": "not_offered", "reason": "<b>not offered</b>"}
    made.head["bench"] = '"><img src=//evil>'
    made.head["commit"] = "<u>1</u>"
    made.operations[0]["title"] = "<i>in</i>"
    made.operations[-1]["findings"][0]["text"] = "the <em>PIN</em> was 1 and is 2"
    html = write_page(made.write(tmp_path / "run")).read_text()
    assert html.count("<script") == 1
    for tag in ("<img", "<i>", "<b>not", "<u>", "<em>"):
        assert tag not in html
    assert "&lt;em&gt;PIN&lt;/em&gt; lost" in html
    assert loads(html) == []


@pytest.mark.parametrize(
    "made", [sample.passing(), sample.hardware(bad=0.01, missed=30)], ids=["twin", "hardware"]
)
def test_of_a_summary_alone(tmp_path, made):
    html = page(build_summary(made.write(tmp_path / "run")))
    assert "Allure's page" not in html
    assert loads(html) == []


def test_the_weakest_proof_stands_first(tmp_path):
    made = sample.passing()
    for op, below in zip(made.operations, (0.01, 0.05, None, 0.02)):
        op["exhaustive"] = False
        op["bound"] = {"confidence": 0.99, "below": below} if below else None
    html = page(build_summary(made.write(tmp_path / "run")))
    table = Words(html[html.index('id="operations"') :]).said
    order = [name for name in table if name.startswith("fido2.") and "." in name]
    weakest = [made.operations[at]["operation"] for at in (2, 1, 3, 0)]
    assert order[:4] == weakest
    assert f"weakest proof {weakest[0]}: " in Words(html).text


def test_of_several_rigs_each_says_what_it_is(tmp_path):
    made = sample.hardware()
    made.head["evidence_kind"] = ["hardware", "twin"]
    made.head["rigs"][0]["transport"] = "twin, nrf52840 internal flash"
    made.head["rigs"][1]["transport"] = "USB port 1-1.4"
    words = Words(write_page(made.write(tmp_path / "run")).read_text()).text
    assert words.index("no vendor firmware ran") < words.index("a key does not give its firmware out")
    for rig in ("mini-1", "mini-2"):
        assert f"{rig} fido2.client_pin.change" in words


def test_of_a_folder_with_nothing_in_it(tmp_path):
    html = write_page(tmp_path).read_text()
    assert "INTERRUPTED" in html


@pytest.mark.parametrize("held", ['{"files": 3}', '{"files": [{"name": 1}]}', "[]", "{", '{"identity": {}}'])
def test_damaged_facts_of_a_rig_are_left_out(tmp_path, held):
    run_dir = sample.passing().write(tmp_path / "run")
    (run_dir / "journal").mkdir()
    files.facts_path(run_dir, "nk3-mini").write_text(held)
    assert "no vendor firmware ran" in write_page(run_dir).read_text()


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium to open the page with")
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it_without_a_request_and_prints_it(failing, tmp_path, width):
    """500: Chromium's windows are not narrower."""
    run_dir, html, _ = failing
    probe = "addEventListener('securitypolicyviolation', e => document.title = 'forbidden ' + e.blockedURI)"
    shown = tmp_path / "page.html"
    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    wide = "document.title = document.documentElement.scrollWidth <= innerWidth ? 'fits' : 'too wide'"
    both = f"{probe};{wide}"
    digest = base64.b64encode(hashlib.sha256(both.encode()).digest()).decode()
    html = html.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ", 1)
    shown.write_text(html.replace("</body>", f"<script>{both}</script></body>", 1))
    asked, dom = chromium.opened(shown, tmp_path, f"--window-size={width},900")
    assert asked == set()
    assert "<title>fits</title>" in dom
    paper = tmp_path / "page.pdf"
    chromium.run(run_dir / "index.html", tmp_path, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF-")
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


FRAME = """<iframe src="page.html" width="390" height="3000"></iframe>
<script>addEventListener('message', told => document.title = told.data)</script>"""


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium to open the page with")
def test_a_telephone_cuts_nothing_off(tmp_path):
    """Cards of operations with a long name were wider than the screen. A frame may be narrower than a window."""
    summary = build_summary(sample.hardware().write(tmp_path / "run"))
    for op in summary["operations"]:
        op["operation"] = "fido2.credential_management.update_user.over_and_over_again"
    html = page(summary)
    tell = "parent.postMessage(document.documentElement.scrollWidth <= innerWidth ? 'fits' : 'too wide', '*')"
    digest = base64.b64encode(hashlib.sha256(tell.encode()).digest()).decode()
    html = html.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ", 1)
    (tmp_path / "page.html").write_text(html.replace("</body>", f"<script>{tell}</script></body>", 1))
    (tmp_path / "frame.html").write_text(FRAME)
    _, dom = chromium.opened(tmp_path / "frame.html", tmp_path)
    assert "<title>fits</title>" in dom
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://x.example/a.js"></script>',
        "<script async src='//x.example/a.js'></script>",
        "<SCRIPT defer SRC=http://x.example/a.js></SCRIPT>",
        '<link rel="stylesheet" href="https://x.example/a.css">',
        '<link rel=preconnect href="//x.example">',
        GOOGLE,
    ],
)
def test_what_loads_is_found_and_taken_out(tag):
    html = f"<html><head>{tag}</head><body>{tag}<p>here</p></body></html>"
    assert loads(html)
    clean = offline(html)
    assert loads(clean) == []
    assert "<p>here</p>" in clean
    assert clean.index("Content-Security-Policy") < clean.index("</head>")


@pytest.mark.parametrize(
    "tag",
    [
        '<img src="https://x.example/a.png">',
        '<iframe src="//x.example"></iframe>',
        "<style>@import 'https://x.example/a.css';</style>",
        '<meta http-equiv="refresh" content="0; url=https://x.example">',
        "<svg><image href='http://x.example/a.png'/></svg>",
    ],
)
def test_what_else_would_load_is_found(tag):
    assert loads(f"<html><head></head><body>{tag}</body></html>")


@pytest.mark.parametrize(
    "tag",
    [
        '<a href="https://x.example">a link is followed by hand</a>',
        '<img src="data:image/png;base64,AAAA">',
        '<script src="data:text/javascript;base64,AAAA"></script>',
        "<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        '<img src="pictures/a.svg">',
    ],
)
def test_what_loads_nothing_is_left_alone(tag):
    html = f"<html><head></head><body>{tag}</body></html>"
    assert loads(html) == []
    assert tag in offline(html)
