import base64
import hashlib
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from stages import tables
from stages.evaluate.pictures import Pictures
from stages.evaluate.report.page import Judgement, render
from stages.images import decode
from stages.records import Confusion, Frame, Item, PictureScore, Quality, Recommendation, Region, Ruling

PNG = "data:image/png;base64,"
CREDITS = '<h2 id="credits">Credits</h2>'
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
def found(score, pictures):
    ceiling = {"adapter": None, "delta": None, "base": 12.0, "low": 11.0, "high": 13.0}
    rows = [score(), score("psnr_round_trip", better="higher", verdict="", **ceiling)]
    losses = [
        PictureScore(id=f"{arm} {each.id}", metric="heldout_loss", arm=arm, sample=each.id, value=value)
        for arm, value in (("base", 0.5), ("adapter", 0.25))
        for each in (*pictures.plain("subject", "heldout"), *pictures.plain("prior", "heldout"))
    ]
    return Judgement(scores=rows, of_pictures=losses, confusions=[], chosen=CHOSEN, copy_factor=0.5)


@pytest.fixture(scope="module")
def html(sources, found, pictures):
    return render(sources, found, pictures)


@pytest.fixture(scope="module")
def parsed(html):
    tags = Tags()
    tags.feed(html)
    return tags


@pytest.fixture(scope="module")
def embedded(parsed):
    """All pictures that the page holds."""
    sources = [value for name, value in parsed.attributes if name == "src"]
    return [decode(base64.b64decode(source.removeprefix(PNG))) for source in sources]


def test_the_page_asks_nothing_of_the_network(html, parsed):
    loading = ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href")
    loaded = [value for name, value in parsed.attributes if name in loading]
    assert {value.split(",")[0] for value in loaded if value.startswith("data:")} == {PNG.removesuffix(",")}
    within = {value[1:] for value in loaded if not value.startswith("data:")}
    assert within <= {value for name, value in parsed.attributes if name == "id"}  # links within the page
    assert len(within) > 5
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & parsed.tags
    assert not re.search(r"url\(|@import", html)
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]


def test_on_a_narrow_screen_every_number_of_a_score_keeps_its_name(html, parsed):
    table = html[html.index('<table class="scores">') :]
    names = ["base", "adapter", "adapter − base", "95 % interval", "pictures", "better is"]
    assert re.findall('data-label="(.*?)"', table) == names * 2
    assert "@media (max-width: 800px)" in html


def test_what_the_judge_took_for_what_is_shown_for_the_base_and_the_chosen_arm(html, sources, found, pictures):
    rows = [
        Confusion(id=f"{arm} {asked} {seen}", arm=arm, asked=asked, seen=seen, count=count)
        for arm, asked, seen, count in (("base", "a", "b", 7), ("adapter", "a", "a", 41), ("adapter", "<c>", "a", 3))
    ]
    page = render(sources, replace(found, confusions=rows), pictures)
    assert "What the judge took the pictures for" in page
    assert page.count('<table class="confusions">') == 2
    assert '<td class="n"><b>41</b></td>' in page
    assert '<th scope="row">&lt;c&gt;</th>' in page
    assert "What the judge took the pictures for" not in html


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


def test_a_face_that_was_refused_for_its_quality_is_named_and_not_shown(html, sources, found, pictures, tmp_path):
    face = Region(left=0, top=0, width=4, height=4, score=1.0, landmarks=())
    seen = [replace(each, faces=(face,)) for each in tables.read(sources.measured, Quality)]
    tables.write(tmp_path, Quality, seen)
    page = render(replace(sources, measured=tmp_path), found, pictures)
    assert html.count('alt="refused: small"') == 2
    assert "small: 2" in page
    assert 'alt="refused:' not in page


def test_a_refused_line_of_one_pixel_is_shown_as_a_line(embedded):
    assert [picture.shape for picture in embedded if picture.shape[0] == 1] == [(1, 96, 3)]


def test_every_arm_stands_beside_the_real_pictures(html, embedded, pictures):
    assert html.count(', base">') == html.count(', adapter">') == 10  # six of the subject, four of the prior
    assert html.count('alt="held-out picture: ') == 3 + 2 + 3  # of the subject, of the prior, the worst
    for arm in ("base", "adapter"):
        drawn = [pictures.drawn(each) for each in pictures.by_arm(arm, "subject")]
        assert all(any(np.array_equal(one, picture) for picture in embedded) for one in drawn)


def test_the_verdict_comes_first_and_says_what_to_take(html):
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<h1>") : html.index("<nav")]))
    assert "Better than the base by 1 of 1 measures (heldout_loss)" in said
    assert "Take the end of training: heldout_loss 0.1, the best of 1." in said
    assert html.index('class="verdict') < html.index("<img")


def test_checkpoints_are_columns_between_base_and_end(sources, found, score, with_checkpoints):
    rows = [*found.scores, score(arm="step-00000009", adapter=0.11), score(arm="step-00000010", adapter=0.09)]
    chosen = Recommendation(id="step-00000010", reason="heldout_loss 0.09, the best of 3")
    losses = [replace(each, arm=chosen.id) for each in found.of_pictures if each.arm == "adapter"]
    better = replace(found, scores=rows, chosen=chosen, of_pictures=[*found.of_pictures, *losses])
    html = render(sources, better, with_checkpoints)
    head = html[html.index("<thead>") : html.index("</thead>")]
    names = re.findall(r"<th [^>]*>(.*?)</th>", head)
    assert names == ["base", "step 9", "step 10<small>recommended</small>", "adapter", "real"]
    assert "Take step 10: heldout_loss 0.09, the best of 3." in html
    assert '<line class="base"' in html


def test_all_that_scrolls_is_reached_by_the_keyboard_and_has_a_name(html):
    scrolled = re.findall(r'<div class="scroll"[^>]*>', html)
    assert len(scrolled) >= 3
    assert all('tabindex="0" role="region" aria-label=' in each for each in scrolled)
    assert html.index('class="skip"') < html.index("<main>")


def test_every_picture_is_described(html):
    assert not re.findall(r'<img (?![^>]*alt="[^"]+")', html)


def test_the_page_knows_the_dark_and_paper(html):
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_every_score_has_its_numbers_and_its_verdict(html):
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in html.split("<tr>")]
    assert (
        "heldout_loss denoising loss on real pictures of the subject that no training saw 0.1235 0.1 -0.02346 -0.03 … -0.01 3 lower better (only 3 groups: true if others vary by the normal law)"
        in rows
    )
    assert any(
        row.startswith(
            "psnr_round_trip PSNR of the autoencoder alone, in dB: the ceiling of what any adapter reaches 12 – – 11 … 13 3 higher"
        )
        for row in rows
    )


def test_the_funnel_counts_every_stage(html):
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in html.split("<tr>")]
    assert any(row.startswith("crawl 15 https://a.test/&lt;b&gt;: HTTP 404") for row in rows)
    assert "frames 15" in rows
    assert "clean 12 1 licence unknown, 2 small" in rows
    assert any(row.startswith("anonymise 1 ") for row in rows)
    assert any(
        row.startswith("prepare 12 2 prior heldout, 3 prior train, 3 subject heldout, 4 subject train") for row in rows
    )


def test_credits_name_the_pictures_that_were_used_and_no_others(html, sources, found, pictures):
    used = {row.frame for row in pictures.samples}
    credit = html[html.index(CREDITS) :]
    assert "12 pictures were used" in credit
    for frame in tables.read(sources.frames, Frame):
        assert (f"https://a.test/{frame.item[:8]}.png" in credit) == (frame.id in used)


def test_licences_are_counted_over_the_pictures_that_were_used(html):
    rights = html[html.index("<h2>Rights</h2>") : html.index(CREDITS)]
    assert '<tr><td>CC0-1.0</td><td class="n">12</td></tr>' in rights
    assert "unknown" not in rights
    assert "none of the known licences asks for anything" in rights


def test_duties_and_consents_are_named(sources, found, pictures, tmp_path):
    shutil.copytree(sources.crawled, tmp_path / "crawled")
    items = tables.read(sources.crawled, Item)
    others = [replace(each, licence="CC-BY-SA-4.0" if each.licence else "", consent="r-1") for each in items]
    tables.write(tmp_path / "crawled", Item, others)
    html = render(replace(sources, crawled=tmp_path / "crawled"), found, pictures)
    assert "<li>share adaptations under the same licence: CC-BY-SA-4.0</li>" in html
    assert "<li>name the sources: CC-BY-SA-4.0</li>" in html
    assert 'consent <code>r-1</code>: <span class="worse">does not count</span>, there is no such record' in html
    assert "asks for anything" not in html


def test_the_policy_is_named_and_what_it_bars(html, sources, found, pictures, tmp_path, tiny_ruling):
    assert f"policy <code>studio</code> (SHA-256 <code>{'5' * 64}</code>); the declared use is commercial" in html
    assert "not for publication" not in html
    shutil.copytree(sources.cleaned, tmp_path / "cleaned")
    tables.write(tmp_path / "cleaned", Ruling, [replace(tiny_ruling, publish=False)])
    barred = render(replace(sources, cleaned=tmp_path / "cleaned"), found, pictures)
    assert '<b class="worse">not for publication</b>' in barred


def test_redacted_pictures_are_shown(html):
    assert html.count('alt="picture with a redacted face"') == 1


def test_the_same_run_gives_the_same_page(html, sources, found, pictures):
    assert render(sources, found, pictures) == html


def test_without_a_prior_the_page_says_so(sources, found, pictures, tiny_prepared, tiny_generated):
    alone = Pictures(tiny_prepared, tiny_generated)
    alone.generations = [each for each in alone.generations if each.role == "subject"]
    assert "There were no pictures of anything but the subject" in render(sources, found, alone)


def test_variants_are_not_shown_as_real_pictures(pictures, tiny_prepared, tiny_generated):
    more = Pictures(tiny_prepared, tiny_generated)
    more.samples = [*more.samples, *(replace(row, variant=1) for row in more.samples)]
    assert more.plain("subject", "heldout") == pictures.plain("subject", "heldout")
