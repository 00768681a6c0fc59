"""The stage: what it tests, flags, asks for and weighs, over tables that the stages before would leave."""

import math
from statistics import fmean

import pytest

from stages import tables
from stages.errors import TableError
from stages.feedback.stage import Config, log_losses, run
from stages.records import Frame, Item, PictureScore, Quality, Region, Request, Ruling, Sample, Slice, Weight
from stages.shards import Place

PLACE = Place(shard="", offset=0, size=0)
FACTS = ("sharpness", "brightness", "contrast", "dark", "bright", "entropy", "colourfulness", "text", "watermark")


def config(**others):
    values = {"metric": "heldout_loss", "columns": ("bucket", "source", "licence", "word", "face")}
    values |= {
        "pairs": (("word", "bucket"),),
        "large_face": 0.05,
        "min_face_score": 0.5,
        "themes": 4,
        "false_alarms": 0.1,
        "seed": 0,
    }
    values |= {"min_pictures": 5, "min_groups": 5, "resamples": 400, "boost": 1.0, "most_weight": 3.0}
    return Config(**(values | {"most_wanted": 100, "words": 3} | others))


def score(sample, arm, value, metric="heldout_loss"):
    return PictureScore(id=f"{metric} {arm} {sample}", metric=metric, arm=arm, sample=sample, value=value)


def picture(number, text, split, ratio, *, faces=(), host="a.test", role="subject", variant=0):
    """The rows of one picture; its base loss has nothing to do with what was learned."""
    id = f"{number:04d}"
    item = Item(
        id=id, url=f"https://{host}/{id}.png", page=f"https://{host}/{id}", kind="image", alt=text, title="", author="",
        credit="", licence="CC-BY-4.0", licence_evidence=(), signals=(), consent="", group="", place=PLACE,
    )  # fmt: skip
    frame = Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=PLACE)
    quality = Quality(
        id=id, width=64, height=64, format="PNG", hash="0" * 64, hash_quality=0, faces=faces, aesthetic=None, nsfw=None,
        **dict.fromkeys(FACTS, 0.0),
    )  # fmt: skip
    sample = Sample(
        id=f"{id}-{variant:02d}", frame=id, variant=variant, text=text, role=role, split=split, group=id, width=64,
        height=64, source_width=64, source_height=64, crop_left=0, crop_top=0, digest="", weight=1.0, place=PLACE,
    )  # fmt: skip
    base = 0.2 + 0.1 * (number % 5)
    scores = [score(sample.id, arm, value) for arm, value in (("base", base), ("adapter", base * ratio))]
    return item, frame, quality, sample, scores if split == "heldout" else []


def pictures(behind=0.9):
    """Standing and lying nines, of these a few to train on, and what is not the subject."""
    jitter = (0.97, 1.0, 1.03, 0.99, 1.01)
    rows = [picture(n, "a standing nine", "heldout", 0.5 * jitter[n % 5]) for n in range(20)]
    rows += [picture(n, "a lying nine", "heldout", behind * jitter[n % 5]) for n in range(20, 30)]
    rows += [picture(n, "a standing nine", "train", 1.0) for n in range(30, 60)]
    rows += [picture(n, "a lying nine", "train", 1.0) for n in range(60, 64)]
    rows += [picture(n, "a lying eight", "heldout", 1.0, role="prior") for n in range(64, 70)]
    return rows


@pytest.fixture
def found(tmp_path, tiny_ruling):
    """Run the stage over the rows of pictures; gives its folder and report."""

    def find(rows, **others):
        root = tmp_path / "before"
        for number, (name, row) in enumerate(
            [("crawled", Item), ("frames", Frame), ("measured", Quality), ("prepared", Sample)]
        ):
            tables.write(root / name, row, [each[number] for each in rows])
        tables.write(root / "cleaned", Ruling, [tiny_ruling])
        tables.write(root / "evaluated", PictureScore, [score for each in rows for score in each[4]])
        names = ("crawled", "frames", "measured", "cleaned", "prepared", "evaluated")
        report = run(config(**others), **{name: root / name for name in names}, out=tmp_path / "out")
        return tmp_path / "out", report

    return find


def test_the_starved_slice_is_flagged_and_no_other(found):
    out, report = found(pictures())
    rows = tables.by_id(out, Slice)
    assert [name for name, row in rows.items() if row.flagged] == ["word=lying"]
    lying = rows["word=lying"]
    assert (len(lying.samples), lying.groups, lying.trained) == (10, 10, 4)
    assert lying.learned == pytest.approx(math.log(0.9), abs=0.01)
    assert lying.rest == pytest.approx(math.log(0.5), abs=0.01)
    assert lying.effect > 1.5
    assert lying.q <= 0.1
    assert (report["heldout"], report["tested"], report["flagged"]) == (30, 2, 1)


def test_more_of_it_is_asked_for_by_its_words_under_the_same_policy(found):
    out, report = found(pictures())
    (request,) = tables.read(out, Request)
    assert request.words == ("lying", "nine")
    assert (request.id, request.site, request.policy) == ("word=lying", "", "studio")
    assert request.count == report["wanted"] == 20  # twice the ten that are held out: training has fewer


def test_its_training_pictures_weigh_more_and_all_together_as_much_as_before(found):
    out, report = found(pictures())
    weights = {row.id: row.weight for row in tables.read(out, Weight)}
    assert set(weights) == {f"{n:04d}" for n in range(30, 64)}
    assert fmean(weights.values()) == pytest.approx(1)
    assert weights["0063"] / weights["0030"] == pytest.approx(3)
    assert report["largest_weight"] == weights["0063"]


def test_where_all_was_learned_alike_nothing_is_asked_for_and_nothing_weighed(found):
    out, report = found(pictures(behind=0.5))
    assert report["tested"] == 2
    assert report["flagged"] == report["wanted"] == 0
    assert tables.read(out, Request) == tables.read(out, Weight) == []


def test_a_slice_of_which_more_was_learned_is_not_flagged(found):
    out, _ = found(pictures(behind=0.2))
    assert [row.id for row in tables.read(out, Slice) if row.flagged] == ["word=standing"]


def test_what_is_hard_for_base_and_adapter_alike_is_not_taken_for_untaught(found):
    hard = [
        (*rest, [score(s.sample, s.arm, 9 * s.value) for s in scores]) for *rest, scores in pictures(behind=0.5)[20:30]
    ]
    _, report = found([*pictures(behind=0.5)[:20], *hard, *pictures()[30:]])
    assert (report["tested"], report["flagged"]) == (2, 0)


def test_too_few_pictures_or_groups_are_not_tested(found):
    _, report = found(pictures(), min_pictures=11)
    assert report["tested"] == report["flagged"] == 0
    _, report = found(pictures(), min_groups=11)
    assert report["tested"] == 0


def test_slices_of_the_same_pictures_are_one_test(found):
    out, _ = found(pictures(), columns=("word", "bucket"), pairs=(("word", "bucket"),))
    assert set(tables.by_id(out, Slice)) == {"word=lying", "word=standing"}


def test_captions_whose_words_are_alike_are_a_slice_that_is_asked_for_by_its_words(found):
    rows = [picture(n, f"a standing nine by {'abc'[n % 3]}ert", "heldout", 0.5 + 0.01 * (n % 7)) for n in range(20)]
    rows += [picture(n, "a lying nine on paper", "heldout", 0.9 + 0.01 * (n % 7)) for n in range(20, 30)]
    out, _ = found(rows, columns=("theme",), pairs=(), themes=2)
    assert [row.id for row in tables.read(out, Slice) if row.flagged] == ["theme=lying paper"]
    (request,) = tables.read(out, Request)
    assert set(request.words) == {"lying", "nine", "paper"}


def test_faces_and_sites_are_slices_too_and_a_site_is_where_to_look(found):
    face = Region(left=0, top=0, width=40, height=40, score=1.0, landmarks=())
    rows = pictures(behind=0.5)[:20]
    rows += [picture(n, "a nine", "heldout", 0.9, faces=(face,), host="b.test") for n in range(80, 90)]
    out, _ = found(rows, columns=("face",))
    assert tables.by_id(out, Slice)["face=large"].flagged
    out, _ = found(rows, columns=("source",))
    (request,) = tables.read(out, Request)
    assert (request.id, request.site) == ("source=b.test", "b.test")


def test_variants_and_the_prior_are_left_out(found):
    rows = [*pictures(), picture(90, "a lying nine", "train", 1.0, variant=1)]
    out, _ = found(rows)
    assert tables.by_id(out, Slice)["word=lying"].trained == 4
    assert "0090" not in tables.by_id(out, Weight)


def test_the_same_tables_give_the_same_bytes(found):
    out, _ = found(pictures())
    first = [tables.path(out, row).read_bytes() for row in (Slice, Request, Weight)]
    found(pictures()[::-1])
    assert [tables.path(out, row).read_bytes() for row in (Slice, Request, Weight)] == first


@pytest.mark.parametrize(
    "scores",
    [
        [],
        [score("a", "base", 1.0)],
        [score("a", "base", 1.0), score("b", "adapter", 1.0)],
        [score("a", "base", 1.0), score("a", "adapter", 0.0)],
        [score("a", "base", 1.0, "other"), score("a", "adapter", 1.0, "other")],
    ],
)
def test_a_metric_that_pictures_do_not_have_is_refused(scores):
    with pytest.raises(TableError, match=r"feedback\.metric: evaluate left no 'heldout_loss' above 0"):
        log_losses(scores, "heldout_loss")


def test_other_metrics_and_checkpoints_do_not_count():
    rows = [
        score("a", "base", 2.0),
        score("a", "adapter", 1.0),
        score("a", "step-1", 9.0),
        score("a", "base", 5.0, "x"),
    ]
    assert log_losses(rows, "heldout_loss") == {"a": pytest.approx((math.log(2.0), 0.0))}
