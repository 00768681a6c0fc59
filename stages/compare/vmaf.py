"""VMAF, 0 to 100: how good people would find a video beside its original, by Netflix's model, through ffmpeg.

Li et al., "Toward A Practical Perceptual Video Quality Metric", 2016; the model was fitted to people three heights away
from a television with 1,080 lines, so of smaller videos it speaks as of that television's. Two equal videos have about
99.8 and seldom 100. ffmpeg with libvmaf is under the GPL: it is called as a program of its own, and is no dependency.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.errors import ImageError, ModelError

MODEL = "vmaf_v0.6.1"
CURE = "pip install 'darkroom[video]', or put an ffmpeg with libvmaf on the PATH"
# Frames are held against each other by their number, whatever their times; both are then shown at 25 a second.
FILTER = "[0:v]setpts=N/25/TB[other];[1:v]setpts=N/25/TB[reference];[other][reference]libvmaf=model=version={}:log_fmt=json:log_path=log.json"


class Ratings(NamedTuple):
    """What ffmpeg says."""

    library: str  # which libvmaf
    frames: NDArray[np.float64]  # float64[N], 0 to 100, of each frame


def ratings(reference: Path, other: Path) -> Ratings:
    """VMAF of each frame of ``other`` beside the same of ``reference``, two videos of as many frames of one size.

    Raises:
        ModelError: when there is no ffmpeg with libvmaf.
        ImageError: when ffmpeg cannot compare the two.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = [part for file in (other, reference) for part in _input(file)]
        graph = ["-lavfi", FILTER.format(MODEL), "-fps_mode", "passthrough", "-f", "null", "-"]
        command = [program(), "-hide_banner", "-nostdin", "-loglevel", "error", *inputs, *graph]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - no shell
        log = Path(folder, "log.json")
        if done.returncode or not log.is_file():
            raise _fault(done.stderr, command[0], reference, other)
        said = json.loads(log.read_bytes())
    return Ratings(said["version"], np.array([frame["metrics"]["vmaf"] for frame in said["frames"]]))


def program() -> str:
    """The path of ffmpeg: that of imageio-ffmpeg, which has libvmaf, where it is installed, else of the PATH.

    Raises:
        ModelError: when there is none.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        found = shutil.which("ffmpeg")
        if found is None:
            raise ModelError(f"VMAF: there is no ffmpeg; {CURE}") from None
        return found
    return str(get_ffmpeg_exe())


def _input(file: Path) -> list[str]:
    """A playlist must not lead elsewhere: nothing but files is opened."""
    return ["-protocol_whitelist", "file", "-i", str(file.resolve())]


def _fault(said: str, ffmpeg: str, reference: Path, other: Path) -> ImageError | ModelError:
    if "No such filter: 'libvmaf'" in said:
        return ModelError(f"VMAF: {ffmpeg} has no libvmaf; {CURE}")
    last = next(iter(reversed(said.strip().splitlines())), "it said nothing")
    return ImageError(
        f"{other} against {reference}: ffmpeg cannot compare them ({last}); re-encode what it cannot read"
    )
