import pytest

from stages import tracking, versions
from stages.errors import TableError


def test_a_version_needs_its_run(mlflow_client, tmp_path):
    lock = tracking.Lock(result="r", params={}, outs={}, digest="d")
    wanted = versions.Registration(
        name="model", candidate=True, code=tmp_path, artifacts={}, config={}, card="", data=(), tags={}, scores={}
    )
    with pytest.raises(TableError, match=r"MLflow has no run of result r; `dvc repro -f -s track` writes it again"):
        versions.register(lock, "one", wanted)


def test_a_model_that_was_never_registered_has_no_version_and_no_champion(mlflow_client):
    assert versions.every("model") == []
    assert versions.champion("model") is None
    with pytest.raises(TableError, match="model: has no version 1; there are: none yet"):
        versions.get("model", 1)
