"""Named data sets as the registry has them."""

from bertune import registry
from bertune.data.named import Dataset


def dataset_of(name: str) -> Dataset:
    dataset = registry.exported(registry.load("dataset", name), "DATASET")
    assert isinstance(dataset, Dataset)
    return dataset
