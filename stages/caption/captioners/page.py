"""The words that the picture's own page gives it: the alternative text, or else the title."""

from stages.caption.captioners import Captioner, speaking
from stages.config import settings


@settings
class Config:
    """Whether a page's title will do."""

    titles: bool  # use the title where there is no alternative text


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    return speaking("page", lambda item: item.alt or (item.title if config.titles else ""))
