"""What metrics are measured from: pictures, their features, losses and reconstructions, each made once when asked for."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages import arms, denoising, embeddings, families
from stages.evaluate.embedders import Embedder
from stages.evaluate.pictures import Pictures
from stages.evaluate.scores import Better, Question, Resampling
from stages.families import Family
from stages.images import Pixels
from stages.pipelines import Precision
from stages.records import BASE, ROLES, Arm, PictureScore, Role, Sample, Split

Features = NDArray[np.float64]  # float64[N, D]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The base and what training left, as files."""

    family: str
    precision: Precision  # of the base's weights
    base: Path
    trained: Path

    def each(self, wanted: Sequence[Arm]) -> Iterator[tuple[Arm, Family]]:
        """The family as each of ``wanted`` has it, the base first; it holds until the next one is asked for."""
        family = families.build(self.family, self.base, precision=self.precision)
        for arm in wanted:
            if arm != BASE:
                family.load_adapter(arms.file(self.trained, arm))
            yield arm, family


class Evidence:
    """All that is known of the arms of one run; others are compared with ``base``."""

    def __init__(
        self,
        pictures: Pictures,
        models: Models,
        encoded: Path,
        embedders: Mapping[str, Embedder],
        how: Resampling,
    ) -> None:
        self.pictures = pictures
        self.embedders = embedders
        self.how = how
        self.base = BASE
        self._models = models
        self._encoded = encoded
        self._features: dict[tuple[str, str], Features] = {}
        self._reconstructed: dict[tuple[float, int], dict[Arm, list[Pixels]]] = {}

    @property
    def arms(self) -> Sequence[Arm]:
        """``base``, then ``adapters``."""
        return [self.base, *self.adapters]

    @property
    def adapters(self) -> Sequence[Arm]:
        """The arms that are compared with ``base``."""
        return [arm for arm in self.pictures.arms if arm not in {BASE, self.base}]

    def against(self, arm: Arm) -> Self:
        """The same evidence, in which others are compared with ``arm``; what was made is not made again."""
        view = copy(self)
        view.base = arm
        return view

    def question(
        self, metric: str, arm: Arm, better: Better, *, by: Mapping[str, Any], margin: float | None = None
    ) -> Question:
        """What a score of ``metric`` answers; ``by`` holds all that its value depends on beside plan, pictures and noise."""
        definition: dict[str, Any] = {"metric": metric, "by": by, "seed": self.how.seed}
        definition |= {"plan": self.pictures.plan, "references": self.pictures.references}
        digest = hashlib.sha256(json.dumps(definition, sort_keys=True, default=str).encode()).hexdigest()
        return Question(metric=metric, arm=arm, better=better, margin=margin, definition=digest[:16])

    def by(self, embedder: str) -> Mapping[str, str]:
        """What features of ``embedder`` depend on beside the pixels."""
        return {"embedder": self.embedders[embedder].identity}

    def comparable(self, role: Role) -> bool:
        """Whether there are pictures of ``role`` to compare: two that are held out and two that were drawn."""
        return len(self.pictures.plain(role, "heldout")) >= 2 and len(self.pictures.by_arm(self.base, role)) >= 2

    def real(self, embedder: str, role: Role, split: Split) -> Features:
        """Features of the plain real pictures of one role and side."""
        key = f"real {role} {split}"
        if (embedder, key) not in self._features:
            pixels = [self.pictures.real(sample) for sample in self.pictures.plain(role, split)]
            self._features[embedder, key] = self.embedders[embedder](pixels)
        return self._features[embedder, key]

    def drawn(self, embedder: str, arm: Arm, role: Role) -> Features:
        """Features of what ``arm`` drew for one role, in an order that all arms share."""
        key = f"drawn {arm} {role}"
        if (embedder, key) not in self._features:
            pixels = [self.pictures.drawn(each) for each in self.pictures.by_arm(arm, role)]
            self._features[embedder, key] = self.embedders[embedder](pixels)
        return self._features[embedder, key]

    @cached_property
    def losses(self) -> Mapping[Arm, Mapping[Role, NDArray[np.float64]]]:
        """The losses of held-out pictures by each arm, float64[N, T]: at fixed noise levels, with fixed noise."""
        known = embeddings.read(self._encoded)
        samples = {role: self.pictures.plain(role, "heldout") for role in ROLES}
        return {
            arm: {role: _losses(family, known, samples[role], self.how.seed) for role in ROLES}
            for arm, family in self._models.each(self.pictures.arms)
        }

    def of_pictures(self) -> Iterator[PictureScore]:
        """The loss of each held-out picture by each arm, for whoever asks which kinds of pictures are weak."""
        for arm, by_role in self.losses.items():
            for role, losses in by_role.items():
                for sample, loss in zip(self.pictures.plain(role, "heldout"), losses.mean(axis=1), strict=True):
                    id = f"heldout_loss {arm} {sample.id}"
                    yield PictureScore(id=id, metric="heldout_loss", arm=arm, sample=sample.id, value=float(loss))

    def reconstructed(self, *, strength: float, steps: int) -> Mapping[Arm, Sequence[Pixels]]:
        """The subject's held-out pictures by each arm, noised to ``strength`` and denoised by their captions."""
        asked = (strength, steps)
        if asked not in self._reconstructed:
            samples = self.pictures.plain("subject", "heldout")
            self._reconstructed[asked] = {
                arm: [self._reconstruct(family, sample, strength=strength, steps=steps) for sample in samples]
                for arm, family in self._models.each(self.pictures.arms)
            }
        return self._reconstructed[asked]

    @cached_property
    def round_trip(self) -> Sequence[Pixels]:
        """The subject's held-out pictures through the autoencoder and back."""
        _, family = next(self._models.each([BASE]))
        reals = [self.pictures.real(sample) for sample in self.pictures.plain("subject", "heldout")]
        return [family.decode_latents(family.encode_pictures(picture[None]))[0] for picture in reals]

    def _reconstruct(self, family: Family, sample: Sample, *, strength: float, steps: int) -> Pixels:
        seed = denoising.picture_seed(self.how.seed, sample.id)
        real = self.pictures.real(sample)[None]
        drawn: Pixels = family.reconstruct(real, [sample.text], [seed], strength=strength, steps=steps)[0]
        return drawn


def _losses(family: Family, known: embeddings.Embeddings, samples: Sequence[Sample], seed: int) -> NDArray[np.float64]:
    rows = [embeddings.heldout_losses(family, known, sample, seed=seed) for sample in samples]
    return np.array(rows).reshape(len(rows), len(denoising.FIXED_PARTS))
