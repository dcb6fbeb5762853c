import pytest

from benchmarks import batched


@pytest.mark.parametrize("form", ["punished", "stag_hunt"])
def test_many_at_once_are_faster_than_one_after_the_other(form):
    single, many = batched.rates(form, 16, 0.2)
    assert many > 2 * single > 0
