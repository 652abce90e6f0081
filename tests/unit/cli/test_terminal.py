import pytest

from buddies_cli import terminal


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.9, "0s"), (187.5, "3m 7s"), (7200, "2h 0m"), (90_061, "1d 1h")],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert terminal.span(seconds) == shown


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("ssh:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample0123456789", "ssh-ed25519 …le0123456789"),
        ("ssh:ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ0987654321zyx= a@b", "ssh-rsa …87654321zyx="),
        ("gpg:0123456789ABCDEF0123456789ABCDEF01234567", "gpg …89ABCDEF01234567"),
        ("gpg:short", "gpg:short"),
    ],
)
def test_a_signer_is_shown_by_what_tells_its_key_from_others(label: str, shown: str) -> None:
    assert terminal.signer(label) == shown


def test_text_keeps_its_lines_tabs_and_joined_emoji() -> None:
    text = "a\n\tb 👩\u200d💻"
    assert terminal.plain(text) == text
    assert terminal.block("a\n\nb") == "  a\n\n  b"
