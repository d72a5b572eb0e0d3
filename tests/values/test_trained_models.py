"""Models come back predicting the same, and no format of theirs executes code."""

from __future__ import annotations

import numpy as np
import pytest
from sameness import assert_same

import stepbook
from stepbook import NotSerializableError


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    return stepbook.connect(tmp_path / "b.duckdb")


rows = np.random.default_rng(0).random((60, 4))
labels = (rows[:, 0] > 0.5).astype(int)


def twice(book, body):
    """Return what a step gives when it is executed and when it is replayed."""
    first = book.run("x").do("Train", body)
    return first, book.run("x").do("Train", _must_not_run)


def _must_not_run():
    raise AssertionError("executed again")


def test_estimators_come_back(book):
    pytest.importorskip("skops")
    from sklearn.cluster import KMeans
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = [
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(3, random_state=0),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(),
        KMeans(2, n_init=1),
    ]
    fitted = [model.fit(rows, labels) for model in models]
    for given in twice(book, lambda: {"models": fitted}):
        for model, again in zip(fitted, given["models"], strict=True):
            assert type(again) is type(model)
            assert repr(again.get_params()) == repr(model.get_params())
            np.testing.assert_array_equal(again.predict(rows), model.predict(rows))


def test_an_estimator_with_code_inside_is_refused(book):
    pytest.importorskip("skops")
    from sklearn.preprocessing import FunctionTransformer

    with pytest.raises(NotSerializableError, match=r"\$\.models\[0\].*does not trust"):
        book.run("x").do("a", lambda: {"models": [FunctionTransformer(lambda x: x)]})


def test_the_state_of_a_torch_module_is_one_file(book):
    pytest.importorskip("safetensors")
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(300, 200), torch.nn.BatchNorm1d(200))
    state = module.state_dict()
    for given in twice(book, module.state_dict):
        assert_same(dict(state), dict(given))
        assert list(given) == list(state)
        assert given._metadata == state._metadata
        module.load_state_dict(given)
    assert book.run("x").artifact("Train").suffix == ".safetensors"


def test_tensors_come_back(book):
    pytest.importorskip("safetensors")
    torch = pytest.importorskip("torch")
    tensors = [
        torch.tensor(1.5),
        torch.zeros(0, 3),
        torch.arange(6, dtype=torch.bfloat16).reshape(2, 3).t(),
        torch.ones(2, requires_grad=True),
        torch.nn.Parameter(torch.ones(2), requires_grad=False),
    ]
    for given in twice(book, lambda: tensors):
        assert_same(tensors, given)


def test_what_torch_cannot_separate_from_code_is_refused(book):
    torch = pytest.importorskip("torch")
    run = book.run("x")
    for i, (value, hint) in enumerate(
        [
            (torch.nn.Linear(1, 1), "state_dict"),
            (torch.ones(1, requires_grad=True) * 2, "detach"),
            (torch.eye(2).to_sparse(), "safetensors cannot hold"),
        ]
    ):
        with pytest.raises(NotSerializableError, match=hint):
            run.do(f"a {i}", lambda value=value: value)


def test_xgboost_models_come_back(book):
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(rows, labels)
    for given in twice(book, lambda: (model, model.get_booster())):
        again, booster = given
        assert type(again) is type(model)
        assert repr(again.get_params()) == repr(model.get_params())
        np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
        matrix = xgboost.DMatrix(rows)
        np.testing.assert_array_equal(booster.predict(matrix), model.get_booster().predict(matrix))


def test_lightgbm_boosters_come_back(book):
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(rows, labels)
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, data, 3)
    for given in twice(book, lambda: booster):
        np.testing.assert_array_equal(given.predict(rows), booster.predict(rows))
    sealed = book.run("y").do("a", lightgbm.LGBMClassifier, n_estimators=7)
    assert sealed.get_params()["n_estimators"] == 7


def test_polars_tables_come_back(book):
    pl = pytest.importorskip("polars")
    values = [
        pl.DataFrame(),
        pl.DataFrame({"a": [1, None], "b": [[1], None], "c": [{"x": 1}, None]}),
        pl.Series("s", ["a", "b"], dtype=pl.Categorical),
        pl.Series("e", ["a", None], dtype=pl.Enum(["a", "b"])),
        pl.DataFrame({"a": range(20_000)}),
    ]
    for given in twice(book, lambda: values):
        assert_same(values, given)
    sealed = book.run("y").do("a", pl.LazyFrame, {"a": [1]})
    assert sealed.collect().to_dict(as_series=False) == {"a": [1]}
