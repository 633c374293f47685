"""XNLI in Russian: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("ru", "5bd27b99f24f9c5e87d7428e3bcc14f765b89166a23686f36b6ae9735450eaf3")
