"""Interpretation of gold tags and spans: spans of words, labels for training, and checks of the tags."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.data.rows import Origin
from bertune.errors import DataError, counted, listed, none_has
from bertune.metrics.details import table
from bertune.tasks.token_classification.detection import detect, outside_hint
from bertune.tasks.token_classification.notations import DASH, OUTSIDE
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.schemes import (
    IO,
    PLAIN,
    UNTYPED,
    Scheme,
    Span,
    read_tags,
    to_words,
    write_tags,
)

IGNORED = -100  # the gold of tokens that do not decide the label of a word
_MAX_BROKEN = 0.2  # ratio of invalid tags to spans above which they are not annotation slips
_MIN_TEXTS = 20  # fewer texts may all be single words by chance
_MAX_SINGLE_WORDS = 0.95  # share of single-word texts from which a file is taken to be a list of words
_SINGLE = 0.9  # share of one-character tokens above which the text was split into characters
_TITLES = {
    "bio": "BIO (IOB2)",
    "iob1": "IOB1",
    "bioes": "BIOES",
    "bmes": "BMES",
    "bilou": "BILOU",
    "io": "IO",
    "plain": "plain",
}


@dataclass(frozen=True, slots=True)
class Tagging:
    """The scheme of the tags, and how tags that violate it are handled."""

    scheme: Scheme
    repair: str  # the option: auto, conlleval or refuse

    @property
    def refuses(self) -> bool:
        """Whether a tag that violates the scheme is an error.

        In BIO, an I- tag without a B- tag can be a slip, but also a sign of another scheme. Published BMES
        data sets contain slips, which are unambiguous in this scheme.
        """
        return self.repair == "refuse" or (self.repair == "auto" and not self.scheme.is_closed)

    @property
    def has_spans(self) -> bool:
        """Whether the tags encode spans, rather than one label per word."""
        return self.scheme.name != PLAIN

    def span_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The labels that predicted spans can have; `labels` are the labels of the model."""
        if not self.has_spans:
            return tuple(labels)
        named = {without_role(label): None for label in labels if label != OUTSIDE}
        return tuple(named) if self.scheme.typed else (UNTYPED,)

    @property
    def bio(self) -> Scheme:
        """The scheme of the labels used in training."""
        return Scheme("bio", self.scheme.typed)

    def spans(self, example: Example) -> tuple[Span, ...]:
        """The gold spans of words. Raises DataError for invalid tags and tags of another scheme."""
        if not example.tags:
            return to_words(example.spans, example.words).spans
        reading = read_tags(example.tags, self.scheme)
        if reading.unknown:
            raise DataError(
                f"{token_of(example, reading.unknown[0])} does not belong to {titled(self.scheme)}, the "
                "scheme of the training data. Correct it; or, to evaluate a file with another scheme, set "
                "task.scheme=auto. In training, validation and test files must have the scheme of the "
                "training file"
            )
        if reading.broken and self.refuses:
            raise DataError(
                f"{token_of(example, reading.broken[0])} is invalid in {_TITLES[self.scheme.name]} "
                f"{_position(example.tags, reading.broken[0])}. Correct it; or set task.repair=conlleval to "
                "begin an entity there, or task.scheme if the whole file has another scheme"
            )
        return reading.spans

    def gold(self, example: Example) -> list[Span]:
        """The gold spans of characters, as given in the data."""
        return in_text(self.spans(example), example) if example.tags else list(example.spans)

    def training_labels(self, example: Example) -> list[str]:
        """The training label of each word. Raises DataError for spans if the labels do not encode spans."""
        if not self.has_spans:
            if example.spans:
                raise DataError(
                    f"{example.origin}: this row has character spans, but the training data has one plain "
                    "tag per word. Provide one tag per word"
                )
            return list(example.tags)
        return write_tags(self.spans(example), len(example.words), self.bio)

    def labels(self, examples: Sequence[Example]) -> tuple[str, ...]:
        """The labels of the model, in order. Raises DataError if all words have the same label."""
        file = examples[0].origin.file
        if not self.has_spans:
            tags = tuple(sorted({tag for e in examples for tag in e.tags}))
            if len(tags) > 1:
                return tags
            raise DataError(
                f'{file}: all words have the tag "{tags[0]}". Training needs at least two tags. Check that '
                "data.label is the right column"
            )
        types = sorted({span.label for e in examples for span in self.spans(e)})
        if not types:
            raise DataError(
                f"{file}: {none_has(len(examples), 'row')} an entity. Training needs entities. "
                "Check that data.label is the right column"
            )
        return (OUTSIDE, *(self.bio.tag(role, label) for label in types for role in "BI"))

    def notes(self, examples: Sequence[Example]) -> Iterator[str]:
        """How the gold of the training examples was read. Raises DataError if too many tags are invalid."""
        if any(e.tags for e in examples):
            if not self.has_spans:
                yield (
                    "tags: each tag is its own label, because they are not in an entity scheme (O, B-, I-); "
                    f"f1, precision and recall equal the accuracy{outside_hint([e.tags for e in examples])}"
                )
                if any(OUTSIDE in e.tags for e in examples):
                    yield (
                        '"O" is a label like any other, because it is not the most frequent tag; set '
                        "task.scheme=io if it marks words outside of entities"
                    )
            else:
                yield f"tags: {titled(self.scheme)}"
        if not self.has_spans:
            return
        broken = self.broken(examples)
        if broken:
            yield broken
        resolved = [(e, to_words(e.spans, e.words)) for e in examples if e.spans]
        for of_one, kind, count in (
            (
                "begins or ends inside a word and was extended to the whole word",
                "begin or end inside a word and were extended to the whole word",
                "num_inside",
            ),
            (
                "is nested in another span and is not used for training",
                "are nested in another span and are not used for training",
                "num_nested",
            ),
            (
                "overlaps a longer or earlier span and is not used for training",
                "overlap a longer or earlier span and are not used for training",
                "num_overlapping",
            ),
        ):
            affected = [(e, getattr(spans, count)) for e, spans in resolved if getattr(spans, count)]
            if affected:
                number = sum(number for _, number in affected)
                yield (
                    f"{counted(number, 'span')} {of_one if number == 1 else kind} "
                    f"(first: {affected[0][0].origin}); scores use the spans as given"
                )
        trimmed = [e for e in examples if e.num_trimmed]
        if trimmed:
            number = sum(e.num_trimmed for e in trimmed)
            begin = "begins or ends" if number == 1 else "begin or end"
            yield (
                f"{counted(number, 'span')} {begin} with spaces, which were removed "
                f"(first: {trimmed[0].origin})"
            )

    def broken(self, examples: Sequence[Example]) -> str | None:
        """A warning about invalid tags; None without any. Raises DataError if there are too many."""
        if not self.has_spans:
            return None
        readings = [(e, read_tags(e.tags, self.scheme)) for e in examples if e.tags]
        broken = [(e, reading.broken) for e, reading in readings if reading.broken]
        if not broken:
            return None
        count = sum(len(positions) for _, positions in broken)
        first = token_of(broken[0][0], broken[0][1][0])
        num_spans = sum(len(reading.spans) for _, reading in readings)
        title = _TITLES[self.scheme.name]
        # A few slips are tolerated even in small files.
        if self.repair == "auto" and count > max(10, _MAX_BROKEN * num_spans):
            raise DataError(
                f"{first} and {count - 1:,} more tags are invalid in {title}. This is too many for "
                "annotation slips: the file probably has another scheme. Correct the tags; or set "
                "task.scheme, or task.repair=conlleval to read them as they are"
            )
        return (
            f"{counted(count, 'tag')} {'is' if count == 1 else 'are'} invalid in {title} and "
            f"{'was' if count == 1 else 'were'} read as in the conlleval script "
            f"(first: {first}); set task.repair=refuse to raise an error instead"
        )


def titled(scheme: Scheme) -> str:
    """The name of a scheme for messages, with its notation if that is not the usual one."""
    title = _TITLES[scheme.name]
    if scheme.name == IO and scheme.outside not in (OUTSIDE, "o"):
        return f'{title}, with "{scheme.outside}" outside of entities'
    if scheme.name in (IO, PLAIN) or scheme.notation == DASH:
        return title
    example = scheme.notation.replace(",", ", ") if scheme.typed or "," in scheme.notation else "b"
    return f"{title}, written like {example}"


def resolve_tagging(examples: Sequence[Example], name: str, repair: str, notation: str = "auto") -> Tagging:
    """The tagging of training examples; `name` and `notation` are detected if they are "auto".

    Raises DataError for tags that mix several schemes.
    """
    tags = [e.tags for e in examples if e.tags]
    if not tags:
        return Tagging(Scheme("bio", notation=DASH if notation == "auto" else notation), repair)
    try:
        scheme = detect(tags)
    except DataError as error:
        if name == "auto":
            raise DataError(f"{_first_mixed(examples)}: {error}") from error
        scheme = Scheme(PLAIN)
    if notation != "auto":
        scheme = replace(scheme, notation=notation)
    if len(tags) < len(examples) and PLAIN in (scheme.name, name):
        raise DataError(
            f"{examples[0].origin.file}: some rows have tags without B- and I- "
            f"({listed(sorted(set(tags[0])))}), and others have character spans. Use the same kind of label "
            "in all rows"
        )
    return Tagging(scheme if name == "auto" else replace(scheme, name=name), repair)


def scheme_of(examples: Sequence[Example], labels: Sequence[str], repair: str) -> Scheme:
    """The scheme of examples to be scored by a model with these labels.

    Raises DataError if the scheme does not fit the labels.
    """
    scheme = resolve_tagging(examples, "auto", repair).scheme
    if scheme.name == PLAIN and is_of_spans(tuple(labels)) and _are_types(examples, labels):
        return Scheme(IO)  # a short file with many entities, in which O is not the most frequent tag
    if scheme.name == IO and not is_of_spans(tuple(labels)):
        return Scheme(PLAIN)
    if (scheme.name == PLAIN) == is_of_spans(tuple(labels)):
        do, others_do = ("do not mark", "do") if scheme.name == PLAIN else ("mark", "do not")
        raise DataError(
            f"{examples[0].origin.file}: the tags {do} where an entity begins, but the labels of this model "
            f"({listed(list(labels))}) {others_do}. Use data with the same kind of tags as the training data"
        )
    return scheme


def _are_types(examples: Sequence[Example], labels: Sequence[str]) -> bool:
    """Whether all tags of examples are O or entity types of the model."""
    return {tag for e in examples for tag in e.tags} - {"o"} <= {without_role(label) for label in labels}


def refuse_lettered(examples: Sequence[Example], scheme: Scheme) -> None:
    """Raises DataError for tags such as B-PER if the scheme is IO, in which every tag is a valid type."""
    if scheme.name != IO or not any(set(e.tags) - {OUTSIDE, "o"} for e in examples):
        return
    detected = resolve_tagging(examples, "auto", "conlleval").scheme
    if detected.name in (IO, PLAIN):
        return
    raise DataError(
        f"{examples[0].origin.file}: the tags are {titled(detected)}, but the training data is IO. Set "
        "task.scheme=auto to evaluate the file with its own scheme. In training, validation and test files "
        "must have the scheme of the training file"
    )


def _first_mixed(examples: Sequence[Example]) -> Origin:
    """The first row that makes the tags a mixture of several schemes."""
    tagged = [e for e in examples if e.tags]
    numbers = range(1, len(tagged) + 1)
    return tagged[bisect_left(numbers, True, key=lambda n: _is_mixed(tagged[:n]))].origin


def _is_mixed(examples: Sequence[Example]) -> bool:
    try:
        detect([e.tags for e in examples])
    except DataError:
        return True
    return False


def refuse_single_words(examples: Sequence[Example]) -> None:
    """Raises DataError if nearly all texts are single words, whose tags cannot depend on context."""
    num_single = sum(len(e.words) == 1 for e in examples)
    if len(examples) < _MIN_TEXTS or num_single < _MAX_SINGLE_WORDS * len(examples):
        return
    raise DataError(
        f"{examples[0].origin.file}: {num_single:,} of {len(examples):,} texts are single words. Expected "
        "sentences, because the tag of a word depends on the words around it. If the file has one word per "
        "row, set task.sentence to the column of the sentence numbers and keep the rows of a sentence "
        "together; if blank lines separate the sentences, set data.reader=conll; if the texts really are "
        "single words, set task.sentence=none"
    )


def likely_words(examples: Sequence[Example]) -> str:
    """The rule for splitting raw text into words that best matches the tokens of the training examples."""
    sizes = [end - start for e in examples if e.tags for start, end in e.words]
    if not sizes:
        return "signs"
    return "characters" if sizes.count(1) > _SINGLE * len(sizes) else "whole"


def token_of(example: Example, at: int) -> str:
    """The location, the word and the tag of a token, for messages."""
    start, end = example.words[at]
    place = f"{example.origins[at]}:" if example.origins else f"{example.origin}: token {at + 1},"
    return f'{place} "{example.texts[0][start:end]}": the tag "{example.tags[at]}"'


def in_text(spans: Sequence[Span], example: Example) -> list[Span]:
    """Spans of words as spans of characters."""
    words = example.words
    return [Span(words[s.start][0], words[s.end - 1][1], s.label) for s in spans]


@lru_cache(maxsize=4)  # called for every text, with up to thousands of labels
def is_of_spans(labels: tuple[str, ...]) -> bool:
    """Whether the labels of a model are BIO labels, rather than plain ones."""
    return labels[0] == OUTSIDE and all(label[0] in "BI" for label in labels[1:])


@lru_cache(maxsize=4)
def begins(labels: tuple[str, ...]) -> NDArray[np.int64]:
    """The index of the B- label for each I- label, [C]; -1 for the other labels."""
    index = {label: number for number, label in enumerate(labels)}
    begins_C = np.array([index[f"B{label[1:]}"] if label[0] == "I" else -1 for label in labels])
    begins_C.setflags(write=False)
    return begins_C


def filled(label_W: NDArray[np.int64], begins_C: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels in which words without a label (-1) get the I- label of the next word, if any, otherwise O."""
    following = 0
    for at in range(len(label_W) - 1, -1, -1):
        if label_W[at] < 0:
            label_W[at] = following
        following = int(label_W[at]) if begins_C[label_W[at]] >= 0 else 0
    return label_W


def repeated(label_W: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels in which words without a label (-1) get that of the previous word, or of the first known one."""
    known = label_W[label_W >= 0]
    before = int(known[0]) if len(known) else 0
    for at, label in enumerate(label_W):
        before = label_W[at] = int(label) if label >= 0 else before
    return label_W


def without_role(label: str) -> str:
    """The type of a label: PER for B-PER; bare labels and O are unchanged."""
    return label[2:] or label


def alignment(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """A table of how well the gold character spans align with words; empty without character spans."""
    resolved = [(e, to_words(e.spans, e.words)) for e in examples if e.spans]
    if not resolved:
        return []
    num_spans = sum(len(e.spans) for e, _ in resolved)
    counts = {
        "begin or end inside a word": sum(spans.num_inside for _, spans in resolved),
        "nested in another span": sum(spans.num_nested for _, spans in resolved),
        "overlap another span": sum(spans.num_overlapping for _, spans in resolved),
        "begin or end with spaces": sum(e.num_trimmed for e, _ in resolved),
    }
    rows = [["all", num_spans, 1.0], *([name, count, count / num_spans] for name, count in counts.items())]
    reachable = sum(len(set(in_text(spans.spans, e)) & set(e.spans)) for e, spans in resolved) / num_spans
    note = (
        f"Predicted spans begin and end at word boundaries, so at most {reachable:.1%} of these can be found."
    )
    return [table("Alignment of spans with words", ["gold spans", "number", "share"], rows, note)]


def _position(tags: Sequence[Any], at: int) -> str:
    return f'after "{tags[at - 1]}"' if at else "at the beginning of a text"
