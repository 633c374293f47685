"""Simple models without fine-tuning: linear models on TF-IDF features or on the vectors of a frozen encoder.

They show whether fine-tuning is worth it, and are fitted with scikit-learn. Targets come from
`FittedTask.simple_targets`: label indices [N], label sets [N, C] or numbers [N]; the result is what the
model of the task would output, [N, C] or [N, 1].

Dimensions: N texts, C labels, F features, H hidden size.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray
from bertune.optional_packages import needs

Texts = Sequence[tuple[str, ...]]  # one or several texts of each example
_NEVER = -30.0  # the logit of a label that does not occur in the training rows


def constant_outputs(targets: NDArray[Any], num_labels: int, num_rows: int) -> FloatArray:
    """The frequencies of the labels, or the mean number, for every text."""
    if targets.ndim == 2:
        outputs_C = _logits(targets.mean(axis=0))
    elif targets.dtype.kind == "f":
        outputs_C = np.array([targets.mean()])
    else:
        outputs_C = np.log(np.maximum(np.bincount(targets, minlength=num_labels) / len(targets), 1e-12))
    return np.tile(outputs_C, (num_rows, 1))


def tfidf_features(train: Texts, test: Texts) -> tuple[Any, Any]:
    """TF-IDF of words (1-2) and characters (2-5), sparse [N, F], for training and test texts.

    Pairs have the features of both texts, their difference and product, and the cosine similarity. Raises
    MissingPackageError.
    """
    with needs("sklearn", "to compute the baselines", "Set train.baselines=false to train without them"):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    characters = TfidfVectorizer(ngram_range=(2, 5), sublinear_tf=True, analyzer="char_wb")
    union = FeatureUnion([("words", words), ("characters", characters)])
    # One more text has a word: scikit-learn refuses the empty vocabulary of texts of punctuation alone.
    column_of_text = [text for column in zip(*train, strict=True) for text in column]
    known = union.fit_transform([*column_of_text, "text"])[:-1]
    learned = [known[first : first + len(train)] for first in range(0, known.shape[0], len(train))]
    unseen = [union.transform(list(column)) for column in zip(*test, strict=True)]
    return _with_comparisons(learned), _with_comparisons(unseen)


def _with_comparisons(columns: Sequence[Any]) -> Any:
    """The features of all texts of the examples side by side, with those that compare them."""
    from scipy.sparse import hstack

    return columns[0] if len(columns) == 1 else hstack(_compared(columns), format="csr")


def _compared(columns: Sequence[Any]) -> list[Any]:
    """Sparse features of several texts, and of each compared with the first."""
    from scipy.sparse import csr_matrix

    first, *others = columns
    parts = list(columns)
    for other in others:
        product = first.multiply(other).tocsr()
        parts += [abs(first - other), product, csr_matrix(product.sum(axis=1))]
    return parts


def vector_features(columns: Sequence[FloatArray]) -> FloatArray:
    """The vectors [N, H] of one or several texts, and of each compared with the first: [N, F]."""
    first, *others = columns
    parts = list(columns)
    for other in others:
        lengths_N = np.linalg.norm(first, axis=1) * np.linalg.norm(other, axis=1)
        cosine_N = (first * other).sum(axis=1) / np.maximum(lengths_N, 1e-12)
        parts += [np.abs(first - other), first * other, cosine_N[:, None]]
    return np.hstack(parts)


def linear_outputs(
    features: tuple[Any, Any], targets: NDArray[Any], num_labels: int, seed: int, is_sparse: bool
) -> FloatArray:
    """Fit a linear model to the first features, and return its outputs for the second ones.

    Sparse features: linear SVMs, and ridge regression for numbers. Dense features: logistic regression.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    train, test = features
    if not is_sparse:
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few more iterations change no conclusion
        if targets.ndim == 2:
            each = (_label_logits(train, test, is_gold_N, seed, is_sparse) for is_gold_N in targets.T)
            return np.stack(list(each), axis=1)
        if targets.dtype.kind == "f":
            from sklearn.linear_model import Ridge

            # Dense features are many for few rows; the penalty suits their standardized scale.
            ridge = Ridge(alpha=1.0 if is_sparse else 100.0, random_state=seed).fit(train, targets)
            outputs_N1: FloatArray = ridge.predict(test)[:, None]
            return outputs_N1
        model = _classifier(seed, is_sparse).fit(train, targets)
        scores = model.decision_function(test)
        if scores.ndim == 1:  # two labels: the logit of the second
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        outputs_NC = np.full((len(scores), num_labels), _NEVER)
        outputs_NC[:, model.classes_] = scores
        return outputs_NC


def _classifier(seed: int, is_sparse: bool) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    # C=0.1: standardized vectors of an encoder separate small training sets perfectly.
    return LinearSVC(random_state=seed) if is_sparse else LogisticRegression(C=0.1, max_iter=100)


def _label_logits(
    train: Any, test: Any, is_gold_N: NDArray[np.bool_], seed: int, is_sparse: bool
) -> FloatArray:
    """The logits [N] of one label of several; constant if all training texts or none have it."""
    if is_gold_N.all() or not is_gold_N.any():
        return np.full(test.shape[0], _NEVER if not is_gold_N.any() else -_NEVER)
    logits_N: FloatArray = _classifier(seed, is_sparse).fit(train, is_gold_N).decision_function(test)
    return logits_N


def _logits(shares_C: FloatArray) -> FloatArray:
    clipped_C = np.clip(shares_C, 1e-12, 1 - 1e-12)
    logits_C: FloatArray = np.log(clipped_C / (1 - clipped_C))
    return logits_C
