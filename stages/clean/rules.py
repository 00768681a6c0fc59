"""What decides: the settings, and the rules on one measured number each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from stages import rights
from stages.config import settings
from stages.errors import ConfigError
from stages.hashes import Looks
from stages.records import Quality

Share = Annotated[float, Field(ge=0, le=1)]


@settings
class Config:
    """When a frame is dropped. Every bound is inclusive: a frame that just meets it stays; null puts a rule out of use."""

    policy: rights.Policy
    blocklist: tuple[str, ...]  # sha256: or pdq: and 64 hexadecimal digits
    blocked_distance: Annotated[int, Field(ge=-1, le=256)]  # bits of the hash; -1 goes by digests only
    faces: Literal[
        "keep", "consented", "required"
    ]  # all; none with a face and no consent that counts; only those with one
    consent_on: date  # the day on which a consent must count
    min_face: Share  # of the picture's short side; smaller ones are overlooked
    min_side: Annotated[int, Field(gt=0)] | None  # pixels of the short side
    min_sharpness: Annotated[float, Field(ge=0)] | None  # variance of the Laplacian
    min_brightness: Annotated[float, Field(ge=0, le=255)] | None  # mean grey
    max_brightness: Annotated[float, Field(ge=0, le=255)] | None  # mean grey
    max_dark: Share | None  # share of the picture near black
    max_bright: Share | None  # share of the picture near white
    min_contrast: Annotated[float, Field(ge=0, le=128)] | None  # standard deviation of grey
    min_entropy: Annotated[float, Field(ge=0, le=8)] | None  # bits of the grey histogram
    min_colourfulness: Annotated[float, Field(ge=0)] | None  # of Hasler and Süsstrunk
    max_text: Share | None  # share of the picture under lettering
    max_watermark: Share | None  # how likely lettering was laid over the picture
    min_aesthetic: float | None  # on the scale of the model that ``measure`` used
    max_nsfw: Share | None  # probability by the model that ``measure`` used
    twin_distance: Annotated[int, Field(ge=-1, le=256)]  # bits of the hash; -1 keeps even equal ones
    twin_looks: Looks  # whether what was mirrored, or also turned, is a twin
    min_hash_quality: Annotated[int, Field(ge=0, le=100)]  # below it hashes are not compared
    refused_twins: Literal[
        "allow", "denied", "reserved", "refused"
    ]  # whose twins share the refusal: nobody's; what is blocked, opted out or of a consent taken back; …; all that lacks rights
    likeness: Annotated[float, Field(ge=-1, le=1)] | None  # cosine of embeddings from which two frames show the same
    thin: Annotated[int, Field(ge=0)]  # a site, page, licence or author of fewer kept frames is reported


@dataclass(frozen=True, slots=True)
class Rule:
    """One number of a frame, and the setting that bounds it."""

    reason: str  # of the verdict
    setting: str  # the field of ``Config``
    signal: Callable[[Quality], float | None]  # none where it was not measured
    decades: bool = False  # whether it spreads over powers of ten

    @property
    def side(self) -> Literal["min", "max"]:
        """Which bound the setting is."""
        return "min" if self.setting.startswith("min") else "max"

    def limit(self, config: Config) -> float | None:
        """The bound; none when the rule is out of use."""
        value: float | None = getattr(config, self.setting)
        return value

    def breaks(self, value: float | None, limit: float | None) -> bool:
        """Whether ``value`` lies beyond ``limit``; what was not measured breaks nothing."""
        if value is None or limit is None:
            return False
        return value < limit if self.side == "min" else value > limit


RULES = (  # the first that a frame breaks is the reason that it is given
    Rule("small", "min_side", lambda quality: min(quality.width, quality.height), decades=True),
    Rule("blurred", "min_sharpness", lambda quality: quality.sharpness, decades=True),
    Rule("dark", "min_brightness", lambda quality: quality.brightness),
    Rule("bright", "max_brightness", lambda quality: quality.brightness),
    Rule("underexposed", "max_dark", lambda quality: quality.dark),
    Rule("overexposed", "max_bright", lambda quality: quality.bright),
    Rule("flat", "min_contrast", lambda quality: quality.contrast),
    Rule("empty", "min_entropy", lambda quality: quality.entropy),
    Rule("colourless", "min_colourfulness", lambda quality: quality.colourfulness),
    Rule("text", "max_text", lambda quality: quality.text),
    Rule("watermark", "max_watermark", lambda quality: quality.watermark),
    Rule("unaesthetic", "min_aesthetic", lambda quality: quality.aesthetic),
    Rule("nsfw", "max_nsfw", lambda quality: quality.nsfw),
)


def broken(quality: Quality, config: Config) -> str:
    """The reason of the first rule that ``quality`` breaks; empty when it breaks none."""
    return next((rule.reason for rule in RULES if rule.breaks(rule.signal(quality), rule.limit(config))), "")


def check_measured(measured: Sequence[Quality], config: Config) -> None:
    """Refuse a bound on what was measured of no frame: it would look like a rule and never act.

    Raises:
        ConfigError: naming the setting.
    """
    for rule in RULES:
        if rule.limit(config) is not None and measured and all(rule.signal(each) is None for each in measured):
            raise ConfigError(
                f"clean.{rule.setting}: no frame was measured for it; choose a model in conf/config.yaml, or set null"
            )
