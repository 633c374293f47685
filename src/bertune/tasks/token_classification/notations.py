"""How tags are written: role letter or word, separator, type, and the tag outside of entities."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

OUTSIDE = "O"
DASH = "B-PER"  # the usual notation, and the only one that transformers supports
SEPARATORS = "-_:/.|#~=+ \u2010\u2013\u2014\u2212"  # and other hyphens, dashes and the minus sign
# The short notations, by example: role letter first or last, a separator once or twice, upper or lower case.
# A longer one lists an example of each role and the tag outside of entities: BEGIN-PER,INSIDE-PER,OUTSIDE.
NOTATIONS = tuple(
    case
    for sign in (*SEPARATORS, *(2 * sign for sign in SEPARATORS))
    for example in (f"B{sign}PER", f"PER{sign}B")
    for case in (example, example.lower())
)
# Words for the role letters of all schemes, in lower case; the first of each letter is the usual one.
_WORDS = {
    "B": ("begin", "beg", "beginning", "start"),
    "I": ("inside", "in", "cont", "continue", "continuation", "inner", "intermediate", "internal"),
    "M": ("middle", "mid"),
    "E": ("end", "ending"),
    "L": ("last",),
    "S": ("single", "singleton"),
    "U": ("unit", "unique"),
}
_LETTER_OF = MappingProxyType({word: letter for letter, words in _WORDS.items() for word in words})
# Tags that no notation can read: <B-PER> and BeginPer, PER(B), BPER, and B- without a type.
_UNREAD = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\W*(?:(?P<word>{'|'.join(sorted(_LETTER_OF, key=len, reverse=True))})"
        r"|(?P<letter>[BIMESLU])(?=[\W_]))[\W_]*(?P<type>\w.*?)?\W*",
        r"\W*(?P<type>\w.*?)[\W_]+(?P<letter>[BIMESLU])\W*",
        r"(?P<letter>[BIMESLU])(?P<type>[^\W_].*)",
    )
)
# Tags outside of entities in data whose other tags have roles, with letters that look like O. Alone, only the
# first is unambiguous.
OUTSIDE_WORDS = (
    "outside", "out", "other", "none", "null", "nil", "0", "_", "-", "*", "\u043e", "\u03bf", "\uff4f",
)  # fmt: skip


@dataclass(frozen=True)
class Notation:
    """A parsed notation: how a tag is made of a role and a type, and back."""

    sign: str  # between role and type; "" if tags are bare roles
    is_first: bool  # whether the role comes before the type
    outside: str
    words: Mapping[str, str]  # the spelled role of each letter; empty if roles are letters
    is_lower: bool  # of role letters

    def parts(self, tag: str) -> tuple[str, str]:
        """The role letter of a typed tag, in either case, and its type; both "" for another notation.

        A separator next to the type, as in B--PER, belongs to another notation.
        """
        first, _, last = tag.partition(self.sign) if self.is_first else tag.rpartition(self.sign)
        role, label = (first, last) if self.is_first else (last, first)
        letter = self.letter(role)
        is_other = self.sign and (label.startswith if self.is_first else label.endswith)(self.sign[0])
        return (letter, label) if len(letter) == 1 and label and not is_other else ("", "")

    def letter(self, role: str) -> str:
        """The letter of a role as it is written; "" if roles are words and this is none of them."""
        return _LETTER_OF.get(role.casefold(), "") if self.words else role

    def tag(self, letter: str, label: str = "") -> str:
        """The tag for a role letter in upper case and a type, or for the role alone."""
        role = self.words[letter] if self.words else letter.lower() if self.is_lower else letter
        if not label:
            return role
        return f"{role}{self.sign}{label}" if self.is_first else f"{label}{self.sign}{role}"


@lru_cache(maxsize=512)  # all short notations, and more
def parsed(notation: str) -> Notation:
    """The notation with this name: one of NOTATIONS, or a list of examples. Raises ValueError."""
    if notation in NOTATIONS:
        is_first, is_lower = notation[0] in "Bb", notation.islower()
        sign = notation[1:-3] if is_first else notation[3:-1]
        return Notation(sign, is_first, OUTSIDE.lower() if is_lower else OUTSIDE, {}, is_lower)
    *examples, outside = notation.split(",")
    if not examples or not all(examples) or not outside:
        raise ValueError("must list an example of each role and the tag outside of entities")
    if len(examples) == 1 and examples[0] in NOTATIONS:
        short = parsed(examples[0])
        return Notation(short.sign, short.is_first, outside, {}, short.is_lower)
    forms = [forms_of(example) for example in examples]
    common = [form for form in forms[0] if all(form in others for others in forms)]
    if not common:
        raise ValueError(f'must list roles in one notation, such as BEGIN-PER or B-PER, got "{notation}"')
    sign, is_first = common[0]
    words = [_role(example, sign, is_first) for example in examples]
    found = {_LETTER_OF[word.casefold()]: word for word in words}
    missing = {letter: _like(words[0], usual[0]) for letter, usual in _WORDS.items() if letter not in found}
    return Notation(sign, is_first, outside, MappingProxyType(missing | found), words[0].islower())


def forms_of(tag: str) -> list[tuple[str, bool]]:
    """The separators and positions with which a tag has a role word; ("", True) for the word alone."""
    if tag.casefold() in _LETTER_OF:
        return [("", True)]
    found = []
    for sign in SEPARATORS:
        for is_first in (True, False):
            role = _role(tag, sign, is_first)
            if role.casefold() in _LETTER_OF and len(role) + 1 < len(tag):
                found.append((sign, is_first))
    return found


def spelled(tags: list[str], outside: str) -> str | None:
    """The notation of tags whose roles are words, as in BEGIN-PER; None if the tags may be entity types.

    START-DATE and END-DATE may be types, but a begin and a continuation of the same type are not.
    """
    common = set(forms_of(tags[0])).intersection(*map(forms_of, tags))
    for sign, is_first in sorted(common):
        words: dict[str, str] = {}  # letter -> word
        letters: dict[str, set[str]] = {}  # type -> letters
        for tag in tags:
            role = _role(tag, sign, is_first)
            letter = _LETTER_OF[role.casefold()]
            words.setdefault(letter, role)
            label = tag[len(role) :] if is_first else tag[: -len(role)]
            letters.setdefault(label, set()).add(letter)
        is_begun = any({"B", "I"} <= used or {"B", "M"} <= used for used in letters.values())
        is_plain = {role.casefold() for role in words.values()} <= {"begin", "beginning", "inside"}
        if is_begun or is_plain or outside.casefold() == OUTSIDE_WORDS[0]:
            ends = [f"{word}{sign}PER" if is_first else f"PER{sign}{word}" for word in words.values()]
            return ",".join([*(ends if sign else words.values()), outside])
    return None


def unread_role(tags: list[str]) -> bool:
    """Whether tags seem to have roles that no notation can read, as in <B-PER>, BeginPer or PER(B)."""
    return any(_has_roles(tags, pattern) for pattern in _UNREAD)


def _has_roles(tags: list[str], pattern: re.Pattern[str]) -> bool:
    rest: dict[str, set[str]] = {}  # type -> letters
    for tag in tags:
        match = pattern.fullmatch(tag)
        if match is None:
            return False
        found = match.groupdict()
        role = (found.get("word") or found["letter"]).casefold()
        rest.setdefault(found["type"] or "", set()).add(_LETTER_OF.get(role, role.upper()))
    return any({"B", "I"} <= letters or {"B", "M"} <= letters for letters in rest.values())


def _role(tag: str, sign: str, is_first: bool) -> str:
    """The part of a tag where its role is."""
    if not sign:
        return tag
    return tag.partition(sign)[0] if is_first else tag.rpartition(sign)[2]


def _like(example: str, word: str) -> str:
    """A word in the case of an example."""
    return word.upper() if example.isupper() else word.title() if example.istitle() else word
