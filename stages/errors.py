"""What can go wrong, by whose move it is to put it right.

    DarkroomError
    ├── ConfigError      a value in conf/ or params.yaml
    ├── TableError       a table between two stages
    ├── ImageError       a file that is not the picture it should be
    ├── SourceError      a folder, an archive or a rights file given by the user
    ├── FetchError       a request that did not bring what it should
    │   └── RobotsDenied the site asks us to stay away
    ├── TrackingError    MLflow, which does not answer
    └── ModelError       a base model, an adapter or what they were trained on

Messages read *where: what is wrong; what would be right*.
"""


class DarkroomError(Exception):
    """The root of every error that a user can do something about; anything else is a bug and keeps its traceback."""


class ConfigError(DarkroomError):
    """A value in ``conf/`` or ``params.yaml`` is missing, unknown or out of range."""


class TableError(DarkroomError):
    """A table between two stages is missing or malformed."""


class ImageError(DarkroomError):
    """A file is not the picture that it should be."""


class SourceError(DarkroomError):
    """A folder, an archive or a file of rights that the user named cannot be used."""


class FetchError(DarkroomError):
    """A request did not bring what it should have brought."""

    def __init__(self, message: str, *, status: int | None = None, excerpt: str = "", lasting: bool = False) -> None:
        super().__init__(message)
        self.status = status  # of the answer, where there was one
        self.excerpt = excerpt  # the head of its body
        self.lasting = lasting  # whether asking again soon would bring the same


class RobotsDenied(FetchError):
    """The site's robots.txt asks us to stay away from an address."""


class TrackingError(DarkroomError):
    """MLflow does not answer, or refuses what it is asked; what was computed does not hang on it."""


class ModelError(DarkroomError):
    """A base model or an adapter is missing, gated, or does not fit its family."""
