"""``python -m stages.registry COMMAND``: the registered versions of the model that params.yaml names.

list                               all of them, a line each
compare A B                        their scores side by side where these mean the same, and what differs in parameters
promote VERSION                    make it champion, if it passes the gate of register.gate
promote VERSION --anyway REASON    make it champion whatever the gate says of its scores; the reason stands on it
relocate                           mend the addresses of files after the project was moved or copied: shows what
relocate --yes                     it would do, and does it, with a backup of mlflow.db
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stages import config, terminal, tracking, versions
from stages.errors import ConfigError, DarkroomError
from stages.records import Reading, Score
from stages.register import gate, promotion
from stages.register.stage import Config
from stages.registry import relocation, words
from stages.registry.words import Side

log = logging.getLogger("stages")
Given = argparse.Namespace


def main(arguments: Sequence[str]) -> int:
    """Do what ``arguments`` say; 1 when the user has something to put right, or a version does not pass."""
    terminal.log_lines()
    given = _parser().parse_args(arguments)
    try:
        terminal.say(COMMANDS[given.command](given))
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    return 0


def list_versions(_: Given) -> str:
    """All versions, a line each."""
    settings = _settings()
    return words.table(versions.every(settings.name), settings.name, settings.gate.metric)


def compare(given: Given) -> str:
    """Two versions beside each other."""
    settings = _settings()
    one, other = _side(settings.name, given.one), _side(settings.name, given.other)
    parts = [words.scores(one, other), words.pictures(one, other, settings.gate), words.parameters(one, other)]
    return "\n\n".join(parts)


def promote(given: Given) -> str:
    """Make a version champion.

    Raises:
        ConfigError: when it does not pass the gate.
    """
    settings = _settings()
    version = versions.get(settings.name, given.version)
    if versions.CHAMPION in version.aliases:
        return f"version {version.number} of {settings.name} is champion already"
    found = promotion.consider(version, settings.gate, promote=True, anyway=given.anyway.strip())
    lines = "\n".join(f"  {each.state:6} {each.words}" for each in found)
    if versions.CHAMPION not in versions.get(settings.name, version.number).aliases:
        raise ConfigError(f"{settings.name}: version {version.number} stays what it is\n{lines}\n{_way_out(found)}")
    return f"version {version.number} of {settings.name} is champion\n{lines}"


def relocate(given: Given) -> str:
    """Mend the addresses of files after the project was moved or copied.

    Raises:
        ConfigError: when the store is not the project's own file.
    """
    if os.environ.get("MLFLOW_TRACKING_URI"):
        raise ConfigError("MLFLOW_TRACKING_URI: names a store elsewhere; unset it to mend this project's mlflow.db")
    store = tracking.root() / "mlflow.db"
    found = relocation.changes(store, tracking.root())
    if found and given.yes:
        backup = relocation.apply(store, found)
        return f"{words.moves(found)}\ndone; as it was before: {backup.name}"
    return f"{words.moves(found)}\nnothing is written yet: add --yes" if found else words.moves(found)


COMMANDS = {"list": list_versions, "compare": compare, "promote": promote, "relocate": relocate}


def _way_out(found: Sequence[gate.Finding]) -> str:
    if not promotion.promotable(found):
        return "register.gate.in_house=true takes such a version"
    return 'what is open or failed may be overruled: --anyway "the reason"'


def _settings() -> Config:
    return config.load(Path("params.yaml"), "register", Config)


def _side(name: str, number: int) -> Side:
    version = versions.get(name, number)
    arm = version.tags.get(promotion.ARM, "")
    found = {score.metric: score for score in versions.rows(version, Score) if score.arm == arm}
    return Side(version, found, versions.rows(version, Reading), versions.parameters(version))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stages.registry", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, help=function.__doc__) for name, function in COMMANDS.items()}
    made["compare"].add_argument("one", type=int, metavar="A")
    made["compare"].add_argument("other", type=int, metavar="B")
    made["promote"].add_argument("version", type=int, metavar="VERSION")
    made["promote"].add_argument("--anyway", default="", metavar="REASON", help="whatever the gate says of its scores")
    made["relocate"].add_argument("--yes", action="store_true", help="write it; without, only show it")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
