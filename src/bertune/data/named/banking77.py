"""Banking77: 77 intents of questions to a bank (Casanueva et al. 2020)."""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("PolyAI-LDN/task-specific-datasets", "57ec275d8078af65b7731c2a98be812d844a6d6b", "banking_data"),
    {
        "train": ("train.csv", "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b"),
        "test": ("test.csv", "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d"),
    },
    {
        "data": {"text": ["text"], "label": "category", "header": True, "quoting": True, "delimiter": ","},
        "train": {"best_metric": "accuracy"},
    },
)
