"""Detection of the tagging scheme and its notation from the tags."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bertune.errors import DataError, listed
from bertune.tasks.token_classification.notations import (
    DASH,
    NOTATIONS,
    OUTSIDE,
    OUTSIDE_WORDS,
    forms_of,
    parsed,
    spelled,
    unread_role,
)
from bertune.tasks.token_classification.schemes import IO, LETTERS, PLAIN, Scheme, read_tags

_ROLE_LETTERS = frozenset("".join(LETTERS.values()))
# Longer separators first: B--PER is not B-PER with the type -PER.
_CAPITAL = tuple(sorted((x for x in NOTATIONS if x[-1].isupper()), key=len, reverse=True))


def detect(sequences: Sequence[Sequence[str]]) -> Scheme:
    """The scheme of the tags of several texts.

    Tags without a role (B, I, BEGIN, …) are IO if "O" is at least as frequent as every other tag, or "o" is
    more frequent than every other tag; otherwise they are plain. In part-of-speech tag sets, "O" and "o" are
    word classes, but rarely the most frequent ones (pronouns in Gimpel et al. 2011, onomatopoeia in the PKU
    tag set). Without "O", a tag such as OUTSIDE or _ can be outside of entities, and so can the most
    frequent tag if it is the only one without a role.

    Raises DataError if the tags look like a mixture of several schemes, or are numbers or brackets.
    """
    counts = Counter(tag for tags in sequences for tag in tags)
    outside = {tag: counts.pop(tag) for tag in (OUTSIDE, OUTSIDE.lower()) if tag in counts}
    num_outside = sum(outside.values())
    highest = max(counts.values(), default=0)
    is_dominant = num_outside > highest or (OUTSIDE in outside and num_outside == highest)
    is_lower = outside.get(OUTSIDE.lower(), 0) * 2 > num_outside
    if not counts:
        return Scheme("bio", notation=_in_case(DASH, is_lower))
    words = [tag for tag in counts if tag.casefold() in OUTSIDE_WORDS]
    _refuse_brackets(counts)
    _refuse_numbers(counts)
    if not outside and len(words) == 1:
        (word,) = words
        others = Counter({t: n for t, n in counts.items() if t != word})
        scheme = _of_roles(others, {word: 1}, sequences)
        is_most = others.total() > 0 and counts[word] > others.total()
        if scheme is None and (word.casefold() == OUTSIDE_WORDS[0] or is_most):
            _refuse_mixture(others, True, True)
            return Scheme(IO, notation=f"{DASH},{word}")
        if scheme is not None:
            return scheme
    elif not outside:
        scheme = _around_unknown(counts, sequences)
        if scheme is not None:
            return scheme
    scheme = _of_roles(counts, outside, sequences)
    if scheme is not None:
        return scheme
    # Bare lower-case letters can be parts of speech: b, i, m, s, l and u are in the PKU tag set.
    if all(_is_role(tag) and (tag.isupper() or is_dominant) for tag in counts) and _fitting(counts):
        return _scheme_with(counts, False, _in_case(DASH, is_lower), sequences)
    _refuse_mixture(counts, num_outside > 0, is_dominant)
    return Scheme(IO, notation=_in_case(DASH, is_lower)) if is_dominant else Scheme(PLAIN)


def _of_roles(
    counts: Counter[str], outside: Mapping[str, int], sequences: Sequence[Sequence[str]]
) -> Scheme | None:
    """The scheme of tags that all have a role and a type, or a role word; None if some have no role.

    `counts` are without the tags `outside` of entities.
    """
    word = next((tag for tag in outside if tag not in (OUTSIDE, OUTSIDE.lower())), "")
    if word and not counts:
        return Scheme("bio", notation=f"{DASH},{word}")
    for notation in _CAPITAL:
        letters = {tag: letter for tag in counts if (letter := _letter(tag, notation))}
        if len(letters) == len(counts) and _fitting(letters.values()):
            num_lower = sum(counts[tag] for tag, letter in letters.items() if letter.islower())
            num_lower += outside.get(OUTSIDE.lower(), 0)
            notation = _in_case(notation, num_lower * 2 > counts.total() + sum(outside.values()))
            name = f"{notation},{word}" if word else notation
            return _scheme_with(letters.values(), True, name, sequences)
    if word and all(_is_role(tag) and tag.isupper() for tag in counts) and _fitting(counts):
        return _scheme_with(counts, False, f"{DASH},{word}", sequences)
    words = spelled(list(counts), word or max(outside, key=outside.__getitem__, default=OUTSIDE))
    if words is None:
        return None
    read, is_typed = parsed(words), bool(parsed(words).sign)
    roles = {read.parts(tag)[0] if is_typed else read.letter(tag) for tag in counts}
    return _scheme_with(roles, is_typed, words, sequences) if _fitting(roles) else None


def _around_unknown(counts: Counter[str], sequences: Sequence[Sequence[str]]) -> Scheme | None:
    """The scheme if the most frequent tag is the only one without a role, and so is outside of entities.

    None if other tags have no role either, or if none of them begins an entity.
    """
    word, _ = counts.most_common(1)[0]
    others = Counter({tag: number for tag, number in counts.items() if tag != word})
    if not others or "," in word or any(_letter(word, notation) for notation in _CAPITAL):
        return None
    scheme = _of_roles(others, {word: 1}, sequences)
    begins = scheme is not None and any((scheme.role(tag) or "?")[0] == "B" for tag in others)
    return scheme if begins else None


def _refuse_brackets(counts: Counter[str]) -> None:
    """Raises DataError for tags such as (PER*, * and *), in which brackets mark the ends of entities."""
    opens = any(tag.startswith("(") for tag in counts)
    closes = any(tag.endswith(")") for tag in counts)
    if opens and closes and all(tag in ("*", "-", "_", "O", "o") or set("()") & set(tag) for tag in counts):
        raise DataError(
            f"the tags are in the bracket notation of CoNLL-2005 and CoNLL-2012: {listed(sorted(counts))}. "
            "Expected tags such as B-PER, I-PER and O. Convert the brackets to such tags"
        )


def _refuse_numbers(counts: Counter[str]) -> None:
    """Raises DataError for numbers of which 0 is the most frequent: class indices instead of tags."""
    if len(counts) < 2 or not all(tag.isdecimal() for tag in counts):
        return
    if counts.most_common(1)[0][0] == "0":
        numbers = [str(number) for number in sorted(map(int, counts))]
        raise DataError(
            f"the tags are numbers: {listed(numbers)}. Expected names, such as B-PER and O. "
            "If they are class indices of a Hugging Face data set, save it with save_to_disk, which keeps "
            'the names, or replace them with the names in features["ner_tags"].feature.names. If each number '
            "is a label of its own, set task.scheme=plain"
        )


def outside_hint(sequences: Sequence[Sequence[str]]) -> str:
    """Advice on plain tags that seem to include one for words outside of entities; empty if none does.

    It is the most frequent tag and has a usual name, such as NONE, or more than half of the words have it.
    The most frequent part of speech has far fewer.
    """
    counts = Counter(tag for tags in sequences for tag in tags)
    tag, number = counts.most_common(1)[0]
    is_usual = tag.casefold() in OUTSIDE_WORDS
    if tag == OUTSIDE or (2 * number <= counts.total() and not is_usual):
        return ""
    share = f"{number / counts.total():.0%} of the words"
    return f'. If "{tag}" ({share}) is outside of entities, set task.outside={tag}'


def _scheme_with(
    letters: Iterable[str], typed: bool, notation: str, sequences: Sequence[Sequence[str]]
) -> Scheme:
    """The scheme with these role letters; BIO or IOB1, which have the same letters, by where B occurs."""
    name = _fitting(letters)[0]
    scheme = Scheme(name, typed, notation)
    if name != "bio" or not any(read_tags(tags, scheme).broken for tags in sequences):
        return scheme
    return Scheme("iob1", typed, notation) if _is_iob1(sequences, scheme) else scheme


def _is_iob1(sequences: Iterable[Sequence[str]], scheme: Scheme) -> bool:
    """Whether B- occurs only between two adjacent spans of the same type (Ramshaw & Marcus 1995)."""
    for tags in sequences:
        before = ""  # the type of the previous tag; "" for O
        for role, label in filter(None, map(scheme.role, tags)):
            if role == "B" and before != label:
                return False
            before = label
    return True


def _refuse_mixture(counts: Counter[str], has_outside: bool, is_dominant: bool) -> None:
    """Raises DataError if only some tags have a role letter, or if they mix schemes or notations."""
    dashed = {tag for tag in counts if _letter(tag, DASH) or (_is_role(tag) and tag.isupper())}
    letters = {(_letter(tag, DASH) or tag).upper() for tag in dashed}
    others = [tag for tag in counts if tag not in dashed]
    is_mixed = not others or ("B" in letters and has_outside)
    if not is_mixed and is_dominant:
        lettered = {tag: label for tag in counts for label in _types(tag)}
        others = [tag for tag in counts if tag not in lettered] or others
        # A type in IO can look like a role and a type, such as B-cell, but most types do not.
        is_mixed = 2 * len(lettered) > len(counts) or any(label in counts for label in lettered.values())
    with_roles = [tag for tag in counts if forms_of(tag)]
    if not is_mixed and with_roles and spelled(with_roles, ""):
        is_mixed, others = True, [tag for tag in counts if tag not in with_roles]
    unread = has_outside and unread_role(list(counts))
    if not is_mixed and unread:
        raise DataError(
            f"the tags seem to have a role and a type, but in an unknown notation: {listed(sorted(counts))}. "
            "Write them as B-PER and I-PER; or set task.scheme=io if each tag is an entity type"
        )
    if is_mixed:
        mixture = listed(sorted(counts))
        if others:
            mixture = f'"{others[0]}" among {listed(sorted(set(counts) - {others[0]}))}'
        raise DataError(
            f"the tags mix several schemes: {mixture}. Correct them; or set task.scheme=io if each tag is an "
            "entity type, or task.scheme=plain to treat each tag as its own label"
        )


def _types(tag: str) -> list[str]:
    """The types of a tag in all notations in which it has a role letter."""
    return [parsed(notation).parts(tag)[1] for notation in _CAPITAL if _letter(tag, notation)]


def _letter(tag: str, notation: str) -> str:
    """The role letter of a typed tag; "" if it has none."""
    letter, _ = parsed(notation).parts(tag)
    return letter if _is_role(letter) else ""


def _is_role(letter: str) -> bool:
    return letter.upper() in _ROLE_LETTERS


def _fitting(letters: Iterable[str]) -> list[str]:
    """The schemes that have all these role letters."""
    used = {letter.upper() for letter in letters}
    return [name for name, known in LETTERS.items() if used <= set(known)]


def _in_case(notation: str, is_lower: bool) -> str:
    return notation.lower() if is_lower else notation
