"""The label columns of the published peaks: row for row on the real table, and by the recipe on a generated one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN, KMeans
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from oco2_outliers.dbscan import GAUSSIAN_COLUMNS, published_labels

NINE = ["latitude", "longitude", *GAUSSIAN_COLUMNS, "surf_pres"]


@pytest.mark.parametrize("features, ending, n", [("all", "", (775, 49)),
                                                 ("gaussian", "_only_gaussian_param", (136, 51))])
def test_published_columns_row_for_row(shared_data, features, ending, n):
    table = pd.read_csv(shared_data / "peaks" / "peaks_201808_labelled.csv")
    labels = published_labels(table, features)
    for name in ("y_class_dbscan", "y_class_lof"):
        assert (labels[name + ending] == table[name + ending]).all()
    assert (labels[[f"y_class_dbscan{ending}", f"y_class_lof{ending}"]] == -1).sum().tolist() == list(n)
    if features == "all":
        assert (labels["outlier_score_lof"] == table["outlier_score_lof"]).all()


@pytest.mark.parametrize("features, ending", [("all", ""), ("gaussian", "_only_gaussian_param")])
def test_by_the_recipe_on_a_generated_table(features, ending):
    table = pd.DataFrame(np.random.default_rng(1).standard_t(3, (300, 9)) * np.arange(1, 10), columns=NINE,
                         index=np.arange(300) * 2)
    labels = published_labels(table.assign(more="text"), features)
    names = NINE if features == "all" else list(GAUSSIAN_COLUMNS)
    X = StandardScaler().fit_transform(table[names].to_numpy())
    assert labels.index.equals(table.index)
    assert ((labels[f"y_class_dbscan{ending}"] == -1) == (DBSCAN(eps=1, min_samples=5).fit_predict(X) == -1)).all()
    assert (labels[f"y_class_lof{ending}"] == LocalOutlierFactor(n_neighbors=10).fit_predict(X)).all()
    means = KMeans(5, random_state=10, n_init=10).fit_predict(table[list(GAUSSIAN_COLUMNS)].to_numpy())
    assert (labels["kmeans"] == means).all()
