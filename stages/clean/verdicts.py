"""One rule after the other: block-list, rights, faces, the measured numbers, then near-duplicates and lookalikes."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages import rights
from stages.clean import twins
from stages.clean.rules import Config, broken
from stages.records import Frame, Item, Quality, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the frames, by id."""

    items: Mapping[str, Item]
    quality: Mapping[str, Quality]  # a frame that could not be measured has none
    blocked: AbstractSet[str]
    consents: Mapping[str, str]  # from ``rights.consents``
    vectors: Mapping[str, NDArray[np.float32]]  # embeddings of one length; empty where ``likeness`` is out of use


def judge(frames: Sequence[Frame], known: Known, config: Config) -> list[Verdict]:
    """One verdict for each frame, whether it could be measured or not."""
    reasons = {frame.id: _fault(frame, known, config) for frame in frames}
    sizes = {frame.id: frame.place.size for frame in frames}
    fit = [known.quality[id] for id, reason in reasons.items() if not reason]
    same = twins.near_duplicates(
        fit, sizes, config.twin_distance, looks=config.twin_looks, min_quality=config.min_hash_quality
    )
    alike: twins.Twins = {}
    if config.likeness is not None:
        alike = twins.lookalikes([each for each in fit if each.id not in same], sizes, known.vectors, config.likeness)
    reasons |= dict.fromkeys(same, "twin") | dict.fromkeys(alike, "lookalike")
    stays_for = twins.merged(same, alike)
    return [
        Verdict(id=id, keep=not reason, reason=reason, twin=stays_for.get(id, ""))
        for id, reason in sorted(reasons.items())
    ]


def _fault(frame: Frame, known: Known, config: Config) -> str:
    """Why ``frame`` cannot stay whatever else there is; empty when it can. The first reason counts."""
    item, quality = known.items[frame.item], known.quality.get(frame.id)
    if quality is None:
        return "broken"
    if frame.id in known.blocked:
        return "blocked"
    if rule := rights.decide(item, config.policy).rule:
        return rule
    return _face_fault(item, quality, known, config) or broken(quality, config)


def _face_fault(item: Item, quality: Quality, known: Known, config: Config) -> str:
    least = config.min_face * min(quality.width, quality.height)
    seen = any(min(face.width, face.height) >= least for face in quality.faces)
    if config.faces == "consented" and seen and not rights.consented(item, known.consents):
        return "face without consent"
    return "no face" if config.faces == "required" and not seen else ""
