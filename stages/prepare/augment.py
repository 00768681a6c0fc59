"""Augmentation by albumentations, seeded by item: adding a picture changes no other."""

import os
from typing import Annotated, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from stages.config import settings
from stages.images import Pixels
from stages.prepare.buckets import Bucket, Window

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks PyPI for its version on import otherwise


@settings
class Config:
    """How far a variant may be from the picture."""

    variants: Annotated[int, Field(ge=0)]  # of each training picture, beside the plain crop
    flip: bool  # mirror half of them
    min_scale: Annotated[float, Field(gt=0, le=1)]  # of the area that a random crop keeps at least
    rotate: Annotated[float, Field(ge=0, le=180)]  # degrees to either side
    light: Annotated[float, Field(ge=0, le=0.5)]  # change of brightness and contrast to either side


class Augmented(NamedTuple):
    """One variant of a picture."""

    pixels: Pixels  # in the size of its bucket, with the mask as a fourth channel where there is one
    window: Window  # of the picture, mirrored if it was, that the variant shows; turned about its middle, too
    mirrored: bool


def augmented(pixels: Pixels, bucket: Bucket, config: Config, *, seed: int) -> Augmented:
    """One variant of ``pixels`` in the size of ``bucket``; the same seed gives the same variant.

    A fourth channel of ``pixels`` is a mask, which is mirrored, turned and cut likewise and keeps its light.
    """
    import albumentations

    width, height = bucket
    transform = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5 if config.flip else 0),
            albumentations.Rotate(limit=config.rotate, border_mode=cv2.BORDER_REFLECT_101, p=1 if config.rotate else 0),
            albumentations.RandomResizedCrop(
                size=(height, width),
                scale=(config.min_scale, 1),
                ratio=(width / height, width / height),
                interpolation=cv2.INTER_AREA,
            ),
            albumentations.RandomBrightnessContrast(
                brightness_limit=config.light, contrast_limit=config.light, p=1 if config.light else 0
            ),
        ],
        seed=seed,
        save_applied_params=True,
    )
    layers = {"image": np.ascontiguousarray(pixels[..., :3])}
    if pixels.shape[2] > 3:
        layers["mask"] = np.ascontiguousarray(pixels[..., 3])
    drawn = transform(**layers)
    applied = dict(drawn["applied_transforms"])  # by name, those that were not left out by chance
    left, top, right, bottom = applied["RandomResizedCrop"]["crop_coords"]
    return Augmented(
        np.ascontiguousarray(np.dstack([drawn[name] for name in layers]), dtype=np.uint8),
        Window(left, top, right - left, bottom - top),
        "HorizontalFlip" in applied,
    )
