import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages import params
from stages.errors import ConfigError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of conf/ that a test may change, as the project of the working folder."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("__pycache__"))
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        yield tmp_path
    params.stamp()  # the resolvers look at the real conf/ again


def changed(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def edited(text, *at, value):
    """``text`` with another value at the keys ``at``, and its stamp left as it is."""
    values = yaml.safe_load(text)
    inner = values
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return yaml.safe_dump(values, sort_keys=False)


def test_what_is_composed_is_stamped_with_the_digests_of_conf_and_of_its_values(project):
    mark = yaml.safe_load(params.composed())[params.STAMP]
    assert mark["conf"] == params.stamp().conf_digest(project / "conf")
    assert mark["values"] == params.stamp().values_digest(yaml.safe_load(params.composed()))
    assert all(len(mark[key]) == 16 for key in ("conf", "values"))


def test_composing_twice_gives_the_same_bytes_and_nothing_is_left_to_fill_in(project):
    assert params.composed() == params.composed()
    assert "${" not in params.composed()


def test_an_override_changes_its_value_and_the_digest_of_values_and_not_that_of_conf(project):
    plain, other = (yaml.safe_load(params.composed(each)) for each in ([], ["train.rank=3"]))
    assert other["train"]["rank"] == 3 != plain["train"]["rank"]
    assert other[params.STAMP]["conf"] == plain[params.STAMP]["conf"]
    assert other[params.STAMP]["values"] != plain[params.STAMP]["values"]


def test_a_value_that_two_sections_share_changes_in_both(project):
    values = yaml.safe_load(params.composed(["crawl.shard_digits=2", "+experiment=digits"]))
    assert values["frames"]["shard_digits"] == values["encode"]["shard_digits"] == 2


def test_dvc_composes_the_same_bytes(project):
    from dvc.utils.hydra import compose_and_dump

    for overrides in ([], ["train.rank=3", "source=folder", "+experiment=digits"]):
        compose_and_dump(
            project / "dvc.out.yaml", str(project / "conf"), None, "config", str(project / "conf"), overrides
        )
        assert (project / "dvc.out.yaml").read_text() == params.composed(overrides)


def test_where_there_is_no_file_it_is_composed(project):
    assert params.renewed(None) == params.composed()


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_empty_file_as_a_full_disk_leaves_it_is_composed_anew(project, text):
    assert params.renewed(text) == params.composed()


def test_where_conf_is_what_it_was_overrides_are_kept(project):
    text = params.composed(["train.steps=5", "source=folder"])
    assert params.renewed(text) == text != params.composed()


def test_comments_and_line_breaks_are_no_edit(project):
    text = f"# a note\n\n{params.composed()}"
    assert params.renewed(text) == text


@pytest.mark.parametrize("how", ["value", "comment", "new file", "renamed", "removed"])
def test_where_conf_changed_the_values_are_composed_anew(project, how):
    text, conf = params.composed(["train.steps=5"]), project / "conf"
    if how == "value":
        changed(conf / "train.yaml", "checkpoint_every: ", "checkpoint_every: 1")
    elif how == "comment":
        changed(conf / "train.yaml", "train:", "train:  # a note")
    elif how == "new file":
        (conf / "captioner" / "new.yaml").write_text("# @package caption.captioner\nname: new\n")
    elif how == "renamed":
        (conf / "captioner" / "page.yaml").rename(conf / "captioner" / "pages.yaml")
        changed(conf / "config.yaml", "captioner: page", "captioner: pages")
    else:
        (conf / "source" / "web.yaml").unlink()
    assert params.renewed(text) == params.composed() != text


@pytest.mark.parametrize(
    ("at", "value", "line"),
    [
        (("train", "rank"), 99, "train.rank: {} -> 99"),
        (("train", "alpha"), 7, "train.alpha: {} -> 7"),
        (("caption", "captioner", "titles"), None, "caption.captioner.titles: {} -> None"),
        (("prepare", "buckets"), [[8, 8]], "prepare.buckets: {} -> [[8, 8]]"),
        (("clean", "new"), None, "clean.new: (not there) -> None"),
        (("extra",), {"a": 1}, "extra: (not there) -> {{'a': 1}}"),
        (("family", "steps"), 99, "family.steps: {} -> 99"),
    ],
)
def test_an_edit_by_hand_is_an_error_with_a_line_for_each_key(project, at, value, line):
    text = params.composed()
    before = yaml.safe_load(text)
    for key in at:
        before = before.get(key) if isinstance(before, dict) else None
    with pytest.raises(ConfigError) as error:
        params.renewed(edited(text, *at, value=value))
    lines = str(error.value).splitlines()
    assert lines[0] == "params.yaml: it was edited by hand. Against what conf/ composes it says"
    assert lines[1:-1] == [f"  {line.format(before)}"]
    assert "dvc exp run -S KEY=VALUE" in lines[-1]


def test_an_edit_is_seen_even_where_the_numbers_are_equal(project):
    values = yaml.safe_load(params.composed())
    whole = edited(params.composed(), "train", "alpha", value=int(values["train"]["alpha"]))
    with pytest.raises(ConfigError, match=r"train.alpha: \d+\.0 -> \d+\n"):
        params.renewed(whole)


def test_a_date_written_by_hand_is_an_edit_like_any_other(project):
    salt = yaml.safe_load(params.composed())["prepare"]["salt"]
    with pytest.raises(ConfigError, match=f"prepare.salt: {salt} -> 2024-01-01"):
        params.renewed(params.composed().replace(f"salt: {salt}", "salt: 2024-01-01"))


def test_a_line_taken_out_is_an_edit_even_where_it_said_nothing(project):
    assert "  embedding: null\n" in params.composed()
    with pytest.raises(ConfigError, match=r"measure.embedding: None -> \(not there\)"):
        params.renewed(params.composed().replace("  embedding: null\n", ""))


def test_an_edit_by_hand_is_an_error_even_when_conf_changed_too(project):
    text = edited(params.composed(), "train", "rank", value=99)
    changed(project / "conf" / "train.yaml", "train:", "train:  # a note")
    with pytest.raises(ConfigError, match="edited by hand"):
        params.renewed(text)


@pytest.mark.parametrize("mark", [None, {}, 3, "x", {"values": "0" * 16}])
def test_a_broken_stamp_is_an_edit_by_hand(project, mark):
    with pytest.raises(ConfigError, match="edited by hand"):
        params.renewed(edited(params.composed(), params.STAMP, value=mark))


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> theirs\n", "a: [", "- a", "text"])
def test_a_file_without_values_is_the_users_to_put_right(project, text):
    with pytest.raises(ConfigError, match="no values can be read, as in an unsettled merge"):
        params.renewed(text)


def test_differences_name_what_came_what_went_and_what_changed():
    before = {"a": {"b": 1, "c": [1]}, "gone": None, "same": {"x": None}, params.STAMP: 1}
    after = {"a": {"b": 1.0, "c": [1, 2]}, "came": {}, "same": {"x": None}, params.STAMP: 2}
    assert params.differences(before, after) == [
        "a.b: 1 -> 1.0",
        "a.c: [1] -> [1, 2]",
        "gone: None -> (not there)",
        "came: (not there) -> {}",
    ]
    assert params.differences(before, before) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nope=1", "nope: there is no such setting; conf/ has: crawl, frames, "),
        ("train.nope=1", "train.nope: there is no such setting; train has: family, rank, "),
        (
            "crawl.sources.folder.path=x",
            "crawl.sources.folder.path: there is no such setting; crawl.sources has: sample",
        ),
        ("train.rank=${nope.rank}", "nope.rank"),
        ("a=[1", "'[1'"),
    ],
)
def test_an_override_that_fits_nothing_is_one_message(project, capsys, override, message):
    assert params.main([override]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert "search path" not in said.lower()
    assert not (project / "params.yaml").exists()


SOURCES = "archive, commons, flickr, folder, openverse, sample, urls, web, youtube"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("source=nope", f"source=nope: there is no source 'nope'; there are: {SOURCES}"),
        ("source=[web,nope]", f"source=[web,nope]: there is no source 'nope'; there are: {SOURCES}"),
        ("policy=free", "there is no policy 'free'; there are: eu_tdm, licensed, own, research"),
        ("detector@anonymise.regions.words.detector=x", "there is no detector 'x'; there are: centerface, "),
        (
            "experiment=nope",
            "there is no experiment 'nope'; there are: digits, ",
        ),
        (
            "+experiment=nope",
            "there is no experiment 'nope'; there are: digits, ",
        ),
        ("experiment=digits", "experiment=digits: is not chosen by default; put a plus before it: +experiment=digits"),
    ],
)
def test_an_unknown_option_is_answered_in_one_line_with_those_that_there_are(project, capsys, override, line):
    assert params.main([override]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


@pytest.mark.parametrize(
    "override",
    [
        *(
            "source=[web,folder]",
            "source=[]",
            "+experiment=digits",
            "~judge",
            "judge=null",
            "train.rank=3",
            "nope=1",
            "=",
        ),
        *(
            "captioner=page,template",
            "captioner=choice(page,template)",
            "captioner=glob(*)",
            "detector@measure.detector=lbp",
        ),
    ],
)
def test_nothing_is_said_of_options_that_there_are_nor_of_what_is_no_group(override):
    assert params.unknown_options([override]) == []


def test_values_that_fit_no_stage_are_refused_all_at_once_before_anything_is_written(project, capsys):
    wrong = ["train.rank=abc", "clean.min_side=0", "caption.captioner.name=nope", "+train.rnk=3"]
    assert params.main(wrong) == 1
    first, *lines, last = capsys.readouterr().err.splitlines()
    assert first == "params.yaml: values that do not fit"
    assert [line.split(": ")[0].strip() for line in lines] == [
        "caption.captioner.name",
        "clean.min_side",
        "train.rank",
        "train.rnk",
    ]
    assert "`python -m stages.params` brings back" in last
    assert not (project / "params.yaml").exists()


def test_values_that_dvc_composed_and_that_fit_no_stage_are_refused_by_the_first_stage(project, capsys):
    text = params.composed(["train.rank=abc"])
    (project / "params.yaml").write_text(text)
    assert params.main(["--stage"]) == 1
    assert "  train.rank: Input should be a valid integer, not 'abc'\n" in capsys.readouterr().err
    assert (project / "params.yaml").read_text() == text
    assert params.main([]) == 0
    assert params.main(["--stage"]) == 0


@pytest.mark.parametrize(
    "content", [b"train: [1", b"train:\n  a: 1\n  a: 2\n", b"# \xe9\n", b"train: {rank: ${nope}}\n", b"\tx"]
)
def test_a_broken_file_in_conf_is_one_message(project, capsys, content):
    (project / "conf" / "train.yaml").write_bytes(content)
    assert params.main([]) == 1
    assert capsys.readouterr().err.startswith("conf/: ")


def test_main_writes_the_file_and_says_what_changed(project, capsys):
    assert params.main([]) == 0
    assert capsys.readouterr().err == ""
    assert params.main(["train.steps=5"]) == 0
    before = yaml.safe_load(params.composed())["train"]["steps"]
    assert capsys.readouterr().err == f"params.yaml: train.steps: {before} -> 5\n"
    assert (project / "params.yaml").read_text() == params.composed(["train.steps=5"])


def test_main_as_a_stage_keeps_overrides_and_touches_nothing(project, capsys):
    params.main(["train.steps=5"])
    capsys.readouterr()
    before = (project / "params.yaml").stat().st_mtime_ns
    assert params.main(["--stage"]) == 0
    assert (project / "params.yaml").stat().st_mtime_ns == before
    assert capsys.readouterr().err == ""


def test_main_as_a_stage_leaves_an_edited_file_as_it_is(project, capsys):
    params.main([])
    text = edited((project / "params.yaml").read_text(), "train", "rank", value=99)
    (project / "params.yaml").write_text(text)
    assert params.main(["--stage"]) == 1
    assert "train.rank" in capsys.readouterr().err
    assert (project / "params.yaml").read_text() == text


def test_the_stamp_is_of_the_project_one_stands_in_and_not_of_the_clone_that_is_installed(project):
    there = params.composed()
    changed(project / "conf" / "clean.yaml", "min_contrast: 5.0", "min_contrast: 5.5")
    here = yaml.safe_load(params.composed())
    assert here["clean"]["min_contrast"] == 5.5
    assert here[params.STAMP]["conf"] == params.stamp().conf_digest(project / "conf")
    assert here[params.STAMP]["conf"] != yaml.safe_load(there)[params.STAMP]["conf"]


def test_main_without_arguments_mends_an_edited_or_broken_file(project):
    for text in (edited(params.composed(), "train", "rank", value=99), "<<<<<<< HEAD\na: 1\n=======\n", ""):
        (project / "params.yaml").write_text(text)
        assert params.main([]) == 0
        assert (project / "params.yaml").read_text() == params.composed()


def test_the_command_line_shows_no_traceback(tmp_path):
    command = [sys.executable, "-m", "stages.params", "source=nope"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("source=nope: there is no source 'nope'; ")
    assert "Traceback" not in done.stderr
