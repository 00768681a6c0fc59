"""``python -m stages STAGE --FOLDER PATH …``: run one stage as ``dvc.yaml`` does.

A stage is an ordinary function, ``stages.STAGE.stage.run``. Only this file knows of command lines, of ``params.yaml``,
of logging and of exit codes.
"""

import argparse
import importlib
import inspect
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from stages import config, machine, schemas, terminal
from stages.errors import DarkroomError
from stages.records import Report
from stages.tables import replace

log = logging.getLogger("stages")

MOST = 8  # numbers on the line that a stage ends with


def main(argv: Sequence[str]) -> int:
    """Run the stage that ``argv`` names; 0 when it went well, 1 when the user has something to put right."""
    terminal.log_lines()
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)  # of libraries, about themselves
    try:
        _run(argv)
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell counts it; what was done before stays
    except Exception as error:
        if not machine.disk_is_full(error):
            raise
        log.error("%s: the disk is full; free some space and run `dvc repro` again, it goes on from here", argv[0])
        return 1
    return 0


def _run(argv: Sequence[str]) -> None:
    if not argv or argv[0] not in schemas.stages():
        raise DarkroomError(
            f"usage: python -m stages STAGE --FOLDER PATH …; the stages are: {', '.join(schemas.stages())}"
        )
    name = argv[0]
    stage = importlib.import_module(f"stages.{name}.stage")
    folders = [p.name for p in inspect.signature(stage.run).parameters.values() if p.kind is p.KEYWORD_ONLY]
    parser = argparse.ArgumentParser(prog=f"python -m stages {name}", description=stage.__doc__)
    for folder in [*folders, "report"]:
        parser.add_argument(f"--{folder}", type=Path, required=True)
    arguments = parser.parse_args(argv[1:])
    settings = config.load(Path("params.yaml"), name, stage.Config)
    report: Report = stage.run(settings, **{folder: getattr(arguments, folder) for folder in folders})
    replace(arguments.report, (json.dumps(report, indent=2, sort_keys=True) + "\n").encode())
    log.info("%s: %s", name, _summary(report))


def _summary(report: Report) -> str:
    """The first numbers of ``report`` that are not 0; the file holds them all."""
    said = [f"{key} {_short(value)}" for key, value in report.items() if value]
    return ", ".join(said[:MOST]) + (f" and {len(said) - MOST} more" if len(said) > MOST else "") or "nothing to count"


def _short(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.4g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
