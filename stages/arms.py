"""Arms: the adapter as training left it and as it was on the way, and the files that hold them."""

from pathlib import Path

from stages.records import ADAPTER, Arm

STEP = "step-"


def file(trained: Path, arm: Arm) -> Path:
    """Where the adapter of ``arm`` lies in the folder that training left."""
    if arm == ADAPTER:
        return trained / "adapter.safetensors"
    return trained / "checkpoints" / f"{arm.removeprefix(STEP)}.safetensors"


def steps(arm: Arm) -> int | None:
    """After how many steps training had left ``arm``; None for its end."""
    return None if arm == ADAPTER else int(arm.removeprefix(STEP))


def named(arm: Arm) -> str:
    """``arm`` for people, as the end of a sentence: when training left it."""
    count = steps(arm)
    return "as training left it" if count is None else f"after {count} steps of training"
