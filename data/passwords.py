"""Addresses that carry passwords: what is shown, uploaded or handed on has them masked."""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

# a password may hold slashes and colons, as SQLAlchemy takes it: it ends with the last @ before a space
_MASKED = (
    (re.compile(r"(://[^:/@\s]*):[^@\s]*(?:@[^@\s/]*)*@"), rf"\1:{MASK}@"),
    (re.compile(r"(https?://)[^:/@\s]+@"), rf"\1{MASK}@"),  # a lone word before the @ is a server's token
    (re.compile(r"([?&](?:\w*password|passwd|pwd|\w*token|\w*secret)=)[^&\s]+", re.IGNORECASE), rf"\1{MASK}"),
)


def without_password(text: str) -> str:
    """A text with the passwords and tokens of the addresses in it masked."""
    for pattern, masked in _MASKED:
        text = pattern.sub(masked, text)
    return text


def has_password(text: str | None) -> bool:
    """Whether an address carries a password or a token."""
    return text is not None and without_password(text) != text


def masked(value: Any) -> Any:
    """A value as JSON has it, with `without_password` applied to every text in it."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return without_password(value) if isinstance(value, str) else value
