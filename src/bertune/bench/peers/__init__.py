"""The contestants, each a separate program: python -m bertune.bench.peers.NAME JOB."""
