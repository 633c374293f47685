"""Estimators with the interface of scikit-learn: `bertune.BertClassifier` and `bertune.BertRegressor`."""
