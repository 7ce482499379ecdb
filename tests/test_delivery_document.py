import pytest

from shared.deliveries.status import DeliveryStatus
from tests.delivery_document import DOCUMENT, document, example, unknown_codes


def test_the_reference_of_a_delivery_is_generated_from_the_model() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run python -m tests.delivery_document"


@pytest.mark.parametrize("status", DeliveryStatus)
def test_each_status_has_an_example_that_is_in_it(status: DeliveryStatus) -> None:
    assert example(status).status is status
    assert f"### {status} (" in DOCUMENT.read_text("utf-8")


def test_the_examples_have_codes_of_the_app() -> None:
    assert unknown_codes() == set()
