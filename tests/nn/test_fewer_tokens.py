"""A computation that runs out of memory is repeated with half the tokens until it fits."""

import pytest
import torch
from memory_errors import ERRORS

from bertune.errors import ResourceError
from bertune.nn.memory import is_out_of_memory, with_fewer_tokens


@pytest.mark.parametrize("kind", ERRORS)
def test_the_tokens_are_halved_until_it_fits(kind: str) -> None:
    asked = []

    def compute(tokens: int) -> str:
        asked.append(tokens)
        if tokens > 600:
            raise ERRORS[kind]()
        return "done"

    assert with_fewer_tokens(compute, 2048, 100) == ("done", 512)
    assert asked == [2048, 1024, 512]


def test_the_last_try_is_one_text_at_a_time() -> None:
    asked = []

    def compute(tokens: int) -> None:
        asked.append(tokens)
        raise ERRORS["of a GPU"]()

    with pytest.raises(ResourceError) as caught:
        with_fewer_tokens(compute, 4096, 1500)
    assert asked == [4096, 2048, 1500]
    assert caught.value.exit_code == 4
    for words in ("CUDA out of memory", "1,500 tokens", "smaller model.max_length", "smaller model",
                  "train.freeze", "more memory"):  # fmt: skip
        assert words in str(caught.value)


def test_a_text_longer_than_the_budget_is_tried_once() -> None:
    asked = []

    def compute(tokens: int) -> None:
        asked.append(tokens)
        raise MemoryError

    with pytest.raises(ResourceError, match=r"\(MemoryError\) with one text of 40 tokens"):
        with_fewer_tokens(compute, 8, 40)
    assert asked == [8]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("no"), OSError(12, "no")],
)
def test_other_errors_are_not_changed(error: Exception) -> None:
    asked = []

    def compute(tokens: int) -> None:
        asked.append(tokens)
        raise error

    with pytest.raises(type(error)) as caught:
        with_fewer_tokens(compute, 4096, 1)
    assert caught.value is error and asked == [4096]
    assert not is_out_of_memory(error)


def test_memory_of_a_failed_attempt_is_released_before_the_next() -> None:
    import weakref

    held: list[weakref.ref[torch.Tensor]] = []

    def compute(tokens: int) -> bool:
        if held:
            return held[0]() is None
        large = torch.zeros(9)
        held.append(weakref.ref(large))
        raise MemoryError

    assert with_fewer_tokens(compute, 8, 1) == (True, 4)
