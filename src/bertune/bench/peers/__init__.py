"""The contestants, each a program of its own: python -m bertune.bench.peers.NAME JOB."""
