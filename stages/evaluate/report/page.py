"""The page as HTML. It holds everything it shows and asks nothing of the network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from stages import tables
from stages.evaluate import scores
from stages.evaluate.pictures import Pictures
from stages.evaluate.report import (
    attributions,
    confusions,
    curves,
    funnel,
    grids,
    slices,
    suspects,
    thumbnails,
    verdict,
    words,
)
from stages.evaluate.report.sources import Sources
from stages.records import ADAPTER, BASE, Confusion, Item, PictureScore, Point, Recommendation, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was found out."""

    scores: Sequence[Score]
    of_pictures: Sequence[PictureScore]
    confusions: Sequence[Confusion]  # none where no judge knows classes
    chosen: Recommendation
    copy_factor: float | None  # of ``copy_rate``; None where that was not asked


def render(sources: Sources, found: Judgement, pictures: Pictures) -> str:
    """The page."""
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        loader=PackageLoader(__package__ or ""),
    )
    environment.filters |= {
        "number": words.number,
        "src": thumbnails.inline,
        "arm": words.arm_name,
        "gloss": words.gloss,
    }
    items = tables.by_id(sources.crawled, Item)
    points = tables.read(sources.trained, Point)
    chosen = found.chosen.id
    return environment.get_template("page.html.j2").render(
        verdict=verdict.of(found.scores, found.chosen, pictures.protocol),
        plan=pictures.protocol,
        plan_digest=pictures.plan,
        chosen=found.chosen,
        arms=words.in_order(pictures.arms),
        subject=grids.rows(pictures, "subject"),
        prior=grids.rows(pictures, "prior"),
        suspects=suspects.pairs(pictures, chosen, found.copy_factor),
        worst=slices.worst(pictures, found.of_pictures, chosen),
        slices=slices.slices(pictures, found.of_pictures, chosen),
        confusions=confusions.tables(found.confusions, chosen),
        curves=curves.drawings(found.scores, points[-1].step),
        training=curves.training(points),
        scores=[(score, scores.remark(score)) for score in sorted(found.scores, key=_by_id) if _is_final(score)],
        checkpoints=list(_checkpoints(found.scores)),
        funnel=list(funnel.counts(sources)),
        refused=list(funnel.refused(sources, items)),
        redacted=funnel.redacted(sources.anonymised),
        **attributions.of(sources, items, pictures.samples),
    )


def _is_final(score: Score) -> bool:
    return score.arm in {BASE, ADAPTER}


def _by_id(score: Score) -> str:
    return score.id


def _checkpoints(rows: Sequence[Score]) -> Iterator[tuple[str, dict[str, Score]]]:
    """Each arm but the base with its compared scores by metric, in the order of training."""
    for arm in words.in_order(list({score.arm for score in rows} - {BASE})):
        yield arm, {score.metric: score for score in rows if score.arm == arm and score.delta is not None}
