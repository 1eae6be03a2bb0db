"""Finds what does not belong in Earth-observation data, and says why.

This face of the package is kept by hand.
"""

from typing import TYPE_CHECKING

from oco2_outliers.ground.lazy import lazy_names
from oco2_outliers.ground.version import VERSION as __version__  # noqa: F401

if TYPE_CHECKING:
    from oco2_outliers.datasets import Datasets, InputError, read_table
    from oco2_outliers.dbscan import IsolatedSoundings
    from oco2_outliers.embeddings import isolate_embeddings, read_embeddings
    from oco2_outliers.explorer import explore
    from oco2_outliers.exports import export
    from oco2_outliers.image_clusters import cluster_pictures, odd_pictures, picture_vectors
    from oco2_outliers.image_forest import ImageForest
    from oco2_outliers.links import compare, match
    from oco2_outliers.main_job import evaluate, isolate
    from oco2_outliers.page.report_page import report
    from oco2_outliers.peaks import find_peaks
    from oco2_outliers.scale import combine, map_files
    from oco2_outliers.series import judge, read_series
    from oco2_outliers.soundings import read_lite, read_soundings, simulate_granule

__all__ = ["Datasets", "ImageForest", "InputError", "IsolatedSoundings", "cluster_pictures", "combine", "compare",
           "evaluate", "explore", "export", "find_peaks", "isolate", "isolate_embeddings", "judge", "map_files", "match",
           "odd_pictures", "picture_vectors", "read_embeddings", "read_lite", "read_series", "read_soundings",
           "read_table", "report", "simulate_granule"]

# The module of each name. It is loaded when the name is first used, so that `import oco2_outliers` takes no time.
__getattr__, __dir__ = lazy_names(__name__, {
    "Datasets": "datasets", "InputError": "datasets", "read_table": "datasets", "IsolatedSoundings": "dbscan",
    "explore": "explorer", "export": "exports", "ImageForest": "image_forest", "evaluate": "main_job",
    "isolate_embeddings": "embeddings", "read_embeddings": "embeddings", "cluster_pictures": "image_clusters",
    "odd_pictures": "image_clusters", "picture_vectors": "image_clusters",
    "isolate": "main_job", "find_peaks": "peaks", "combine": "scale", "map_files": "scale",
    "compare": "links", "match": "links", "judge": "series", "read_series": "series", "read_lite": "soundings",
    "read_soundings": "soundings", "report": "page.report_page", "simulate_granule": "soundings",
})
