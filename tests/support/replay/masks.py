"""Masks over what differs from run to run (ids, times, addresses), applied to the recorded and the new text alike."""

from __future__ import annotations

import re

# Names in the scenario that look like Docker's random adjective_surname names.
_KNOWN = "my_net|your_account|web_test|build_cache|run_apache|r408_test1|custom_net"

_AGE = r"Less than a second|About (?:a|an) (?:minute|hour)|\d+ (?:second|minute|hour|day|week|month|year)s?"

_RULES: list[tuple[str, str]] = [
    (r"\r\n", "\n"),
    (r"\x1b\[\d*[nJ]", ""),
    (r"sha256:[0-9a-f]{64}", "<SHA256>"),
    (r"sha256:[0-9a-f]{12}\b", "<SHA256>"),
    (r"\b[0-9a-f]{64}\b", "<ID64>"),
    (r"\b[0-9a-f]{12}\b", "<ID12>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<MAC>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?( UTC)?", "<TIME>"),
    (rf"(?:{_AGE}) ago", "<AGO>"),
    (rf"Up (?:{_AGE})", "Up <DUR>"),
    (r"\[4026(?!5318)\d{6}\]", "[<NS>]"),
    (r"[RT]X (packets|bytes):\d+( \([\d.]+ \w+\))?", "<TRAFFIC>"),
    (r"(?<=with provided prefix: )[0-9a-f]\b", "<PREFIX>"),
    (r"(?<=\]:)\d{5}(?=: response)", "<EPORT>"),
    (r"(?<=real )\d+\.\d+\nuser .*\nsys .*", "<SECONDS>"),
    (r"\b172\.(?:1[7-9]|2\d|3[01])\.\d+\.\d+\b", "<IP>"),
    (r"\b(?:0\.0\.0\.0|\[::\]):(?:3[2-9]\d{3}|[4-6]\d{4})\b", "<EPORT>"),
    (rf"\b(?!(?:{_KNOWN})\b)[a-z]+_[a-z]+\b(?=\s*$)", "<RANDNAME>"),
]  # fmt: skip

_COMPILED = [(re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in _RULES]
_STDCOPY = re.compile(r"[ \t]{3,}")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_PS = [
    (re.compile(r"\b\d+(?:\.\d+)?\b"), "<N>"),  # ps leaves the decimals of 100 % out
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "<CLK>"),
]


def mask(text: str, extra: list[str], *, work_directory: str) -> str:
    """Put names in place of what may differ; ``extra`` are the record's own masks (``ps``, ``sortpull``, ...)."""
    text = text.replace(work_directory, "/work-dir")
    if "ps" in extra:
        for pattern, replacement in reversed(_PS):
            text = pattern.sub(replacement, text)
        text = re.sub(r" +", " ", text.replace(" RNs ", " Rs "))  # a replay may be run with another priority
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    text = _TRAILING.sub("", _STDCOPY.sub("   ", text))
    if "sortpull" in extra:
        text = "\n".join(sorted(text.split("\n")))
    return text
