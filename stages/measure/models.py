"""What the chosen models say of pictures, kept in the cache folder: one picture more costs one."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages import machine, memory, plugins, tensors
from stages.errors import ConfigError
from stages.images import Pixels
from stages.measure.aesthetics import Taste
from stages.measure.embeddings import Embedding
from stages.measure.nsfw import Classifier

Choice = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models of one run; each may be missing. They see one picture at a time, so a neighbour changes no bit."""

    embed: Embedding | None
    taste: Taste | None
    judge: Classifier | None
    how: str  # all else that the numbers depend on
    embedded: list[str] = field(default_factory=list)  # the frames that an embedding was asked for

    @classmethod
    def build(cls, embedding: Choice, aesthetic: Choice, nsfw: Choice, *, threads: int, side: int) -> Self:
        """The models that are chosen; none of them is loaded before it sees a picture.

        Raises:
            ConfigError: when a head is chosen and no embedding for it.
        """
        if aesthetic and not embedding:
            raise ConfigError("measure.aesthetic: works on an embedding; choose one, as embedding=clip")
        device = ""
        if embedding or nsfw:
            machine.use_threads(threads)
            device = machine.device()
        return cls(
            embed=plugins.build("stages.measure.embeddings", embedding) if embedding else None,
            taste=plugins.build("stages.measure.aesthetics", aesthetic) if aesthetic else None,
            judge=plugins.build("stages.measure.nsfw", nsfw) if nsfw else None,
            how=json.dumps([embedding, nsfw, threads, side, device], sort_keys=True),
        )

    def lack(self, id: str) -> bool:
        """Whether one of the models has yet to see the frame ``id``."""
        return any(_recalled(self._file(part.identity, id)) is None for part in (self.embed, self.judge) if part)

    def opinions(self, id: str, view: Pixels | None) -> dict[str, Any]:
        """What the models say of the frame ``id``, as part of a ``Quality``; ``view`` only where they ``lack`` it."""
        said: dict[str, Any] = {}
        if self.embed:
            vector = self._kept(self.embed.identity, id, self.embed, view)
            self.embedded.append(id)
            if self.taste:
                said["aesthetic"] = round(self.taste(vector), 4)
        if self.judge:
            said["nsfw"] = round(float(self._kept(self.judge.identity, id, self.judge, view)[0]), 4)
        return said

    def write(self, out: Path) -> None:
        """The vectors of all frames as ``embedding-*.safetensors``, where an embedding was chosen.

        They come from the cache folder, one file's at a time: those of a million frames fill gigabytes.
        """
        if not self.embedded or self.embed is None:
            return
        import torch

        for _, ids in groupby(sorted(self.embedded), key=itemgetter(0)):
            vectors = {id: torch.from_numpy(self._kept(self.embed.identity, id, self.embed, None)) for id in ids}
            tensors.write(out, "embedding", vectors, digits=1)

    def _kept(self, part: str, id: str, ask: Callable[[Pixels], Any], view: Pixels | None) -> NDArray[np.float32]:
        file = self._file(part, id)
        known = _recalled(file)
        if known is None:
            if view is None:
                raise RuntimeError(f"{file}: was there a moment ago; the cache folder must be left alone")
            known = np.atleast_1d(np.asarray(ask(view), dtype=np.float32))
            memory.keep(file, known.tobytes())
        return known

    def _file(self, part: str, id: str) -> Path:
        key = hashlib.sha256(json.dumps([part, self.how, id]).encode()).hexdigest()
        return memory.place(machine.cache("models"), key)


def _recalled(file: Path) -> NDArray[np.float32] | None:
    content = memory.recalled(file)
    return None if content is None else np.frombuffer(content, dtype=np.float32).copy()
