"""The data sets of docs/results.md: their parts, settings, and published scores.

The limits on data and epochs are defined here; `--full` of results_by_task.py removes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slices import Part

MINILM, SMALL = "MiniLM-L6", "2 layers, from scratch"


@dataclass(frozen=True)
class Published:
    """A published score, in the unit of the table."""

    value: str
    what: str  # model and split
    source: str


@dataclass(frozen=True)
class Set:
    """One row of the table: data, settings, displayed score, and differences from the published setup."""

    title: str
    task: str
    parts: Mapping[str, Part]
    settings: tuple[str, ...]
    score: str  # split and name, such as test.f1
    unit: str  # noun for the units of the parts
    published: Published
    note: str
    share: str = ""  # effect of the limits on data and epochs
    encoder: str = MINILM
    epochs: float = 1
    full_epochs: float = 3
    full_settings: tuple[str, ...] = ()  # settings that replace others with the full data


_TABLE = ("data.delimiter=tab", "data.quoting=false", "data.header=false")
_GLUE = ("data.delimiter=tab", "data.quoting=false", "data.header=true", "data.text=sentence1,sentence2")
_QUICK = ("train.batch_size=16", "train.lr=1e-4")
_FRESH = ("train.batch_size=16", "train.lr=5e-4")  # an encoder without pretrained weights
_FROM_SCRATCH = (
    "The encoder has 2 layers of width 256 and is randomly initialized, because no pretrained Chinese "
    "encoder was available. The published model is BERT-base, pretrained on Chinese Wikipedia."
)

SETS = {
    "goemotions": Set(
        "GoEmotions",
        "multilabel",
        {
            "train": Part("goemotions/train.tsv", "lines", stop=5000),
            "validation": Part("goemotions/dev.tsv", "lines", stop=1000),
            "test": Part("goemotions/test.tsv", "lines"),
        },
        (
            *_TABLE, *_QUICK, "data.text=0", "data.label=1", "task.name=multilabel",
            "task.label_file={data}/goemotions/labels.txt", "train.best_metric=macro_f1",
            "task.threshold=0.3",
        ),
        "test.macro_f1",
        "comments",
        Published("46.0", "BERT-base cased, test", "Demszky et al. 2020"),
        "Half the layers at half the width. The threshold is 0.3.",
        "An eighth of the comments and two epochs instead of four. Rare emotions, which count as much as "
        "frequent ones in macro-F1, have only a few examples each.",
        epochs=2,
        full_epochs=4,
    ),
    "stsb": Set(
        "STS-B",
        "regression",
        {"train": Part("stsb/train.tsv", "headed"), "validation": Part("stsb/dev.tsv", "headed")},
        (*_GLUE, *_QUICK, "data.label=score", "task.name=regression", "task.low=0", "task.high=5"),
        "validation.spearman",
        "pairs",
        Published("88.48", "BERT-base cased, dev", "run_glue's README"),
        "Unlike BERT, the packaged encoder was already fine-tuned for sentence similarity.",
    ),
    "conll2003": Set(
        "CoNLL-2003",
        "tokens",
        {
            "train": Part("conll2003/train.txt", "conll"),
            "validation": Part("conll2003/valid.txt", "conll"),
            "test": Part("conll2003/test.txt", "conll"),
        },
        (*_QUICK, "data.reader=conll", "task.name=token_classification"),
        "test.f1",
        "sentences",
        Published("92.4", "BERT-base cased with document context, test", "Devlin et al. 2019, table 7"),
        "Half the layers at half the width, single sentences without document context, and an uncased model, "
        "although capitalization marks names in English.",
        "One epoch.",
    ),
    "weibo_ner": Set(
        "Weibo NER",
        "tokens",
        {
            "train": Part("weibo_ner/train.all.bmes", "conll"),
            "validation": Part("weibo_ner/dev.all.bmes", "conll"),
            "test": Part("weibo_ner/test.all.bmes", "conll"),
        },
        (*_FRESH, "data.reader=conll", "task.name=token_classification"),
        "test.f1",
        "posts",
        Published("58.79", "lattice LSTM, pretrained words and characters, test", "Zhang & Yang 2018"),
        "The encoder has 2 layers of width 256 and is randomly initialized, whereas the published model used "
        "pretrained words and characters; 1,350 posts are too few to learn a language from.",
        encoder=SMALL,
        epochs=8,
        full_epochs=20,
    ),
    "resume_ner": Set(
        "Resume NER",
        "tokens",
        {
            "train": Part("resume_ner/train.char.bmes", "lines"),
            "validation": Part("resume_ner/dev.char.bmes", "lines"),
            "test": Part("resume_ner/test.char.bmes", "lines"),
        },
        (*_TABLE, *_FRESH, "data.reader=delimited", "data.text=0", "data.label=1",
        "task.name=token_classification"),
        "test.f1",
        "sentences",
        Published("95.78", "BERT-base Chinese, test", "Meng et al. 2019 (Glyce), README"),
        _FROM_SCRATCH + " CVs use recurring phrases, so the difference is small.",
        encoder=SMALL,
        epochs=5,
        full_epochs=20,
    ),
    "tydiqa_en": Set(
        "TyDi QA, English gold passages",
        "qa",
        {
            "train": Part("tydiqa_en/tydiqa.goldp.en.train.json", "squad", stop=3296, step=3, full_stop=3296),
            "validation": Part("tydiqa_en/tydiqa.goldp.en.train.json", "squad", start=3296),
        },
        (*_QUICK, "task.name=question_answering"),
        "validation.f1",
        "questions",
        Published("75.3", "multilingual BERT-base, trained on SQuAD 1.1, dev", "Hu et al. 2020 (XTREME)"),
        "The dev file is published without answers, so the last 400 questions of the training file are held "
        "out; 12 of their passages also occur in the training part. The published model was trained on "
        "88,000 SQuAD questions.",
        "One epoch on a third of the remaining questions.",
    ),
    "squad1_slice": Set(
        "SQuAD 1.1, a slice",
        "qa",
        {
            "train": Part("squad1_slice/dev.json", "squad", stop=4401, step=4, full_stop=4401),
            "validation": Part("squad1_slice/dev.json", "squad", start=4401),
        },
        (*_QUICK, "task.name=question_answering"),
        "validation.f1",
        "questions",
        Published("88.5", "BERT-base uncased, dev", "Devlin et al. 2019, table 2"),
        "Only 20 articles were available. The last one (Immune system, from the official dev set) is held "
        "out; 19 are used for training instead of 442.",
        "One epoch on a quarter of the training questions.",
    ),
    "squad2_half_dev": Set(
        "SQuAD 2.0, half of its dev set",
        "qa",
        {
            "train": Part("squad2_half_dev/dev-v2.0.cs224n.json", "squad", step=5, stop=5299, full_stop=5299),
            "validation": Part("squad2_half_dev/dev-v2.0.cs224n.json", "squad", start=5701),
        },
        (*_QUICK, "task.name=question_answering"),
        "validation.best_f1",
        "questions",
        Published("75.6", "MiniLM-L6-H384 uncased, dev", "microsoft/unilm, MiniLM's README"),
        "Only half of the dev set was available. Its last article (Force) is held out and the first 14 are "
        "used for training; the published model used 442. A model that never answers scores the share of "
        "unanswerable questions, 47%. The threshold is optimized on the scored questions, as in the "
        "official SQuAD script.",
        "One epoch on a fifth of the training questions.",
    ),
    "cmrc2018": Set(
        "CMRC 2018",
        "qa",
        {
            "train": Part("cmrc2018/cmrc2018_dev.json", "squad", stop=600, full_stop=2800),
            "validation": Part("cmrc2018/cmrc2018_dev.json", "squad", start=2800),
        },
        (*_FRESH, "task.name=question_answering"),
        "validation.f1",
        "questions",
        Published("84.5", "BERT-base Chinese, dev, best of 10", "ymcui/Chinese-BERT-wwm, README"),
        _FROM_SCRATCH + " The training file was not available either: the model is trained on questions of "
        "the dev file, and its last 419 are held out. This is too little data to learn reading "
        "comprehension; the result only shows that the task runs.",
        encoder=SMALL,
        epochs=2,
        full_epochs=4,
    ),
    "dream": Set(
        "DREAM",
        "choice",
        {
            "train": Part("dream/train.json", "dream"),
            "validation": Part("dream/dev.json", "dream"),
            "test": Part("dream/test.json", "dream"),
        },
        (*_QUICK, "data.reader=dream", "task.name=multiple_choice", "model.max_length=512"),
        "test.accuracy",
        "dialogues",
        Published("63.2", "BERT-base uncased, test", "nlpdata/mrc_bert_baseline, README"),
        "Half the layers at half the width, not pretrained to relate questions to dialogues.",
        "Two epochs instead of eight; they took 87 minutes on one core.",
        epochs=2,
        full_epochs=8,
        full_settings=("train.batch_size=24", "train.lr=5e-5"),
    ),
    "c3": Set(
        "C3, dialogues",
        "choice",
        {
            "train": Part("c3/c3-d-train.json", "dream", stop=1500),
            "validation": Part("c3/c3-d-dev.json", "dream", stop=300),
            "test": Part("c3/c3-d-test.json", "dream", stop=600),
        },
        (*_FRESH, "data.reader=dream", "task.name=multiple_choice", "model.max_length=512"),
        "test.accuracy",
        "dialogues",
        Published("64.5", "BERT-base Chinese, test, dialogues and other texts", "Sun et al. 2020 (C3)"),
        _FROM_SCRATCH + " Chance level is 26.6%, two standard errors away: this data alone is not enough to "
        "learn dialogue comprehension.",
        encoder=SMALL,
        epochs=2,
        full_epochs=8,
    ),
    "wikiqa": Set(
        "WikiQA",
        "ranking",
        {
            "train": Part("wikiqa/train.txt", "lines"),
            "validation": Part("wikiqa/dev.txt", "lines", stop=1000),
            "test": Part("wikiqa/test.txt", "lines"),
        },
        (
            *_TABLE, "train.batch_size=8", "train.lr=5e-5", "data.text=0,1", "data.label=2",
            "task.name=ranking", "task.loss=listwise", "train.best_metric=map",
        ),
        "test.map",
        "sentences",
        Published("81.3", "BERT-base, test", "Garg et al. 2020 (TANDA)"),
        "The encoder was fine-tuned for sentence similarity, which is close to this task. Questions without "
        "a correct sentence are excluded from the score, as usual.",
        "One epoch.",
        full_settings=("train.batch_size=16",),
    ),
    "afqmc": Set(
        "AFQMC",
        "classification",
        {
            "train": Part("afqmc/train.txt", "lines", stop=8000),
            "validation": Part("afqmc/dev.txt", "lines"),
        },
        (*_TABLE, *_FRESH, "data.text=0,1", "data.label=2", "train.best_metric=accuracy"),
        "validation.accuracy",
        "pairs",
        Published("73.70", "BERT-base Chinese, test", "Xu et al. 2020 (CLUE)"),
        _FROM_SCRATCH + " Always predicting no is correct for 69% of the pairs, and this encoder learns "
        "just that: recognizing paraphrases requires pretraining. The test labels are not public, so dev is "
        "scored.",
        encoder=SMALL,
        epochs=2,
    ),
    "rte": Set(
        "RTE",
        "classification",
        {"train": Part("rte/train.tsv", "headed"), "validation": Part("rte/dev.tsv", "headed")},
        (*_GLUE, *_QUICK, "data.label=label", "train.best_metric=accuracy"),
        "validation.accuracy",
        "pairs",
        Published("68.8", "MiniLM-L6-H384 uncased, dev", "microsoft/unilm, MiniLM's README"),
        "The same architecture. The published model uses the distilled weights; the packaged encoder was "
        "fine-tuned for similarity after distillation. With 277 pairs, two points correspond to six pairs.",
        epochs=2,
        full_epochs=5,
    ),
    "xnli": Set(
        "XNLI, English",
        "classification",
        {"train": Part("xnli/dev-en.tsv", "lines")},
        (*_TABLE, *_QUICK, "data.text=0,1", "data.label=2", "train.best_metric=accuracy",
        "data.validation_fraction=0.2"),
        "validation.accuracy",
        "pairs",
        Published(
            "81.9",
            "multilingual BERT-base cased, trained on MNLI, test",
            "google-research/bert, multilingual.md",
        ),
        "MNLI, on which the published model was trained (393,000 pairs), was not available. The model is "
        "trained on four fifths of XNLI's dev file (2,000 pairs); the rest is held out. Chance level is "
        "33%.",
        epochs=2,
    ),
    "20newsgroups": Set(
        "20 Newsgroups",
        "classification, head and tail of long texts",
        {
            "train": Part("20newsgroups/train.jsonl.gz", "lines"),
            "test": Part("20newsgroups/test.jsonl.gz", "lines"),
        },
        (*_QUICK, "task.long_texts=head_tail", "model.max_length=128", "data.id=id",
        "train.best_metric=accuracy"),
        "test.accuracy",
        "posts",
        Published("85.3", "BERT-base, test", "Lin et al. 2021 (BertGCN), README"),
        "Headers are kept; a quarter of the tokens is from the beginning of the post.",
        "Posts are shortened to 128 tokens.",
        epochs=3,
        full_settings=("model.max_length=512",),
    ),
    "imdb": Set(
        "IMDB",
        "classification, head and tail of long texts",
        {
            "train": Part("imdb/train.csv.gz", "csv"),
            "test": Part("imdb/test.csv.gz", "csv"),
        },
        (
            *_QUICK, "task.long_texts=head_tail", "model.max_length=512", "data.text=text",
            "data.label=label",
            "data.id=id", "train.best_metric=accuracy",
        ),
        "test.accuracy",
        "reviews",
        Published("94.58", "BERT-base uncased, head and tail of 512 tokens, test", "Sun et al. 2019"),
        "Half the layers at half the width; a quarter of the tokens is from the beginning of the review.",
        "One epoch instead of four.",
        full_epochs=4,
    ),
    "stsb_embeddings": Set(
        "STS-B, by cosine",
        "embeddings",
        {"train": Part("stsb/train.tsv", "headed"), "validation": Part("stsb/dev.tsv", "headed")},
        (*_GLUE, "train.batch_size=16", "train.lr=2e-5", "data.label=score", "task.name=embeddings"),
        "validation.spearman",
        "pairs",
        Published("85.35", "SBERT-NLI-STSb-base, test", "Reimers & Gurevych 2019, table 2"),
        "The packaged encoder was fine-tuned on a billion pairs, the published one on NLI. bertune is scored "
        "on dev, because the labels of the GLUE test file are not public.",
        full_epochs=4,
    ),
    "imdb_words": Set(
        "IMDB, masked tokens",
        "language modelling",
        {
            "train": Part("imdb/train.csv.gz", "documents", step=10),
            "validation": Part("imdb/test.csv.gz", "documents", step=250),
        },
        (
            *_QUICK, "data.reader=documents", "data.text=text", "task.name=language_modelling",
            "model.max_length=256",
        ),
        "validation.perplexity",
        "reviews",
        Published(
            "3.99", "BERT-base, held-out books and Wikipedia; lower is better", "Liu et al. 2019, table 3"
        ),
        "The packaged encoder has no language-modelling head, so the head is trained from scratch. The texts "
        "differ too.",
        "One epoch over 2,500 reviews, ten minutes on one core; the published model was trained on 256 "
        "million texts.",
    ),
}  # fmt: skip
