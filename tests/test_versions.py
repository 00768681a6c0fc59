import pytest

from stages import tracking, versions
from stages.errors import TableError, TrackingError


@pytest.fixture
def wanted(tmp_path):
    return versions.Registration(
        name="model", candidate=True, code=tmp_path, artifacts={}, config={}, card="", data=(), tags={}, scores={}
    )


LOCK = tracking.Lock(result="r", params={}, outs={}, digest="d")


def test_a_version_needs_its_run(mlflow_client, wanted):
    with pytest.raises(TableError, match=r"MLflow has no run of result r; `dvc repro -f -s track` writes it again"):
        versions.register(LOCK, "one", wanted)


def test_where_mlflow_does_not_answer_it_says_so(mlflow_home, wanted, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for ask in (lambda: versions.register(LOCK, "one", wanted), lambda: versions.every("model")):
        with pytest.raises(TrackingError, match=r"MLflow at http://127\.0\.0\.1:9: "):
            ask()


def test_a_model_that_was_never_registered_has_no_version_and_no_champion(mlflow_client):
    assert versions.every("model") == []
    assert versions.champion("model") is None
    with pytest.raises(TableError, match="model: has no version 1; there are: none yet"):
        versions.get("model", 1)
