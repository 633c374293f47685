"""Tunes the learning rate with scikit-learn, and scores the whole procedure by nested cross-validation.

python examples/scikit_learn_search.py            with the packaged encoder, minilm
python examples/scikit_learn_search.py FOLDER     with another encoder
"""
# ruff: noqa: T201 - this script prints its results

import html
import sys

from python_api import BAD, GOOD
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import bertune as bt


def unescaped(texts: list[str]) -> list[str]:
    """Any step that maps texts to texts can come before the classifier."""
    return [html.unescape(text) for text in texts]


def main(model_name: str) -> None:
    """Runs a grid search over a pipeline inside an outer cross-validation."""
    texts = [f"{text}{end}" for end in (" &amp; more", "!", ", really") for text in GOOD + BAD]
    is_good = [text.startswith(GOOD) for text in texts]  # labels can be booleans, numbers or texts
    classifier = bt.BertClassifier(
        model=model_name,
        epochs=1,
        batch_size=8,
        validation_fraction=0.2,
        random_state=0,
        settings={"machine.threads": 1},  # n_jobs could then be the number of cores
    )
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(unescaped), classifier),
        {"bertclassifier__learning_rate": [2e-5, 2e-4]},
        cv=StratifiedKFold(2),
        scoring="neg_log_loss",
    )
    scores = cross_val_score(search, texts, is_good, cv=StratifiedKFold(2), error_score="raise")
    print("negative log loss, nested cross-validation:", scores.mean())
    search.fit(texts, is_good)
    print("best learning rate:", search.best_params_["bertclassifier__learning_rate"])
    print(search.classes_, search.predict_proba(["a great joy"]))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
