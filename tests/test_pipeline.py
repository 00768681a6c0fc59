"""That ``dvc.yaml``, ``conf/``, ``params.yaml``, ``pyproject.toml`` and the code tell the same story.

Every check is a pure function of parsed files that names the faults, so that the second half can break a copy and see
each one caught.
"""

import ast
import copy
import graphlib
import inspect
import json
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from stages import params, plugins, schemas

ROOT = Path(__file__).parent.parent
SOURCES = {file.relative_to(ROOT).as_posix(): file.read_text() for file in sorted((ROOT / "stages").rglob("*.py"))}
DEFINED = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
FOLDERS = {Path(file).parent.name for file in SOURCES if file.endswith("/stage.py")}
STAGES = sorted(FOLDERS)

HEAVY = ("torch", "diffusers", "transformers", "lightning", "mlflow")
NOT_GROUPS = {"hydra_plugins", "hydra/launcher", "hydra/sweeper"}  # the last two are chosen for a sweep alone
ADDED = {"experiment", "sweep"}  # groups that are chosen by +GROUP=NAME and stand in no list of defaults
OWN = "data/own"  # the one folder of data/ that no stage makes


# What the code says, read without running it


def is_typing_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def running_nodes(tree):
    """All nodes but those that only a type checker sees."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.orelse if is_typing_only(node) else ast.iter_child_nodes(node)


@cache
def dotted_names(source):
    """The dotted names that ``source`` imports, and those that stand in it as text (``plugins.build("stages.x", …)``)."""
    return list(each_dotted_name(source))


def each_dotted_name(source):
    for node in running_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("stages."):
            yield node.value


def imported(source, sources):
    """The files of ``sources`` that ``source`` itself imports; the file of ``stages`` itself holds nothing."""
    files = set()
    for name in dotted_names(source):
        stem = name.replace(".", "/")
        files |= {file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in sources and name != "stages"}
    return files


def code_of(stage, sources):
    """All that ``stage`` may run: its folder, what that imports, and of every package of parts each part."""
    found, waiting = set(), [file for file in sources if file.startswith(f"stages/{stage}/")]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        waiting += imported(sources[file], sources)
        if file.endswith("/__init__.py"):
            waiting += [other for other in sources if other.startswith(file.removesuffix("__init__.py"))]
    return found


def is_below(path, folders):
    return any(Path(path).is_relative_to(folder) for folder in folders)


def missing_code(stage, deps, sources):
    return sorted(file for file in code_of(stage, sources) if not is_below(file, deps))


def idle_code(stage, deps, sources):
    code = code_of(stage, sources)
    return sorted(dep for dep in deps if dep.startswith("stages/") and not any(is_below(file, [dep]) for file in code))


def other_stages(stage, sources, stages):
    return sorted({Path(file).parts[1] for file in code_of(stage, sources)} & (set(stages) - {stage}))


def cycles(sources):
    """A cycle of modules that import each other, if there is one."""
    graph = {file: imported(source, sources) - {file} for file, source in sources.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def with_defaults(source):
    """The settings in ``source`` that hold a value, which belongs into conf/."""
    return [
        f"{node.name}.{field.target.id}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and "settings" in map(ast.unparse, node.decorator_list)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and field.value is not None
    ]


# What dvc.yaml says


def flags(definition):
    words = shlex.split(definition["cmd"])
    assert len(words) % 2 == 0
    return {word.removeprefix("--"): value for word, value in zip(words[4::2], words[5::2], strict=True)}


def outputs(definition, kind="outs"):
    return [name for each in definition.get(kind, []) for name in ([each] if isinstance(each, str) else each)]


def command_faults(stage, definition, arguments):
    """What is wrong with the command of ``stage``, whose ``run`` takes ``arguments``."""
    given, words = flags(definition), shlex.split(definition["cmd"])
    wrong = [] if words[:4] == ["python", "-m", "stages", stage] else [f"runs {words[:4]}"]
    wrong += [f"--{flag} is not of run" for flag in sorted(set(given) - {*arguments, "report"})]
    wrong += [f"--{flag} is missing" for flag in sorted({*arguments, "report"} - set(given))]
    if given.get("out") not in outputs(definition) or given.get("out") != f"data/{stage}":
        wrong.append(f"--out {given.get('out')} is not its output")
    if [given.get("report")] != outputs(definition, "metrics") or given.get("report") != f"data/reports/{stage}.json":
        wrong.append(f"--report {given.get('report')} is not its metrics")
    return wrong


def input_faults(stage, defined):
    """Inputs that DVC does not watch, and watched ones that are no input."""
    definition = defined[stage]
    written = ["out", "report", *("plots" for _ in definition.get("plots", []))]
    read = {flag: path for flag, path in flags(definition).items() if flag not in written}
    if read.get("lock") == "dvc.lock":
        del read["lock"]  # DVC writes it after every stage: it can be no dependency of one
    before = list(defined)[: list(defined).index(stage)]
    if read.get("reports") == "data/reports":
        del read["reports"]
        read |= {name: f"data/reports/{name}.json" for name in before if name != "compose"}
    wrong = [f"{path} is not watched" for path in read.values() if not is_below(path, definition["deps"])]
    watched = [dep for dep in definition["deps"] if dep.startswith("data/")]
    wrong += [f"{dep} is no input" for dep in watched if dep not in read.values()]
    made = [
        OWN,
        *(out for name in before for kind in ("outs", "metrics", "plots") for out in outputs(defined[name], kind)),
    ]
    return wrong + [f"{dep} is made by no stage before" for dep in watched if dep not in made]


def unmatched_stages(defined, folders, conf_files):
    """Stages that are not in all of dvc.yaml, stages/ and conf/."""
    named = set(defined) - {"compose"}
    return sorted((named ^ folders) | (named - conf_files))


def contract_faults(contracts, folders, modules):
    """Stages and modules that the contracts of import-linter forget."""
    by_type = {contract["type"]: contract for contract in contracts}
    independent = by_type["independence"]["modules"]
    layered = [name for layer in by_type["layers"]["layers"] for name in layer.replace(":", "|").split(" | ")]
    return {
        "not independent": sorted({f"stages.{name}" for name in folders} ^ set(independent)),
        "in no layer": sorted({f"stages.{name}" for name in modules} ^ set(layered)),
        "in two layers": sorted({name for name in layered if layered.count(name) > 1}),
    }


# What conf/ says


def defaults(text):
    """The groups in the list of defaults of ``text``."""
    choices = [each for each in yaml.safe_load(text)["defaults"] if isinstance(each, dict)]
    return {key.split()[-1].split("@")[0].lstrip("/") for each in choices for key in each}


def group_faults(folders, chosen):
    """Folders of conf/ that are no group, and groups without a folder."""
    return sorted(folders - chosen - ADDED - NOT_GROUPS) + sorted(chosen - folders)


def group_folders():
    """The folders of conf/ that hold anything, also those inside others, as Hydra names them."""
    files = [file for file in (ROOT / "conf").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return {file.parent.relative_to(ROOT / "conf").as_posix() for file in files} - {"."}


def options():
    """An override for every option of every group."""
    found = [file.relative_to(ROOT / "conf") for file in sorted((ROOT / "conf").rglob("*/*.yaml"))]
    found = [file for file in found if file.parent.as_posix() not in NOT_GROUPS]
    group = [(file.parent.as_posix(), file.stem) for file in found]
    return [f"{'+' if name in ADDED else ''}{name}={option}" for name, option in group]


OPTIONS = options()


@cache
def values_of(override):
    return yaml.safe_load(params.composed([override] if override else []))


def parts_of(values):
    """(package, choice) for each part that the sections of the stages choose."""
    found = [
        (schemas.package_of(stage, keys, choice["name"]), choice)
        for stage in STAGES
        for keys, choice in schemas.choices(values.get(stage, {}))
    ]
    return [*found, (f"stages.{schemas.FAMILIES}", {"name": values["train"]["family"]})]


def packages_of_parts():
    """The packages whose modules can be built by name."""
    built = {file for file, source in SOURCES.items() if "\ndef build(" in source and "\nclass Config" in source}
    return sorted({".".join(Path(file).parent.parts) for file in built})


# What imports cost


def heavy_imports(modules, *, path=ROOT):
    """The heavy packages that each of ``modules`` brings along first, in one fresh interpreter."""
    code = (
        "import importlib, json, sys\nfound, seen = {}, set()\n"
        f"for name in {list(modules)!r}:\n"
        "    importlib.import_module(name)\n"
        f"    new = {set(HEAVY)!r} & set(sys.modules) - seen\n"
        "    seen |= new\n"
        "    found |= {name: sorted(new)} if new else {}\n"
        "sys.stdout.write(json.dumps(found))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


# The house as it stands


def test_these_tests_see_all_stages_and_all_code():
    assert len(STAGES) == len(list((ROOT / "stages").glob("*/stage.py"))) == len(DEFINED) - 1 >= 14
    assert len(SOURCES) == len([file for file in (ROOT / "stages").rglob("*.py") if file.read_text()]) >= 90


def test_every_stage_stands_in_dvc_yaml_in_stages_and_in_conf():
    files = {file.stem for file in (ROOT / "conf").glob("*.yaml")} - {"config"}
    assert unmatched_stages(DEFINED, FOLDERS, files) == []
    assert files == FOLDERS


def test_every_stage_has_a_folder_of_tests():
    assert {file.parent.name for file in (ROOT / "tests").glob("*/test_*.py")} >= FOLDERS


def test_params_yaml_is_what_conf_composes_to():
    assert (ROOT / "params.yaml").read_text() == params.composed(), "run: python -m stages.params"


def test_every_folder_of_conf_is_a_group_that_the_defaults_choose():
    assert group_faults(group_folders(), defaults((ROOT / "conf/config.yaml").read_text())) == []


def test_every_option_of_every_group_is_tried():
    files = [file for file in (ROOT / "conf").rglob("*.yaml") if file.parent != ROOT / "conf"]
    files = [file for file in files if file.parent.relative_to(ROOT / "conf").as_posix() not in NOT_GROUPS]
    assert len(OPTIONS) == len(set(OPTIONS)) == len(files) >= 11


@pytest.mark.parametrize("override", [None, *OPTIONS])
def test_every_option_of_every_group_composes_and_fits_the_stages_and_their_parts(override):
    assert schemas.faults(values_of(override)) == []
    assert all(package for package, _ in parts_of(values_of(override)))


def test_every_part_is_chosen_by_some_option():
    chosen = {(package, choice["name"]) for override in OPTIONS for package, choice in parts_of(values_of(override))}
    there = {(package, name) for package in packages_of_parts() for name in plugins.names(package)}
    assert there - chosen == set()
    assert len(packages_of_parts()) >= 7


@pytest.mark.parametrize("file", sorted(SOURCES))
def test_settings_hold_no_values(file):
    assert with_defaults(SOURCES[file]) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_its_own_section_and_no_other(stage):
    assert DEFINED[stage]["params"] == [stage]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_that_it_runs(stage):
    assert missing_code(stage, DEFINED[stage]["deps"], SOURCES) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_run(stage):
    assert idle_code(stage, DEFINED[stage]["deps"], SOURCES) == []


def test_the_first_stage_depends_on_conf_and_the_code_that_composes_it():
    code = {"stages/params.py"}
    while more := {file for each in code for file in imported(SOURCES[each], SOURCES)} - code:
        code |= more
    assert set(DEFINED["compose"]["deps"]) == {"conf", *code}
    assert outputs(DEFINED["compose"]) == ["params.yaml"]
    assert shlex.split(DEFINED["compose"]["cmd"]) == ["python", "-m", "stages.params", "--stage"]


def test_the_package_itself_holds_nothing_that_a_stage_would_depend_on():
    assert [type(node) for node in ast.parse(SOURCES["stages/__init__.py"]).body] == [ast.Expr]


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_gives_run_its_arguments(stage):
    run = import_module(f"stages.{stage}.stage").run
    arguments = [each.name for each in inspect.signature(run).parameters.values() if each.kind is each.KEYWORD_ONLY]
    assert command_faults(stage, DEFINED[stage], arguments) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_is_given_and_on_no_other_data(stage):
    assert input_faults(stage, DEFINED) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(stage):
    assert other_stages(stage, SOURCES, STAGES) == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(SOURCES) == []


def test_the_contracts_know_every_stage_and_every_module():
    assert not any(contract_faults(CONTRACTS, FOLDERS, plugins.names("stages")).values())


def test_no_stage_and_no_part_imports_anything_heavy_before_it_works():
    """So the first stage can check all settings, whatever is chosen, and a stage that has nothing to do starts at once."""
    parts = [f"{package}.{name}" for package in packages_of_parts() for name in plugins.names(package)]
    modules = ["stages.__main__", "stages.params", *(f"stages.{name}.stage" for name in STAGES), *parts]
    assert len(modules) >= len(STAGES) + 40
    assert heavy_imports(modules) == {}
    assert all(find_spec(name) for name in HEAVY)


# The same checks over a broken copy


def broken(stage, **changes):
    return copy.deepcopy(DEFINED) | {stage: copy.deepcopy(DEFINED[stage]) | changes}


def test_a_forgotten_or_foreign_stage_is_caught():
    files = set(FOLDERS)
    assert unmatched_stages(DEFINED, FOLDERS | {"publish"}, files) == ["publish"]
    assert unmatched_stages(DEFINED | {"publish": {}}, FOLDERS, files) == ["publish"]
    assert unmatched_stages(DEFINED, FOLDERS, files - {"clean"}) == ["clean"]


def test_forgotten_code_is_caught():
    deps = [dep for dep in DEFINED["clean"]["deps"] if dep != "stages/hashes.py"]
    assert missing_code("clean", deps, SOURCES) == ["stages/hashes.py"]


def test_code_that_is_only_imported_by_what_is_imported_is_caught():
    deps = [dep for dep in DEFINED["caption"]["deps"] if dep != "stages/errors.py"]
    lazy = SOURCES | {"stages/caption/captioners/page.py": "def build(config):\n    from stages import hashes\n"}
    assert missing_code("caption", deps, SOURCES) == ["stages/errors.py"]
    assert missing_code("caption", DEFINED["caption"]["deps"], lazy) == ["stages/hashes.py"]


def test_code_of_a_part_outside_the_stage_is_caught():
    more = SOURCES | {"stages/detectors/new.py": "from stages import licences"}
    assert missing_code("measure", DEFINED["measure"]["deps"], more) == ["stages/licences.py"]
    deps = [dep for dep in DEFINED["encode"]["deps"] if dep != "stages/families"]
    assert "stages/families/tiny.py" in missing_code("encode", deps, SOURCES)


def test_a_package_of_parts_that_is_only_named_is_caught():
    source = 'from stages import plugins\nplugins.build("stages.detectors", {})'
    missing = missing_code("caption", DEFINED["caption"]["deps"], SOURCES | {"stages/caption/stage.py": source})
    assert "stages/detectors/lbp.py" in missing


def test_what_only_a_type_checker_imports_is_no_dependency():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stages import hashes\nelse:\n    import stages.web"
    assert imported(source, SOURCES) == {"stages/web/__init__.py"}


def test_code_that_is_not_run_is_caught():
    assert idle_code("clean", [*DEFINED["clean"]["deps"], "stages/denoising.py"], SOURCES) == ["stages/denoising.py"]


def test_an_import_of_another_stage_is_caught():
    more = SOURCES | {"stages/clean/verdicts.py": "from stages.measure import signals"}
    assert other_stages("clean", more, STAGES) == ["measure"]


def test_a_circle_of_imports_is_caught():
    assert cycles(SOURCES | {"stages/errors.py": "import stages.records"})


def test_a_value_in_the_code_is_caught():
    assert with_defaults("@settings\nclass Config:\n    steps: int\n    lr: float = 0.1\n") == ["Config.lr"]


def test_a_flag_too_many_or_too_few_is_caught():
    command = DEFINED["frames"]["cmd"]
    wrong = broken("frames", cmd=command.replace("--crawled", "--crawl"))["frames"]
    assert command_faults("frames", wrong, ["crawled", "out"]) == ["--crawl is not of run", "--crawled is missing"]
    wrong = broken("frames", cmd=command.replace("--report data/reports/frames.json", ""))["frames"]
    assert command_faults("frames", wrong, ["crawled", "out"])[0] == "--report is missing"


def test_a_command_of_another_stage_or_output_is_caught():
    command = DEFINED["frames"]["cmd"]
    wrong = broken("frames", cmd=command.replace("stages frames", "stages clean"))["frames"]
    assert command_faults("frames", wrong, ["crawled", "out"]) == ["runs ['python', '-m', 'stages', 'clean']"]
    wrong = broken("frames", cmd=command.replace("--out data/frames", "--out data/stills"))["frames"]
    assert command_faults("frames", wrong, ["crawled", "out"]) == ["--out data/stills is not its output"]
    wrong = broken("frames", metrics=["data/reports/clean.json"])["frames"]
    assert command_faults("frames", wrong, ["crawled", "out"]) == [
        "--report data/reports/frames.json is not its metrics"
    ]


def test_an_input_that_is_not_watched_is_caught():
    deps = [dep for dep in DEFINED["clean"]["deps"] if dep != "data/measure"]
    assert input_faults("clean", broken("clean", deps=deps)) == ["data/measure is not watched"]
    deps = [dep for dep in DEFINED["track"]["deps"] if dep != "data/reports/clean.json"]
    assert input_faults("track", broken("track", deps=deps)) == ["data/reports/clean.json is not watched"]


def test_data_that_nobody_reads_or_makes_is_caught():
    deps = [*DEFINED["clean"]["deps"], "data/old"]
    faults = ["data/old is no input", "data/old is made by no stage before"]
    assert input_faults("clean", broken("clean", deps=deps)) == faults


def test_a_stage_that_a_contract_forgets_is_caught():
    faults = contract_faults(CONTRACTS, FOLDERS | {"publish"}, [*plugins.names("stages"), "publish"])
    assert faults["not independent"] == faults["in no layer"] == ["stages.publish"]


def test_an_unknown_folder_and_a_group_without_options_are_caught():
    chosen = defaults("defaults: [crawl, {source: [sample]}, {override /judge@evaluate.judge: none}, _self_]")
    assert chosen == {"source", "judge"}
    assert group_faults({"source", "judge", "experiment", "hydra_plugins", "sampler"}, chosen) == ["sampler"]
    assert group_faults({"judge"}, chosen) == ["source"]


def test_a_heavy_import_is_caught(tmp_path):
    (tmp_path / "torch.py").touch()
    (tmp_path / "light.py").write_text("import json")
    (tmp_path / "heavy.py").write_text("import light, torch")
    assert heavy_imports(["light", "heavy"], path=tmp_path) == {"heavy": ["torch"]}
