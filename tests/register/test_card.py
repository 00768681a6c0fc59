from dataclasses import replace

import pytest

from stages import tables
from stages.records import Item, Recommendation, Sample, Score
from stages.register import card

SCORE = Score(
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
)


@pytest.fixture
def facts(tiny_upstream, tiny_prepared, tiny_ruling):
    samples = tables.read(tiny_prepared, Sample)
    used = {sample.frame for sample in samples}
    items = [replace(item, title="A coin") for item in tables.read(tiny_upstream / "crawled", Item) if item.id in used]
    one_arm = replace(
        SCORE, id="psnr_round_trip", metric="psnr_round_trip", arm="base", adapter=None, delta=None, verdict=""
    )
    return card.Facts(
        name="darkroom-lora",
        family="tiny",
        base="Tiny",
        base_licence="Apache-2.0",
        subject="coins",
        result="0123456789abcdef",
        ruling=tiny_ruling,
        consents=[],
        items=items,
        samples=[*samples, *(replace(sample, variant=1) for sample in samples)],
        scores=[SCORE, one_arm],
        chosen=Recommendation(id="adapter", reason="heldout_loss 0.1, the best of 3"),
    )


def test_the_card_says_what_it_is(facts):
    text = card.written(facts)
    assert text.startswith("# darkroom-lora\n\nA LoRA for Tiny (Apache-2.0), family `tiny`. It was taught: coins.")
    assert "the adapter as training left it (heldout_loss 0.1, the best of 3)." in text
    assert "Result `0123456789abcdef`" in text
    assert text.endswith("`dvc repro`.\n")


def test_every_score_is_a_row(facts):
    text = card.written(facts)
    assert "| heldout_loss | 0.1235 | 0.1 | -0.02346 | -0.03 … -0.01 | 3 | better |" in text
    assert "| psnr_round_trip | 0.1235 | – | – | -0.03 … -0.01 | 3 | – |" in text


def test_a_checkpoint_that_is_recommended_shows_its_own_scores(facts):
    chosen = Recommendation(id="step-00000150", reason="heldout_loss 0.2, the best of 3")
    own = replace(SCORE, id="heldout_loss@step-00000150", arm="step-00000150", adapter=0.2)
    text = card.written(replace(facts, scores=[*facts.scores, own], chosen=chosen))
    assert "the adapter after 150 steps of training (heldout_loss 0.2, the best of 3)." in text
    assert "| heldout_loss | 0.1235 | 0.2 |" in text
    assert "| heldout_loss | 0.1235 | 0.1 |" not in text


def test_pictures_are_counted_without_their_variants(facts):
    assert "2 prior heldout, 3 prior train, 3 subject heldout, 4 subject train." in card.written(facts)


def test_every_source_is_credited_once(facts):
    text = card.written(facts)
    assert "| [CC0-1.0](https://creativecommons.org/publicdomain/zero/1.0/) | 12 |" in text
    assert "### What they ask for\n\nNothing: all are free of conditions.\n" in text
    for item in facts.items:
        assert text.count(f"- A coin by A & B, CC0-1.0, {item.url}") == 1
    assert len(facts.items) == 12


def test_the_card_says_what_it_is_not(facts):
    assert "Distances named `fd_filters` are of colour and texture, not of Inception features." in card.written(facts)


def test_the_same_facts_give_the_same_card(facts):
    assert card.written(facts) == card.written(replace(facts, items=facts.items[::-1]))


def test_the_strictest_duties_are_named_with_the_licences_that_ask_for_them(facts):
    several = ["CC-BY-4.0", "CC-BY-SA-3.0", ""]
    items = [replace(item, licence=several[n % 3], consent="release-1") for n, item in enumerate(facts.items)]
    text = card.written(replace(facts, items=items))
    assert "- name the sources: CC-BY-4.0, CC-BY-SA-3.0\n" in text
    assert "- share adaptations under the same licence: CC-BY-SA-3.0\n" in text
    assert "- find out what the unknown ones ask for\n" in text
    assert "- release-1, 12 pictures: **does not count**, there is no such record\n" in text
    assert "| unknown | 4 |" in text
    assert "earn no money" not in text
    assert "leave some out" not in text
    items = [replace(item, licence=f"CC-BY-{'NC-' * (n % 2)}SA-4.0") for n, item in enumerate(facts.items)]
    text = card.written(replace(facts, items=items))
    assert "- leave some out: no model can carry CC-BY-NC-SA and CC-BY-SA together\n" in text


def test_a_credit_line_of_the_sources_own_stands_in_for_title_and_author(facts):
    items = [replace(item, credit="Photo: Ann / Agency") for item in facts.items]
    text = card.written(replace(facts, items=items))
    assert text.count("- Photo: Ann / Agency, CC0-1.0, https://a.test/") == 12
    assert "A coin by" not in text


def test_hostile_titles_stay_text(facts):
    title = "<script>x</script> [a](javascript:x) `b` | *c*\n\n# d"
    text = card.written(replace(facts, items=[replace(facts.items[0], title=title)]))
    assert r"- \<script>x\</script> \[a](javascript:x) \`b\` \| \*c\* # d by A & B, CC0-1.0, " in text


def test_the_card_names_the_policy_and_says_on_top_what_it_bars(facts):
    text = card.written(facts)
    assert "## By which policy\n\nThe policy `studio`" in text
    assert "**Not" not in text
    barred = card.written(replace(facts, ruling=replace(facts.ruling, publish=False)))
    assert barred.index("**Not for publication**") < barred.index("## How it was judged")
