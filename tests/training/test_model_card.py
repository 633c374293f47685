"""Texts of users in the model card."""

import pytest

from bertune.training.model_card import code_span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good", "`good`"),
        ("a<b", "`a<b`"),  # a backslash would be shown
        ("---\nlicense: x", "`--- license: x`"),
        ("a` <img src=x> `b", "``a` <img src=x> `b``"),  # the span must not end at a backtick of the text
        ("`", "`` ` ``"),
    ],
)
def test_a_label_stays_inside_its_code_span(text: str, expected: str) -> None:
    assert code_span(text) == expected
