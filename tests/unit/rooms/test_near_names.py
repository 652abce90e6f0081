import pytest

from buddies_core.rooms.near_names import looks_like


@pytest.mark.parametrize(
    "other",
    [
        "Payments-API",
        "payments_api",
        "payments api",
        "paymentsapi",
        "payment-api",
        "paymments-api",
        "paymenst-api",
        "paymemts-api",
        "payments-api/",
    ],
)
def test_a_name_that_differs_by_case_marks_or_one_slip_looks_like_it(other: str) -> None:
    assert looks_like("payments-api", other)
    assert looks_like(other, "payments-api")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("payments-api", "payments-api"),
        ("payments-api", "payments-web"),
        ("payments-api", "payments-apis"),  # one letter more in a short word is another word
        ("payments-api", "payemtns-api"),
        ("payments", "payments-api"),
        ("feature-a", "feature-b"),
        ("release1", "release2"),
        ("release", "release2"),
        ("team-one", "teams-ones"),
        ("🐘", "☺"),
        ("-", "_"),
        ("", ""),
    ],
)
def test_another_name_does_not(name: str, other: str) -> None:
    assert not looks_like(name, other)
    assert not looks_like(other, name)
