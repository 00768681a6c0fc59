"""Every row that passes between stages. A dataclass is a row; its name is the file: ``Verdict`` is ``verdict.jsonl``.

Rows are keyed by ``id``. A picture's is the SHA-256 of its original bytes, so that a stage adds a table about pictures
and never rewrites another stage's. A row that owns bytes says where they lie: see ``shards.Place``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stages.shards import Place

Report = Mapping[str, float]  # what a stage counted or scored: written to data/reports, logged to MLflow

Scope = Literal["train", "publish", "show"]  # what people may agree to: a model learns, its weights go out, pictures do
Role = Literal["subject", "prior"]  # what the adapter should learn, and what it must not lose
Split = Literal["train", "heldout"]
Arm = str  # "base"; "adapter", as training ended; "step-00000150", as it was on the way
ROLES: tuple[Role, Role] = ("subject", "prior")
BASE: Arm = "base"
ADAPTER: Arm = "adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One statement about the rights to a picture, as it was found."""

    where: str  # "json-ld", "rel=license", "meta", "sidecar", "xmp" …
    raw: str  # the value itself, unchanged
    scope: Literal["picture", "page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One machine-readable statement on what may be done with a picture, as it was found and as it was read."""

    layer: Literal["site", "http", "html", "file", "registry"]
    kind: str  # "x-robots-tag", "meta robots", "content-usage", "tdmrep" …
    raw: str  # the value itself, unchanged
    verdict: Literal["allow", "deny", "unknown"]
    category: Literal["train-generative", "train-any", "tdm", "index"]  # what the verdict is about
    scope: Literal["picture", "page", "site"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture or video as it was fetched, with all that its source said of it. ``id`` is the SHA-256 of its bytes."""

    id: str
    url: str
    page: str  # that shows it, or its own address where none is known; empty for a file of the user's
    kind: Literal["image", "video"]
    alt: str  # alternative text, or a caption written by hand
    title: str
    author: str
    credit: str  # the credit line that the source asks for; empty when it asks for none
    licence: str  # SPDX or LicenseRef-…, the strictest that anyone stated; empty when none was, or one is unknown
    licence_evidence: tuple[Evidence, ...]
    signals: tuple[Signal, ...]  # on training with it, for and against
    consent: str  # id of the consent record that covers the people in it; empty when there is none
    group: str  # whatever shares it never crosses the split: by the user's word or the file's name; empty for pages
    place: Place  # in crawl's shards


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Which parts of a picture are to be learned: grey pixels in its size, white where it counts. ``id`` is the picture's."""

    id: str  # an item's, or a sample's
    place: Place  # in crawl's shards, as it was given, or in prepare's, PNG


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """That people agreed to something. It names them by pseudonyms only; the signed paper lies elsewhere."""

    id: str  # as ``Item.consent`` names it
    subjects: tuple[str, ...]  # pseudonyms
    basis: str  # "model release", "employment contract", "parents' consent" …
    scope: tuple[Scope, ...]
    granted: str  # YYYY-MM-DD, the first day on which it counts
    expires: str  # YYYY-MM-DD, the last day; empty when it has none
    revoked: str  # YYYY-MM-DD, the first day on which it counts no more; empty when it was not
    evidence: str  # SHA-256 of the signed paper; empty when there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a stage could not do with one thing, and why. ``id`` is its own, or the SHA-256 of an address."""

    id: str
    what: str  # an address, an item's url, or a sample's words
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One still picture: an ``Item`` itself, or a moment of a video. ``id`` is the item's, or made of video and time."""

    id: str
    item: str  # id of the ``Item``
    pts: int  # presentation time stamp in the video, exact, in units of ``time_base``; 0 for a picture
    time_base: str  # seconds, as a fraction: "1/12800"; empty for a picture
    time_ms: float  # of presentation, from the first frame of the video; 0 for a picture
    store: Literal["crawl", "frames"]  # whose shards hold the bytes
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle in pixels of the upright picture, and what a detector says of it."""

    left: int
    top: int
    width: int
    height: int
    score: float  # the detector's certainty, 0 to 1; 1 where it gives none
    landmarks: tuple[tuple[float, float], ...]  # x and y of eyes, nose and corners of the mouth; empty where not found


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What ``measure`` found in one frame. Facts only: ``clean`` decides what they mean."""

    id: str
    width: int  # pixels, upright
    height: int  # pixels, upright
    format: str  # by content, whatever the name says: "JPEG", "PNG", "WEBP" …
    sharpness: float  # variance of the Laplacian at ``measure.side``; 0 for a flat picture
    brightness: float  # mean of the grey picture, 0 to 255
    contrast: float  # standard deviation of the grey picture, 0 to 127.5
    dark: float  # share of the grey picture near black, below 32 of 255: 0 to 1
    bright: float  # share of the grey picture near white, above 223 of 255: 0 to 1
    entropy: float  # bits of the grey picture's histogram, 0 to 8; 0 for a flat picture
    colourfulness: float  # of Hasler and Süsstrunk: 0 is grey, from about 33 moderately colourful, from 82 highly
    hash: str  # 64 hex digits: 256-bit perceptual hash, PDQ
    hash_quality: int  # 0 to 100: how much there was to hash; below 50 near hashes mean little
    text: float  # share of the picture under rows of what looks like letters, 0 to 1
    watermark: float  # 0 to 1: how likely there is lettering along the upper or lower edge, where marks stand
    faces: tuple[Region, ...]
    aesthetic: float | None  # by the chosen model, on its own scale; none when none was chosen
    nsfw: float | None  # probability by the chosen model, 0 to 1; none when none was chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The one policy by which ``clean`` judged the rights to all frames. ``id`` is its digest, see ``rights.digest``."""

    id: str
    policy: str  # its name, as in conf/policy
    commercial: bool  # the declared use: the model may earn money
    publish: bool  # its weights leave the house
    word_of: Literal[
        "all", "sidecar"
    ]  # whose statements on licences counted; sidecar: only what the user stated by hand
    settings: Mapping[str, str]  # all of the policy, as text: "use.publish" to "true"
    consent_on: str  # YYYY-MM-DD, the day on which a consent had to count


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one frame stays, and if not, why. ``reason`` is empty when it stays."""

    id: str
    keep: bool
    reason: str
    twin: str  # id of the frame that stays in its stead, or whose refusal it shares: "twin", "twin of opted out" …


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """The pixels of one frame after people in it were made unrecognisable; they stand in for the original."""

    id: str
    regions: int  # that were redacted: faces, and what else the policy names
    place: Place  # in anonymise's shards, PNG with licence and credit


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """The words for one kept frame."""

    id: str
    text: str
    role: Role
    by: str  # "hand", or the captioner with its model's repository and revision; empty where nobody had words


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionPart:
    """What one captioner said of one frame. ``id`` is made of frame and captioner."""

    id: str
    frame: str
    captioner: str
    model: str  # repository and revision, or the digest of a local folder; empty where no model spoke
    text: str  # cleaned, not cut
    score: float | None  # mean agreement with the other captioners, 0 to 1; None where nobody else was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training-ready picture. ``id`` is the frame's, with the number of the variant."""

    id: str
    frame: str
    variant: int  # 0 is the plain crop, the others are augmented
    text: str
    role: Role
    split: Split
    group: str  # near-duplicates and pictures of one page share it, and never cross the split
    width: int  # pixels: of its bucket
    height: int  # pixels: of its bucket
    source_width: int  # pixels of the whole upright picture, before it was scaled and cropped
    source_height: int  # likewise
    crop_left: (
        int  # pixels of the whole picture, scaled as the sample is, that lie left of it; in the mirror, if mirrored
    )
    crop_top: int  # likewise, above it; both are below 0 where the sample reaches beyond the picture's edge
    digest: str  # SHA-256 of its PNG: what was made of it before is found again by this
    weight: float  # how often training draws it, beside another's 1
    place: Place  # in prepare's shards, PNG with licence and credit


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of the training curves. ``id`` is the step, with leading zeros."""

    id: str
    step: int
    loss: float  # mean training loss since the point before, weighted as trained
    rate: float  # learning rate
    heldout_loss: float | None  # of the subject's held-out pictures, fixed timesteps and noise
    prior_loss: float | None  # of the prior's held-out pictures, likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every arm is asked to draw. ``id`` is the digest of all of it: prompts, seeds and sampling."""

    id: str
    prompts: int
    pictures: int  # by each arm
    width: int  # pixels
    height: int  # pixels
    steps: int  # of the sampler
    guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generated picture. ``id`` is made of prompt, seed and arm."""

    id: str
    arm: Arm
    prompt: str
    role: Role
    seed: int
    place: Place  # in generate's shards, PNG


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of one arm with its interval. ``id`` is the metric, and the arm where that is not the adapter.

    ``adapter`` is the arm's value and ``delta`` that minus the base's. Two scores may be compared where their
    ``definition`` is the same: it stands for all that the number depends on but the model.
    """

    id: str
    metric: str
    arm: Arm
    base: float | None
    adapter: float | None
    delta: float | None
    low: float | None  # of the 95 % interval of ``delta``, or of ``base`` where there is no adapter to compare
    high: float | None
    count: int  # pictures behind it
    clusters: int  # of pictures that were drawn together for the interval
    unit: Literal["prompt", "picture", "group"]  # what a cluster is
    definition: str  # 16 hex digits
    better: Literal["lower", "higher", "neither"]
    verdict: Literal["better", "worse", "no evidence", "kept", "lost", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureScore:
    """One metric of one held-out picture by one arm. ``id`` is made of the three."""

    id: str
    metric: str
    arm: Arm
    sample: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How many pictures of ``arm`` a judge took for one class where another was asked. ``id`` is made of the three."""

    id: str
    arm: Arm
    asked: str  # the class that prompts named
    seen: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One held-out picture as it judged a registered version: later ones are compared by it. ``id`` is the sample's."""

    id: str
    group: str  # as ``Sample.group``
    metric: str
    definition: str  # as ``Score.definition``
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Which arm to take. ``id`` is the arm."""

    id: Arm
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One kind of the subject's pictures, and whether less of it was learned than of the rest. ``id`` names what they share."""

    id: str  # "word=lying", "word=lying & bucket=64x64"
    samples: tuple[str, ...]  # ids of those that are held out
    groups: int  # of these that belong together
    trained: int  # pictures to train on
    learned: float  # mean log of adapter's over base's loss of the held-out pictures; the lower, the more
    rest: float  # the same of all others
    effect: float  # how far it is behind the rest, in standard deviations of single pictures
    p: float  # probability of so much by chance, one-sided
    q: float  # ``p`` adjusted for the number of slices that were tested
    flagged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the next crawl should look for. ``id`` is the slice's."""

    id: str
    words: tuple[str, ...]  # to search for, the most telling first
    site: str  # where, if the slice is of one; empty: anywhere
    policy: str  # by which the rights to what is found will be judged, as they were
    count: int  # pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How often the next training should draw one picture. ``id`` is the frame's; their mean is 1."""

    id: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heldout:
    """One frame that was held out once, and so is held out for ever. ``id`` is the frame's."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """That a result was written to MLflow. ``id`` is the result's digest: no run id and no clock, so it never differs."""

    id: str
    what: str  # "tracked", or the registered model's name; empty when the gate kept it out
