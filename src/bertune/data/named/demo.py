"""702 complaints to a city council in four topics: bundled with bertune, trains offline within minutes."""

from pathlib import Path

from bertune.data.named._dataset import Dataset, File

DATASET = Dataset(
    settings={
        "data": {
            "text": ["text"],
            "label": "label",
            "id": "id",
            "header": True,
            "quoting": True,
            "delimiter": ",",
            "validation_fraction": 0.2,
        },
        "model": {"name": "minilm"},
        "train": {"epochs": 6},
    },
    files=(File("train", "demo.csv", check=lambda path: None),),
    packaged_in=Path(__file__).parent,
)
