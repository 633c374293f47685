"""Owns what the gold of examples means: spans of words, labels to learn, and what is odd about them."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.data.rows import Origin
from bertune.errors import DataError, listed
from bertune.metrics.details import table
from bertune.tasks.token_classification.detection import detect
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.schemes import (
    DASH,
    IO,
    OUTSIDE,
    PLAIN,
    Scheme,
    Span,
    read_tags,
    to_words,
    write_tags,
)

IGNORED = -100  # the gold of a token that decides no label
_MOST_BROKEN = 0.2  # of tags that break their scheme to spans: more is no accident
_FEW_TEXTS = 20  # fewer may be single words by chance
_MOSTLY = 0.95  # of texts that are single words: a list of words, or a table with a word in each row
_SINGLE = 0.9  # of tokens that are one character: the text was cut into characters
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
    """The scheme that tags are written in, and what becomes of those that break it."""

    scheme: Scheme
    repair: str  # auto, conlleval or refuse: the option

    @property
    def refuses(self) -> bool:
        """Whether the first tag that breaks the scheme is an error.

        In BIO a stray inside may as well be the tag of another scheme as a slip. Published BMES data have
        slips, and there they cannot be taken for anything else.
        """
        return self.repair == "refuse" or (self.repair == "auto" and not self.scheme.is_closed)

    @property
    def has_spans(self) -> bool:
        """Whether tags are about spans, not each a label of its own."""
        return self.scheme.name != PLAIN

    @property
    def bio(self) -> Scheme:
        """The scheme that is learned."""
        return Scheme("bio", self.scheme.typed)

    def spans(self, example: Example) -> tuple[Span, ...]:
        """The spans of words to learn. Raises DataError for tags of another scheme, and broken ones."""
        if not example.tags:
            return to_words(example.spans, example.words).spans
        found = read_tags(example.tags, self.scheme)
        if found.unknown:
            raise DataError(
                f"{token_of(example, found.unknown[0])} is not of the scheme {titled(self.scheme)}, in which "
                "the training data is. Correct it; or, to evaluate a file in another scheme, set "
                "task.scheme=auto. Validation and test files of a training must have the scheme of the "
                "training file"
            )
        if found.broken and self.refuses:
            raise DataError(
                f"{token_of(example, found.broken[0])} breaks the scheme {_TITLES[self.scheme.name]} after "
                f"{_before(example.tags, found.broken[0])}. Correct it, or set task.repair=conlleval to "
                "begin an entity there, or task.scheme if the whole file has another scheme"
            )
        return found.spans

    def gold(self, example: Example) -> list[Span]:
        """The spans of characters to find, as they were given."""
        return in_text(self.spans(example), example) if example.tags else list(example.spans)

    def learned(self, example: Example) -> list[str]:
        """A label for each word."""
        if not self.has_spans:
            if example.spans:
                raise DataError(
                    f"{example.origin}: here are spans of characters, but the training data has a tag for "
                    "each word that says nothing of where an entity begins. Give tags here, too"
                )
            return list(example.tags)
        return write_tags(self.spans(example), len(example.words), self.bio)

    def labels(self, examples: Sequence[Example]) -> tuple[str, ...]:
        """Those of the model, in their order. Raises DataError where there is nothing to learn."""
        file = examples[0].origin.file
        if not self.has_spans:
            tags = tuple(sorted({tag for e in examples for tag in e.tags}))
            if len(tags) > 1:
                return tags
            raise DataError(f'{file}: every word has the tag "{tags[0]}"; there is nothing to learn')
        types = sorted({span.label for e in examples for span in self.spans(e)})
        if not types:
            raise DataError(
                f"{file}: no entity is in any of the {len(examples):,} rows, so nothing can be learned. "
                "Is data.label the right column?"
            )
        return (OUTSIDE, *(self.bio.tag(role, label) for label in types for role in "BI"))

    def notes(self, examples: Sequence[Example]) -> Iterator[str]:
        """How the gold of training examples was read. Raises DataError where most tags break the scheme."""
        if any(e.tags for e in examples):
            if not self.has_spans:
                yield (
                    "tags: each is a label of its own, since they have no B- and I-; f1, precision and "
                    "recall are the accuracy"
                )
                if any(OUTSIDE in e.tags for e in examples):
                    yield (
                        '"O" is a label like the others, since it is not the most frequent tag; set '
                        "task.scheme=io if it marks the words outside of entities"
                    )
            else:
                yield f"tags: {titled(self.scheme)}"
        if not self.has_spans:
            return
        broken = self.broken(examples)
        if broken:
            yield broken
        resolved = [(e, to_words(e.spans, e.words)) for e in examples if e.spans]
        for kind, count in (
            ("begin or end inside a word; all of it is learned", "num_inside"),
            ("are nested in another one and are not learned", "num_nested"),
            ("overlap a longer one, or an earlier one as long, and are not learned", "num_overlapping"),
        ):
            odd = [(e, getattr(found, count)) for e, found in resolved if getattr(found, count)]
            if odd:
                yield (
                    f"{sum(number for _, number in odd):,} spans {kind} (first: {odd[0][0].origin}); "
                    "scores are against the spans as given"
                )
        trimmed = [e for e in examples if e.num_trimmed]
        if trimmed:
            yield (
                f"{sum(e.num_trimmed for e in trimmed):,} spans begin or end with spaces, which are taken "
                f"off (first: {trimmed[0].origin})"
            )

    def broken(self, examples: Sequence[Example]) -> str | None:
        """A sentence on tags that break the scheme. Raises DataError where that is no accident."""
        if not self.has_spans:
            return None
        found = [(e, read_tags(e.tags, self.scheme)) for e in examples if e.tags]
        odd = [(e, reading.broken) for e, reading in found if reading.broken]
        if not odd:
            return None
        count = sum(len(positions) for _, positions in odd)
        first = token_of(odd[0][0], odd[0][1][0])
        num_spans = sum(len(reading.spans) for _, reading in found)
        if self.repair == "auto" and count > max(10, _MOST_BROKEN * num_spans):
            raise DataError(
                f"{first} and {count - 1:,} more break the scheme {_TITLES[self.scheme.name]}, too many "
                "for an accident. Correct the tags; or say which scheme they have, task.scheme=…, or that "
                "they are to be read as they are, task.repair=conlleval"
            )
        return (
            f"{count:,} tags break the scheme {_TITLES[self.scheme.name]} and are read as conlleval reads "
            f"them (first: {first}); task.repair=refuse refuses them"
        )


def titled(scheme: Scheme) -> str:
    """The name of a scheme for the user, with its notation where that is not the usual one."""
    title = _TITLES[scheme.name]
    if scheme.name in (IO, PLAIN) or scheme.notation == DASH:
        return title
    example = scheme.notation if scheme.typed else "b"
    return f"{title}, written like {example}"


def settle(examples: Sequence[Example], wanted: str, repair: str, notation: str = "auto") -> Tagging:
    """The tagging of training examples. Raises DataError for tags that mix several schemes."""
    tags = [e.tags for e in examples if e.tags]
    if not tags:
        return Tagging(Scheme("bio", notation=DASH if notation == "auto" else notation), repair)
    try:
        found = detect(tags)
    except DataError as error:
        if wanted == "auto":
            raise DataError(f"{_first_odd(examples)}: {error}") from error
        found = Scheme(PLAIN)
    if notation != "auto":
        found = replace(found, notation=notation)
    if len(tags) < len(examples) and PLAIN in (found.name, wanted):
        raise DataError(
            f"{examples[0].origin.file}: some rows have tags without B- and I-, others spans of characters; "
            f"one cannot be learned with the other. Tags are {listed(sorted(set(tags[0])))}"
        )
    return Tagging(found if wanted == "auto" else replace(found, name=wanted), repair)


def scheme_of(examples: Sequence[Example], labels: Sequence[str], repair: str) -> Scheme:
    """The scheme of examples that a model with these labels is applied to.

    Raises DataError where the two do not go together.
    """
    scheme = settle(examples, "auto", repair).scheme
    found = scheme.name
    if found == PLAIN and is_of_spans(tuple(labels)) and _are_types(examples, labels):
        return Scheme(IO)  # of few words with many entities, where O is not the most frequent tag
    if found == IO and not is_of_spans(tuple(labels)):
        return Scheme(PLAIN)
    if (found == PLAIN) == is_of_spans(tuple(labels)):
        says, does = ("do not mark", "do") if found == PLAIN else ("mark", "do not")
        raise DataError(
            f"{examples[0].origin.file}: its tags {says} where an entity begins, and the labels of this "
            f"model, {listed(list(labels))}, {does}"
        )
    return scheme


def _are_types(examples: Sequence[Example], labels: Sequence[str]) -> bool:
    """Whether all tags of examples are types of entities that a model knows, or O."""
    return {tag for e in examples for tag in e.tags} - {"o"} <= {without_role(label) for label in labels}


def refuse_lettered(examples: Sequence[Example], scheme: Scheme) -> None:
    """Raises DataError for tags such as B-PER where a model takes IO, in which any tag could be a type."""
    if scheme.name != IO or not any(set(e.tags) - {OUTSIDE, "o"} for e in examples):
        return
    found = settle(examples, "auto", "conlleval").scheme
    if found.name in (IO, PLAIN):
        return
    raise DataError(
        f"{examples[0].origin.file}: its tags are {titled(found)}, and the training data is IO. Set "
        "task.scheme=auto to evaluate it in its own scheme. Validation and test files of a training must "
        "have the scheme of the training file"
    )


def _first_odd(examples: Sequence[Example]) -> Origin:
    """The row up to which the tags mix several schemes, and before which they do not."""
    tagged = [e for e in examples if e.tags]
    numbers = range(1, len(tagged) + 1)
    return tagged[bisect_left(numbers, True, key=lambda n: _is_odd(tagged[:n]))].origin


def _is_odd(examples: Sequence[Example]) -> bool:
    try:
        detect([e.tags for e in examples])
    except DataError:
        return True
    return False


def refuse_single_words(examples: Sequence[Example]) -> None:
    """Raises DataError where nearly all texts are single words: their tags could not depend on context."""
    num_single = sum(len(e.words) == 1 for e in examples)
    if len(examples) < _FEW_TEXTS or num_single < _MOSTLY * len(examples):
        return
    raise DataError(
        f"{examples[0].origin.file}: {num_single:,} of {len(examples):,} texts are single words. Expected "
        "sentences, because the tag of a word depends on the words around it. If the file has a word in each "
        "row, set task.sentence to the column that numbers the sentences, and keep the rows of a sentence "
        "together; if blank lines separate the sentences, set data.reader=conll; if every text is a single "
        "word, set task.sentence=none"
    )


def likely_words(examples: Sequence[Example]) -> str:
    """The rule that cuts raw text into words most like the tokens of training examples."""
    sizes = [end - start for e in examples if e.tags for start, end in e.words]
    if not sizes:
        return "signs"
    return "characters" if sizes.count(1) > _SINGLE * len(sizes) else "whole"


def token_of(example: Example, at: int) -> str:
    """Where a word of an example is, what it is and its tag."""
    start, end = example.words[at]
    place = f"{example.origins[at]}:" if example.origins else f"{example.origin}: token {at + 1},"
    return f'{place} "{example.texts[0][start:end]}": the tag "{example.tags[at]}"'


def in_text(spans: Sequence[Span], example: Example) -> list[Span]:
    """Spans of words as spans of characters."""
    words = example.words
    return [Span(words[s.start][0], words[s.end - 1][1], s.label) for s in spans]


@lru_cache(maxsize=4)  # asked for every text, and labels may be thousands
def is_of_spans(labels: tuple[str, ...]) -> bool:
    """Whether labels of a model are those of BIO, not each a label of its own."""
    return labels[0] == OUTSIDE and all(label[0] in "BI" for label in labels[1:])


@lru_cache(maxsize=4)
def begins(labels: tuple[str, ...]) -> NDArray[np.int64]:
    """For each label of the model that goes on [C], the one that begins the same; -1 for the others."""
    index = {label: number for number, label in enumerate(labels)}
    found = np.array([index[f"B{label[1:]}"] if label[0] == "I" else -1 for label in labels])
    found.setflags(write=False)
    return found


def filled(label_W: NDArray[np.int64], begins_C: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels with those of words that have none, -1: that of the word after, where it goes on, else O."""
    following = 0
    for at in range(len(label_W) - 1, -1, -1):
        if label_W[at] < 0:
            label_W[at] = following
        following = int(label_W[at]) if begins_C[label_W[at]] >= 0 else 0
    return label_W


def repeated(label_W: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels with those of words that have none, -1: that of the word before, else of the first."""
    known = label_W[label_W >= 0]
    before = int(known[0]) if len(known) else 0
    for at, label in enumerate(label_W):
        before = label_W[at] = int(label) if label >= 0 else before
    return label_W


def without_role(label: str) -> str:
    """What a label of the model is about: PER for B-PER; bare ones, and O, as they are."""
    return label[2:] or label


def alignment(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """A table of how spans of characters fit words, where examples have such."""
    resolved = [(e, to_words(e.spans, e.words)) for e in examples if e.spans]
    if not resolved:
        return []
    num_spans = sum(len(e.spans) for e, _ in resolved)
    odd = {
        "begin or end inside a word": sum(found.num_inside for _, found in resolved),
        "are nested in another one": sum(found.num_nested for _, found in resolved),
        "overlap another one": sum(found.num_overlapping for _, found in resolved),
        "began or ended with spaces": sum(e.num_trimmed for e, _ in resolved),
    }
    rows = [["spans", num_spans, 1.0], *([name, count, count / num_spans] for name, count in odd.items())]
    reachable = sum(len(set(in_text(found.spans, e)) & set(e.spans)) for e, found in resolved) / num_spans
    note = (
        f"Words decide where predicted spans begin and end, so at most {reachable:.1%} of these can be found."
    )
    return [table("Spans and words", ["gold spans", "number", "share"], rows, note)]


def _before(tags: Sequence[Any], at: int) -> str:
    return f'"{tags[at - 1]}"' if at else "nothing: it is the first"
