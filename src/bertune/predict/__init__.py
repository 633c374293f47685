"""From rows to predictions with a trained model: inputs, predictor, backends, writers, the public `Model`.

Only `torch_backend` imports torch, and only `load_model` imports that, so that everything else works with
another backend where torch is not installed.
"""
