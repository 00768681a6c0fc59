"""What a LoRA file says of itself beside its tensors: how it was trained, on whose pictures, and what follows from that.

``modelspec.*`` as in https://github.com/Stability-AI/ModelSpec 1.0.1, without a date, which would change the bytes of the
same training; ``ss_*`` as sd-scripts writes them, since galleries show those; ``darkroom.*`` for what neither has a key for.
Nothing is said that was not recorded.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages import licences, rights
from stages.lora.files import HASHES, PLACEHOLDER
from stages.lora.layers import Adapter, Product
from stages.records import ROLES, Item, Ruling, Sample

PICTURES, BASE, BASE_LICENCE = "darkroom.pictures", "darkroom.base", "darkroom.base_licence"
POLICY, BARRED = "darkroom.policy", "darkroom.restrictions"  # what the policy behind the pictures bars
LICENCE = "modelspec.license"
_ARCHITECTURES = {
    "sd15": "stable-diffusion-v1",
    "sdxl": "stable-diffusion-xl-v1-base",
    "sd35": "stable-diffusion-3",
    "flux": "flux-1",
}
_VERSIONS = {"sd15": "sd_v1", "sdxl": "sdxl_base_v1-0", "sd35": "sd3", "flux": "flux1"}  # as sd-scripts names them
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What an adapter was trained with."""

    title: str
    family: str
    base: str  # the base model's own name
    base_licence: str
    prediction: str  # as the base's scheduler names it; empty for a flow
    subject: str  # the word for it in captions; empty when there is none
    ruling: Ruling  # by which the pictures were chosen
    items: Sequence[Item]  # whose pictures it learned from
    samples: Sequence[Sample]
    numbers: Mapping[str, float]  # as sd-scripts names them, without ``ss_``


def metadata(training: Training, lora: Adapter) -> dict[str, str]:
    """What a file with ``lora`` says of its ``training``; ``files.packed`` fills in the hashes."""
    learned = [sample for sample in training.samples if sample.split == "train"]
    said = _modelspec(training, learned) | _scripts(training, learned, lora)
    said |= {BASE: training.base, BASE_LICENCE: training.base_licence, POLICY: training.ruling.policy}
    said |= {BARRED: ", ".join(rights.restrictions(training.ruling))}
    rows = [(item.licence, rights.attribution(item)) for item in training.items]
    said |= _rights(rows, [training.base_licence], [said[BARRED]])
    return dict.fromkeys(HASHES, PLACEHOLDER) | {key: value for key, value in said.items() if value}


def inherited(parents: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What a file made from others says: all of the only one but its shape, or what follows from several together.

    The pictures of all are kept, each once, and the licences that follow from them; how each was trained is not.
    """
    found = {key: value for key, value in parents[0].items() if all(other.get(key) == value for other in parents)}
    shape = ("ss_network_dim", "ss_network_alpha")
    kept = {key: value for key, value in found.items() if key not in (*shape, PICTURES, LICENCE)}
    if len(parents) > 1:
        kept = {
            key: value for key, value in kept.items() if not key.startswith("ss_") or key == "ss_base_model_version"
        }
        titles = [parent["modelspec.title"] for parent in parents if "modelspec.title" in parent]
        kept |= {"modelspec.merged_from": ", ".join(titles)} if titles else {}
    rows = [row for parent in parents for row in pictures(parent)]
    bases = [parent[BASE_LICENCE] for parent in parents if BASE_LICENCE in parent]
    barred = sorted({words for parent in parents for words in parent.get(BARRED, "").split(", ") if words})
    kept |= {BARRED: ", ".join(barred)} if barred else {}
    return kept | (_rights(rows, bases, barred) if rows else {})


def pictures(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Licence (SPDX, empty where unknown) and attribution of each picture that a file says it learned from."""
    return [(licence, credit) for licence, credit in json.loads(metadata.get(PICTURES, "[]"))]


def duties(names: Sequence[str]) -> list[str]:
    """What the licences ``names`` ask for together, a line each."""
    found = licences.duties(names)
    lines = [f"{duty} ({', '.join(those)})" for duty, those in found.because.items() if those]
    lines += ["find out what the unknown ones ask for"] if found.unknown else []
    return lines + ([f"share with nobody: no model can carry {' and '.join(found.clash)}"] if found.clash else [])


def _modelspec(training: Training, learned: Sequence[Sample]) -> dict[str, str]:
    sizes = Counter((sample.width, sample.height) for sample in learned)
    width, height = max(sizes, key=lambda size: (sizes[size], size), default=(0, 0))
    kind = _ARCHITECTURES.get(training.family, f"darkroom-{training.family}")
    authors = sorted({item.author for item in training.items if item.author})
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{kind}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": training.title,
        "modelspec.resolution": f"{width}x{height}" if learned else "",
        "modelspec.author": f"pictures by {', '.join(authors)}" if authors else "",
        "modelspec.prediction_type": _PREDICTIONS.get(training.prediction, ""),
        "modelspec.trigger_phrase": training.subject,
        "modelspec.tags": training.subject,
    }


def _scripts(training: Training, learned: Sequence[Sample], lora: Adapter) -> dict[str, str]:
    layers = lora.layers.values()
    ranks, alphas = {layer.rank for layer in layers}, {layer.alpha for layer in layers}
    plain = [sample for sample in learned if not sample.variant]
    words = {role: Counter(sample.text for sample in plain if sample.role == role) for role in ROLES}
    numbers = {f"ss_{name}": f"{number:g}" for name, number in training.numbers.items()}
    return numbers | {
        "ss_output_name": training.title,
        "ss_base_model_version": _VERSIONS.get(training.family, ""),
        "ss_network_module": "lycoris.kohya" if any(isinstance(each, Product) for each in layers) else "networks.lora",
        "ss_network_dim": f"{ranks.pop()}" if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{alphas.pop():g}" if len(alphas) == 1 else "Dynamic",
        "ss_num_train_images": str(sum(sample.role == "subject" for sample in learned)),
        "ss_num_reg_images": str(sum(sample.role == "prior" for sample in learned)),
        "ss_tag_frequency": json.dumps({role: dict(sorted(those.items())) for role, those in words.items() if those}),
    }


def _rights(rows: Sequence[tuple[str, str]], base_licences: Sequence[str], barred: Sequence[str]) -> dict[str, str]:
    """The pictures, each once, and in words what the policy bars, and the licence that they and the base leave."""
    those = sorted(set(rows))
    names = [licence for licence, _ in those]
    strictest = licences.strictest(names) if names else ""
    of_pictures = (
        f"pictures: {strictest or 'a licence that is not known'}, the strictest of {len(those)}" if those else ""
    )
    bases = [f"base: {name}" for name in sorted(set(base_licences)) if name]
    told = [*(words for words in barred if words), *([of_pictures] if of_pictures else []), *duties(names), *bases]
    return {PICTURES: json.dumps(those, ensure_ascii=False), LICENCE: "; ".join(told)}
