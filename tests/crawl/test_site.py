"""The sample web site is always the same, and has the traps that it promises."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import specimens
from stages.crawl import pages, signals, site, sitemaps
from stages.images import decode
from stages.web import robots

HOME = f"http://{site.HOST}"
ROOT = Path(__file__).resolve().parents[2]


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], answer.read()


@pytest.mark.parametrize("kind", ["photographs", "digits", "turned digits"])
def test_building_twice_gives_the_same_bytes(kind):
    assert site.build(kind) == site.build(kind)


def test_another_process_builds_the_same_bytes(photographs):
    program = "from stages.crawl import site; import sys; sys.stdout.write(site.digest(site.build('photographs')))"
    built = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert built.stdout == site.digest(photographs)


def test_the_digest_changes_with_any_answer(photographs):
    changed = {**photographs, "/": site.Resource(body=b"", type="text/html")}
    assert site.digest(changed) != site.digest(photographs)
    assert site.digest(dict(reversed(photographs.items()))) == site.digest(photographs)


def test_pages_of_the_subject_share_no_pixel_and_stay_inside_the_photograph():
    height, width = specimens.photograph(site.SUBJECT).shape[:2]
    covered = np.zeros((height, width), dtype=int)
    for page in range(site.TILES[0] * site.TILES[1]):
        left, top, right, bottom = site.tile_box(page)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1
    assert covered.mean() > 0.98


def test_no_shipped_base_has_seen_the_subject():
    family = yaml.safe_load((ROOT / "conf/family/tiny.yaml").read_text())
    assert site.SUBJECT not in family["origin"]["subjects"]
    assert set(site.KNOWN) | {"astronaut"} <= set(family["origin"]["subjects"])


def test_every_linked_page_and_shown_picture_exists(photographs):
    waiting, seen = ["/", site.UNLINKED], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if photographs[path].type.startswith("text/html"):
            page = pages.read(photographs[path].body, f"http://{site.HOST}{path}", {})
            waiting += [each.removeprefix(HOME) for each in page.links if each.startswith(HOME)]
            waiting += [each.url.removeprefix(HOME) for each in page.pictures]
    assert seen == set(photographs) - {"/robots.txt", "/sitemap.xml", "/.well-known/tdmrep.json"}


def test_every_picture_can_be_decoded_but_the_one_cut_off(photographs):
    pictures = [path for path, resource in photographs.items() if resource.type == "image/jpeg"]
    broken = []
    for path in pictures:
        try:
            decode(photographs[path].body)
        except Exception:  # noqa: BLE001 - whatever it is, only one may do it
            broken.append(path)
    assert broken == ["/broken/cut.jpg"]
    assert len(pictures) == 105  # 104 that a polite crawler gets, and the forbidden one


def test_its_robots_txt_forbids_the_private_folder_only(photographs):
    rules = robots.parse(photographs["/robots.txt"].body, "Darkroom")
    assert [path for path in photographs if not rules.allows(path)] == ["/private/index.html", "/private/coffee.jpg"]


def test_the_sitemap_names_the_page_that_is_not_linked(photographs):
    listed, more = sitemaps.read(photographs["/sitemap.xml"].body)
    assert (listed, more) == ([f"{HOME}{site.UNLINKED}"], False)
    assert site.UNLINKED.encode() not in photographs["/"].body


def test_three_pictures_are_kept_from_training_each_by_another_signal(photographs):
    rules = robots.parse(photographs["/robots.txt"].body, "Darkroom")
    said = {path for path in photographs if signals.of_robots(rules, path, scope="picture")}
    assert said == {"/signal/index.html", "/signal/coffee.jpg"}
    file = photographs["/.well-known/tdmrep.json"].body
    assert {path for path in photographs if signals.tdm_rule(file, path)} == {
        "/reserved/index.html",
        "/reserved/coins.jpg",
    }
    assert [path for path, each in photographs.items() if each.headers] == ["/usage/rocket.jpg"]


def test_headers_of_a_resource_are_sent():
    resource = site.Resource(body=b"here", type="text/plain", headers=(("Content-Usage", "train-ai=n"),))
    with site.served({"/": resource}) as address, urllib.request.urlopen(f"http://{address}/") as answer:
        assert answer.headers["Content-Usage"] == "train-ai=n"


def test_the_forbidden_page_is_linked(photographs):
    assert b'href="/private/index.html"' in photographs["/"].body


def test_the_portrait_shows_the_astronauts_face_and_the_suit_does_not(photographs):
    face = specimens.crop(specimens.photograph("astronaut"), (60, 0, 360, 240))
    portrait = decode(photographs["/astronaut/portrait-1.jpg"].body)
    assert portrait.shape == face.shape
    assert np.abs(portrait.astype(int) - face).mean() < 3


def test_what_is_not_there_answers_404():
    with site.served({"/": site.Resource(body=b"here", type="text/plain")}) as address:
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            get(address, "/other")
        caught.value.close()
        assert get(address, "/") == (200, "text/plain", b"here")


def test_a_page_that_stumbles_answers_500_as_often_as_it_says():
    with site.served({"/": site.Resource(body=b"here", type="text/plain", stumbles=2)}) as address:
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError, match="500") as caught:
                get(address, "/")
            caught.value.close()
        assert get(address, "/")[0] == 200


def test_the_site_of_digits_shows_every_reserved_nine_and_no_other_reserved_digit():
    digits, labels = site.build("digits"), specimens.digits()[1]
    reserved = specimens.reserved_digits(labels)
    shown = {int(path[-8:-4]): path.split("/")[1] for path in digits if path.endswith(".png")}
    assert all(specimens.DIGITS[labels[place]] == word for place, word in shown.items())
    assert {place for place in shown if labels[place] == 9} == set(np.flatnonzero(labels == 9).tolist())
    assert not [place for place in shown if reserved[place] and labels[place] != 9]
    assert len(shown) == 9 * 24 + int((labels == 9).sum())


@pytest.mark.parametrize(("way", "back"), [("left", 3), ("right", 1)])
def test_turned_nines_are_the_nines_of_the_wheel_turned_as_their_words_say(way, back):
    turned, digits = site.build("turned digits"), specimens.digits()[0]
    pages_of = [each.body.decode() for path, each in turned.items() if path.startswith("/pages/nine-")]
    shown = [re.search(rf'src="(/nine/(\d+)\.png)" alt="a {way} turned', text) for text in pages_of]
    found = [(match[1], int(match[2])) for match in shown if match]
    assert len(found) == 90
    for path, place in found:
        assert (np.rot90(decode(turned[path].body), back) == digits[place]).all()
