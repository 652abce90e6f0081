"""No secret is left in a text that somebody hands on."""

import base64

import pytest

from buddies_cli.doctor.redaction import Redaction

KEY = bytes(range(200, 232))
TICKET = "pmrhe33pnurduitgmvqxi5lsmuwwcirmejxgczdporuxgidbnzqwy2lomu" * 3
ENDPOINT = "a1b2c3d4e5" + "0f" * 27
REDACTION = Redaction([KEY, b"tok-en_12345\n", b""], ["/home/ann", "/mnt/people/ann"])


@pytest.mark.parametrize(
    "form",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        base64.b32encode(KEY).decode().lower(),
        repr(KEY)[2:-1],
        "tok-en_12345",
    ],
)
def test_a_known_secret_is_taken_out_in_whatever_form_it_was_printed(form: str) -> None:
    assert REDACTION.of(f"before {form}, after") == "before [secret], after"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"join with {TICKET} now", "join with [ticket] now"),
        (f"peer={ENDPOINT} dropped", "peer=a1b2c3d4e5… dropped"),
        (f"Authorization: Bearer {'x' * 20}", "Authorization: [secret]"),
        ('{"token": "a b", "room": "r"}', '{"token": [secret], "room": "r"}'),
        ("BUDDIES_HTTP_TOKEN=abc next", "BUDDIES_HTTP_TOKEN=[secret] next"),
        ("relay = https://ann:pw@relay.example/", "relay = https://[secret]@relay.example/"),
        ("/home/ann/x and /mnt/people/ann", "~/x and ~"),
        ("/home/anna/x", "/home/anna/x"),
        (
            "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----\nz",
            "a\n[key]\nz",
        ),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ", "[key]"),
        (f"ssh-ed25519 {'A' * 30}{'b' * 30}", "ssh-ed25519 [ticket]"),
        (f"x {'aB3/' * 12}== y", "x [long] y"),
        ("room r: 12 memories, 0 waiting", "room r: 12 memories, 0 waiting"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_and_the_rest_stays(text: str, left: str) -> None:
    assert REDACTION.of(text) == left
