"""Exports of trained models that other programs can run, each compared with the trained model."""
