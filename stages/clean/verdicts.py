"""One rule after the other: block-list, rights, faces, the measured numbers, then near-duplicates and lookalikes.

Those of better frames go, and those of frames that were refused for their rights.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stages import rights
from stages.clean import twins
from stages.clean.rules import Config, broken
from stages.records import Frame, Item, Quality, Verdict

BLOCKED, WITHDRAWN = "blocked", "consent withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the frames, by id."""

    items: Mapping[str, Item]
    quality: Mapping[str, Quality]  # a frame that could not be measured has none
    blocked: AbstractSet[str]
    consents: Mapping[str, str]  # from ``rights.consents``
    withdrawn: AbstractSet[str]  # ids of consents that were taken back
    vectors: Mapping[str, NDArray[np.float32]]  # embeddings of one length; empty where ``likeness`` is out of use


def judge(frames: Sequence[Frame], known: Known, config: Config) -> list[Verdict]:
    """One verdict for each frame, whether it could be measured or not.

    Near-duplicates are sought among what is fit, and what stays of it is compared with what was refused for its rights:
    so one refused picture more never lets another stay.
    """
    reasons = {frame.id: _fault(frame, known, config) for frame in frames}
    sizes = {frame.id: frame.place.size for frame in frames}
    claims = {frame.id: claim for frame in frames if reasons[frame.id] and (claim := _claim(frame, known, config))}
    refused = [known.quality[id] for id in claims]
    left = twins.ranked([known.quality[id] for id, reason in reasons.items() if not reason], sizes)
    instead: twins.Twins = {}
    for word, near in _likenesses(known, config).items():
        for find in (near.duplicates, partial(near.copies, refused=refused)):
            found = find(left)
            instead = twins.merged(instead, found)
            reasons |= dict.fromkeys(found, word)
            left = [each for each in left if each.id not in found]
    reasons |= {id: f"{reasons[id]} of {claims[other]}" for id, other in instead.items() if other in claims}
    return [
        Verdict(id=id, keep=not reason, reason=reason, twin=instead.get(id, ""))
        for id, reason in sorted(reasons.items())
    ]


def _likenesses(known: Known, config: Config) -> dict[str, twins.ByHash | twins.ByEmbedding]:
    """What two pictures that show the same are near by, under the reason that it gives."""
    by_hash = twins.ByHash(distance=config.twin_distance, looks=config.twin_looks, min_quality=config.min_hash_quality)
    if config.likeness is None:
        return {"twin": by_hash}
    return {"twin": by_hash, "lookalike": twins.ByEmbedding(vectors=known.vectors, least=config.likeness)}


def _fault(frame: Frame, known: Known, config: Config) -> str:
    """Why ``frame`` cannot stay whatever else there is; empty when it can. The first reason counts."""
    item, quality = known.items[frame.item], known.quality.get(frame.id)
    if quality is None:
        return "broken"
    if frame.id in known.blocked:
        return BLOCKED
    if rule := rights.decide(item, config.policy).rule:
        return rule
    return _face_fault(item, quality, known, config) or broken(quality, config)


def _claim(frame: Frame, known: Known, config: Config) -> str:
    """Why the copies of a refused ``frame`` are refused with it; empty where they go by their own rights.

    The first reason of a frame may hide another that reaches farther, so this asks for each.
    """
    quality, item = known.quality.get(frame.id), known.items[frame.item]
    if quality is None or config.refused_twins == "allow":
        return ""
    if frame.id in known.blocked:
        return BLOCKED
    rule = rights.decide(item, config.policy).rule
    if rule == rights.OPTED_OUT:
        return rule
    if _face_fault(item, quality, known, config) == WITHDRAWN:
        return WITHDRAWN
    if rule and config.refused_twins != "denied" and rights.reserved(item, config.policy):
        return rights.RESERVED
    return rule if config.refused_twins == "refused" else ""


def _face_fault(item: Item, quality: Quality, known: Known, config: Config) -> str:
    least = config.min_face * min(quality.width, quality.height)
    seen = any(min(face.width, face.height) >= least for face in quality.faces)
    if config.faces == "consented" and seen and not rights.consented(item, known.consents):
        return WITHDRAWN if item.consent in known.withdrawn else "face without consent"
    return "no face" if config.faces == "required" and not seen else ""
