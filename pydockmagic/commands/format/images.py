"""``docker images`` and ``docker history`` (docker/cli, command/formatter/image.go, image/formatter_history.go)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydockmagic.commands.units import human_size

from .exact import known, moment, number
from .listing import Field, Json, Listing, Options
from .table import ellipsis
from .times import age, go_time

__all__ = ["HISTORY", "HISTORY_IN_FULL", "IMAGES", "image_rows"]

_ID = 12
_CREATED_BY = 45
_NONE = "<none>"


def image_rows(items: Sequence[Json], *, digests: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each name of each image; with ``digests``, for each tag and digest of a repository."""
    for item in items:
        tags = _by_repository(item.get("RepoTags"), ":")
        sums = _by_repository(item.get("RepoDigests"), "@")
        if not tags and not sums:
            yield _row(item, _NONE, _NONE, _NONE)
            continue
        for repository, names in tags.items():
            own = sums.pop(repository, [])
            if not digests:
                yield from (_row(item, repository, tag, own[0] if own else _NONE) for tag in names)
                continue
            if not own:
                own = [_NONE]
            yield from (_row(item, repository, tag, digest) for tag in names for digest in own)
        for repository, own in sums.items():
            if digests:
                yield from (_row(item, repository, _NONE, digest) for digest in own)
            else:
                yield _row(item, repository, _NONE, own[0] if own else _NONE)


def _by_repository(references: Sequence[str] | None, mark: str) -> dict[str, list[str]]:
    """Group tags or digests by their repository, in its familiar form; ``<none>`` is no name."""
    from pydockmagic.oci.errors import InvalidReference  # noqa: PLC0415 - only lists of images need it
    from pydockmagic.oci.reference import parse_normalized  # noqa: PLC0415

    found: dict[str, list[str]] = {}
    for text in references or ():
        if text in {"<none>:<none>", "<none>@<none>"}:
            continue
        try:
            reference = parse_normalized(text)
        except InvalidReference:
            continue
        value = reference.tag if mark == ":" else reference.digest
        if value:
            found.setdefault(reference.familiar_name, []).append(value)
    return found


def _row(item: Json, repository: str, tag: str, digest: str) -> dict[str, Any]:
    return {**item, "Repository": repository, "Tag": tag, "Digest": digest}


def _id(item: Json, options: Options) -> str:
    text = str(item.get("Id", ""))
    return text.removeprefix("sha256:")[:_ID] if options.trunc else text


def _shared(item: Json, _options: Options) -> str:
    return "N/A" if item.get("SharedSize", -1) == -1 else human_size(item["SharedSize"])


def _unique(item: Json, _options: Options) -> str:
    if item.get("Size", 0) == 0 or item.get("SharedSize", -1) == -1:
        return "N/A"
    return human_size(item["Size"] - item["SharedSize"])


def _containers(item: Json, _options: Options) -> str:
    return "N/A" if item.get("Containers", -1) == -1 else str(item["Containers"])


IMAGES = Listing(
    go_type="*formatter.imageContext",
    fields={
        "ID": Field("IMAGE ID", _id),
        "Repository": Field("REPOSITORY", lambda item, _: item["Repository"]),
        "Tag": Field("TAG", lambda item, _: item["Tag"]),
        "Digest": Field("DIGEST", lambda item, _: item["Digest"]),
        "CreatedSince": Field("CREATED", lambda item, options: age(item["Created"], options.now) or "N/A"),
        "CreatedAt": Field("CREATED AT", lambda item, _: go_time(item["Created"])),
        "Size": Field("SIZE", lambda item, _: human_size(item.get("Size", 0), 3)),
        "Containers": Field("CONTAINERS", _containers),
        "VirtualSize": Field("SIZE", lambda item, _: human_size(item.get("Size", 0))),
        "SharedSize": Field("SHARED SIZE", _shared),
        "UniqueSize": Field("UNIQUE SIZE", _unique),
    },
    columns=lambda options: (
        *("Repository", "Tag"),
        *(("Digest",) if options.digests else ()),
        *("ID", "CreatedSince", "Size"),
    ),
    exact={
        "Containers": number("Containers"),
        "CreatedAt": lambda item: moment(item["Created"]),
        "SharedSize": number("SharedSize"),
        "Size": number("Size"),
        "UniqueSize": lambda item: None if known(item.get("SharedSize")) is None else item["Size"] - item["SharedSize"],
        "VirtualSize": number("Size"),
    },
    raw=(
        "repository: {{ .Repository }}\\ntag: {{.Tag}}\\nimage_id: {{.ID}}\\ncreated_at: {{.CreatedAt}}\\n"
        "virtual_size: {{.Size}}\\n"
    ),
)


def _created_by(item: Json, options: Options) -> str:
    text = str(item.get("CreatedBy", "")).replace("\t", " ")
    return ellipsis(text, _CREATED_BY) if options.trunc else text


def _history_age(item: Json, options: Options) -> str:
    if not options.human:
        return _rfc3339(item["Created"])
    created = item["Created"]
    return age(created, options.now) if created > 0 else "N/A"


def _rfc3339(seconds: int) -> str:
    import time  # noqa: PLC0415

    local = time.localtime(seconds)
    offset = local.tm_gmtoff or 0
    zone = (
        "Z" if not offset else f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02d}:{abs(offset) % 3600 // 60:02d}"
    )
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + zone


def _history_size(item: Json, options: Options) -> str:
    return human_size(item.get("Size", 0), 3) if options.human else str(item.get("Size", 0))


HISTORY = Listing(
    go_type="*image.historyContext",
    fields={
        "ID": Field("IMAGE", _id),
        "CreatedSince": Field("CREATED", _history_age),
        "CreatedAt": Field("CREATED AT", lambda item, _: _rfc3339(item["Created"])),
        "CreatedBy": Field("CREATED BY", _created_by),
        "Size": Field("SIZE", _history_size),
        "Comment": Field("COMMENT", lambda item, _: item.get("Comment", "")),
    },
    columns=lambda _: ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
    exact={
        "CreatedAt": lambda item: moment(item["Created"]),
        "CreatedBy": lambda item: str(item.get("CreatedBy", "")),
        "Size": number("Size"),
    },
)

# With --human=false the column shows the moment itself, and says so.
HISTORY_IN_FULL = replace(
    HISTORY, fields={**HISTORY.fields, "CreatedSince": replace(HISTORY.fields["CreatedSince"], heading="CREATED AT")}
)
