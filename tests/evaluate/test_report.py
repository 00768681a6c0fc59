import base64
import hashlib
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from stages import tables
from stages.clean.rules import RULES
from stages.evaluate import report
from stages.evaluate.pictures import Pictures
from stages.images import decode
from stages.records import Frame, Item, Point, Quality, Recommendation, Region, Ruling, Score

SCORES = [
    Score(
        id="heldout_loss",
        metric="heldout_loss",
        arm="adapter",
        clusters=3,
        unit="group",
        definition="0" * 16,
        base=0.123456,
        adapter=0.1,
        delta=-0.023456,
        low=-0.03,
        high=-0.01,
        count=3,
        better="lower",
        verdict="better",
    ),
    Score(
        id="psnr_round_trip",
        metric="psnr_round_trip",
        arm="adapter",
        clusters=3,
        unit="group",
        definition="0" * 16,
        base=12.0,
        adapter=None,
        delta=None,
        low=11.0,
        high=13.0,
        count=3,
        better="higher",
        verdict="",
    ),
]

CHOSEN = Recommendation(id="adapter", reason="heldout_loss 0.1, the best of 1")


class Tags(HTMLParser):
    """Every tag of a page, and its attributes."""

    def __init__(self):
        super().__init__()
        self.tags = set()
        self.attributes = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


@pytest.fixture(scope="module")
def sources(tiny_upstream, tiny_prepared, tiny_trained):
    named = ("crawled", "frames", "measured", "cleaned", "anonymised")
    return report.Sources(
        **{name: tiny_upstream / name for name in named}, prepared=tiny_prepared, trained=tiny_trained
    )


@pytest.fixture(scope="module")
def pictures(tiny_prepared, tiny_generated):
    return Pictures(tiny_prepared, tiny_generated)


@pytest.fixture(scope="module")
def html(sources, pictures):
    return report.page(sources, SCORES, CHOSEN, pictures)


@pytest.fixture(scope="module")
def parsed(html):
    tags = Tags()
    tags.feed(html)
    return tags


@pytest.fixture(scope="module")
def embedded(parsed):
    """All pictures that the page holds."""
    sources = [value for name, value in parsed.attributes if name == "src"]
    return [decode(base64.b64decode(source.removeprefix("data:image/png;base64,"))) for source in sources]


def test_the_page_asks_nothing_of_the_network(html, parsed):
    loading = ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href")
    loaded = [value for name, value in parsed.attributes if name in loading]
    assert loaded
    assert all(value.startswith("data:image/png;base64,") for value in loaded)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & parsed.tags
    assert not re.search(r"url\(|@import", html)
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]


def test_on_a_narrow_screen_every_number_of_a_score_keeps_its_name(html, parsed):
    table = html[html.index('<table class="scores">') : html.index("</table>")]
    names = ["base", "adapter", "adapter − base", "95 % interval", "pictures", "better is"]
    assert re.findall('data-label="(.*?)"', table) == names * len(SCORES)
    assert "@media (max-width: 800px)" in html


def test_hostile_titles_and_addresses_are_escaped(html, parsed):
    assert "&lt;script&gt;alert(" in html
    assert "<script" not in html
    assert "https://a.test/&lt;b&gt;: HTTP 404" in html
    assert "by A &amp; B, CC0-1.0" in html


def test_what_was_refused_for_its_rights_is_named_and_not_shown(html, embedded):
    assert "licence unknown: 1" in html
    refused = hashlib.sha256(b"licence unknown").hexdigest()
    assert html.count(f"id {refused}") == 1  # so that who looks at it can name it
    assert not [picture for picture in embedded if (picture == (255, 0, 255)).all(axis=-1).any()]


def test_what_was_refused_for_its_quality_is_shown(html, embedded):
    assert "small: 2" in html
    assert [picture for picture in embedded if (picture == (0, 255, 255)).all()]


def test_a_face_that_was_refused_for_its_quality_is_named_and_not_shown(html, sources, pictures, tmp_path):
    face = Region(left=0, top=0, width=4, height=4, score=1.0, landmarks=())
    seen = [replace(each, faces=(face,)) for each in tables.read(sources.measured, Quality)]
    tables.write(tmp_path, Quality, seen)
    page = report.page(replace(sources, measured=tmp_path), SCORES, CHOSEN, pictures)
    assert html.count('alt="refused: small"') == 2
    assert "small: 2" in page
    assert 'alt="refused:' not in page


def test_a_refused_line_of_one_pixel_is_shown_as_a_line(embedded):
    assert [picture.shape for picture in embedded if picture.shape[0] == 1] == [(1, 96, 3)]


def test_a_refused_file_that_is_no_picture_is_shown_as_a_blank():
    assert report._thumbnail(b"no picture").shape == (8, 8, 3)


def test_every_rule_on_quality_is_shown_but_nakedness():
    assert set(report.QUALITY_REASONS) == {rule.reason for rule in RULES} - {"nsfw"} | {"twin", "lookalike"}


def test_only_reasons_of_quality_are_shown():
    assert not [reason for reason in report.QUALITY_REASONS if "licence" in reason or "opted" in reason]


def test_both_arms_and_the_real_pictures_stand_below_each_other(html, embedded, pictures):
    assert html.count('alt="generated by the base"') == html.count('alt="generated by the adapter"') == 6
    assert html.count('alt="held-out picture"') == 3
    for arm in ("base", "adapter"):
        drawn = [pictures.drawn(each) for each in pictures.by_arm(arm, "subject")]
        assert all(any(np.array_equal(one, picture) for picture in embedded) for one in drawn)


def test_every_score_has_its_numbers_and_its_verdict(html):
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in html.split("<tr>")]
    assert (
        "heldout_loss 0.1235 0.1 -0.02346 -0.03 … -0.01 3 lower better (only 3 groups: the interval may be too short)"
        in rows
    )
    assert any(row.startswith("psnr_round_trip 12 – – 11 … 13 3 higher") for row in rows)


def test_the_funnel_counts_every_stage(html):
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in html.split("<tr>")]
    assert any(row.startswith("crawl 15 https://a.test/&lt;b&gt;: HTTP 404") for row in rows)
    assert "frames 15" in rows
    assert "clean 12 1 licence unknown, 2 small" in rows
    assert any(row.startswith("anonymise 1 ") for row in rows)
    assert any(
        row.startswith("prepare 12 2 prior heldout, 3 prior train, 3 subject heldout, 4 subject train") for row in rows
    )


def test_credits_name_the_pictures_that_were_used_and_no_others(html, sources, pictures):
    used = {row.frame for row in pictures.samples}
    credit = html[html.index("<h2>Credits</h2>") :]
    assert "12 pictures were used" in credit
    for frame in tables.read(sources.frames, Frame):
        assert (f"https://a.test/{frame.item[:8]}.png" in credit) == (frame.id in used)


def test_licences_are_counted_over_the_pictures_that_were_used(html):
    rights = html[html.index("<h2>Rights</h2>") : html.index("<h2>Credits</h2>")]
    assert '<tr><td>CC0-1.0</td><td class="n">12</td></tr>' in rights
    assert "unknown" not in rights
    assert "none of the known licences asks for anything" in rights


def test_duties_and_consents_are_named(sources, pictures, tmp_path):
    shutil.copytree(sources.crawled, tmp_path / "crawled")
    items = tables.read(sources.crawled, Item)
    others = [replace(each, licence="CC-BY-SA-4.0" if each.licence else "", consent="r-1") for each in items]
    tables.write(tmp_path / "crawled", Item, others)
    html = report.page(replace(sources, crawled=tmp_path / "crawled"), SCORES, CHOSEN, pictures)
    assert "<li>share adaptations under the same licence: CC-BY-SA-4.0</li>" in html
    assert "<li>name the sources: CC-BY-SA-4.0</li>" in html
    assert 'consent <code>r-1</code>: <span class="worse">does not count</span>, there is no such record' in html
    assert "asks for anything" not in html


def test_the_policy_is_named_and_what_it_bars(html, sources, pictures, tmp_path, tiny_ruling):
    assert f"policy <code>studio</code> (SHA-256 <code>{'5' * 64}</code>); the declared use is commercial" in html
    assert "not for publication" not in html
    shutil.copytree(sources.cleaned, tmp_path / "cleaned")
    tables.write(tmp_path / "cleaned", Ruling, [replace(tiny_ruling, publish=False)])
    barred = report.page(replace(sources, cleaned=tmp_path / "cleaned"), SCORES, CHOSEN, pictures)
    assert '<b class="worse">not for publication</b>' in barred


def test_redacted_pictures_are_shown(html):
    assert html.count('alt="picture with a redacted face"') == 1


def test_a_curve_goes_from_its_first_point_to_its_last():
    points = [
        Point(id=str(step), step=step, loss=loss, rate=0.0, heldout_loss=None, prior_loss=2.0)
        for step, loss in ((0, 0.0), (5, 3.0), (10, 1.0))
    ]
    curve = report._curve("training loss", points, "loss")
    assert (curve["first"], curve["last"], curve["steps"]) == (3.0, 1.0, 10)
    assert curve["path"] == "150.0,5.0 300.0,95.0"
    assert report._curve("held-out", points, "heldout_loss")["path"] == ""
    assert report._curve("flat", points, "prior_loss")["path"] == "0.0,95.0 150.0,95.0 300.0,95.0"


def test_the_same_run_gives_the_same_page(html, sources, pictures):
    assert report.page(sources, SCORES, CHOSEN, pictures) == html


def test_without_a_prior_the_page_says_so(sources, pictures, tiny_prepared, tiny_generated):
    alone = Pictures(tiny_prepared, tiny_generated)
    alone.generations = [each for each in alone.generations if each.role == "subject"]
    assert "There were no pictures of anything but the subject" in report.page(sources, SCORES, CHOSEN, alone)


def test_the_grid_has_base_adapter_and_real_in_three_rows(pictures):
    sheet = report.grid(pictures)
    assert sheet.shape == (3 * 20, report.COLUMNS * 20, 3)
    for down, arm in enumerate(("base", "adapter")):
        first = pictures.drawn(pictures.by_arm(arm, "subject")[0])
        assert np.array_equal(sheet[20 * down : 20 * down + 16, :16], first)
    real = pictures.real(pictures.plain("subject", "heldout")[0])
    assert np.array_equal(sheet[40:56, :16], real)


def test_both_rows_of_the_grid_have_the_same_seeds(pictures):
    base, adapter = (pictures.by_arm(arm, "subject") for arm in ("base", "adapter"))
    assert [(each.prompt, each.seed) for each in base] == [(each.prompt, each.seed) for each in adapter]


def test_variants_are_not_shown_as_real_pictures(pictures, tiny_prepared, tiny_generated):
    more = Pictures(tiny_prepared, tiny_generated)
    more.samples = [*more.samples, *(replace(row, variant=1) for row in more.samples)]
    assert more.plain("subject", "heldout") == pictures.plain("subject", "heldout")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.123456, "0.1235"), (1234.56, "1235"), (100.0, "100"), (-2.5e-7, "-2.5e-07")],
)
def test_numbers_have_four_digits_and_nothing_is_a_dash(value, text):
    assert report.number(value) == text
