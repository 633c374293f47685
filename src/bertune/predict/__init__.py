"""Prediction with a trained model: inputs, predictor, backends, writers, and the public `Model` class.

Only `torch_backend` imports torch, and only `load_model` imports `torch_backend`. Everything else works with
another backend if torch is not installed.
"""
