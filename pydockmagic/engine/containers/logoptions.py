"""The options of the logging drivers: what ``--log-opt`` may say, and what it comes to.

Names are checked when a container is made, values when it starts, as moby does (``daemon/logger/jsonfilelog``,
``local``, ``loggerutils/log_tag.go``, ``loginfo.go``).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.runtime.spec import LogTarget

from .config import LogConfig
from .records import ContainerRecord

__all__ = ["check_log_config", "log_target"]

_EVERY = frozenset({"mode", "max-buffer-size"})
_KNOWN = {
    "json-file": frozenset({"max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"}),
    "local": frozenset({"max-file", "max-size", "compress"}),
}
_UNKNOWN = {
    "json-file": "unknown log opt '{name}' for json-file log driver",
    "local": "unknown log opt '{name}' for log driver local",
}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LOCAL_SIZE, _LOCAL_FILES = 20 << 20, 5
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_PLACEHOLDER = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_COMPLAINTS = (("missing ), unterminated", "missing closing )"), ("unterminated character set", "missing closing ]"))


def check_log_config(log: LogConfig) -> None:
    """Refuse drivers and options that do not exist, as at ``docker create``."""
    options = log.config
    if log.type not in ("", *_KNOWN, "none"):
        raise InvalidParameter(f'error looking up logging plugin {log.type}: plugin "{log.type}" not found')
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if size := options.get("max-buffer-size"):
        if mode != "non-blocking":
            raise InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            parse_size(size)
        except InvalidParameter as error:
            raise InvalidParameter(f"error parsing option max-buffer-size: {error}") from None
    known = _KNOWN.get(log.type or "json-file")
    for name in options:
        if known is not None and name not in known | _EVERY:
            raise InvalidParameter(_UNKNOWN[log.type or "json-file"].format(name=name))


def log_target(record: ContainerRecord, path: str) -> LogTarget:
    """Say where a container's output goes; raise Docker's complaint about a value, as at ``docker start``."""
    log = record.host_config.log_config
    try:
        if log.type == "local":
            return _local(log.config, path)
        if log.type in ("", "json-file"):
            return _json_file(record, log.config, path)
    except (InvalidParameter, ValueError, re.error) as error:
        raise EngineError(f"failed to initialize logging driver: {error}") from None
    return LogTarget(driver=log.type, path=path)


def _json_file(record: ContainerRecord, options: Mapping[str, str], path: str) -> LogTarget:
    size, files = 0, 1
    if "max-size" in options:
        size = parse_size(options["max-size"])
        if size <= 0:
            raise InvalidParameter("max-size must be a positive number")
    if "max-file" in options:
        files = _whole(options["max-file"])
        if files < 1:
            raise InvalidParameter("max-file cannot be less than 1")
    compress = False
    if "compress" in options:
        compress = _flag(options["compress"])
        if compress and (files < 2 or not size):
            raise InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set")
    labels = tuple(sorted(_attributes(record, options).items()))
    return LogTarget(driver="json-file", path=path, max_size=size, max_file=files, compress=compress, labels=labels)


def _local(options: Mapping[str, str], path: str) -> LogTarget:
    size, files, compress = _LOCAL_SIZE, _LOCAL_FILES, True
    if "max-size" in options:
        try:
            size = parse_size(options["max-size"])
        except InvalidParameter as error:
            raise InvalidParameter(f"invalid value for max-size: {options['max-size']}: {error}") from None
    if "max-file" in options:
        files = _whole(options["max-file"])
    if "compress" in options:
        try:
            compress = _flag(options["compress"])
        except InvalidParameter as error:
            raise InvalidParameter(f"error reading compress log option: {error}") from None
    if compress and files <= 1:
        raise InvalidParameter("compression cannot be enabled when max file count is 1")
    return LogTarget(driver="local", path=path, max_size=size, max_file=files, compress=compress)


def _attributes(record: ContainerRecord, options: Mapping[str, str]) -> dict[str, str]:
    """Give what each line carries, shown by ``docker logs --details``."""
    environment = dict(entry.split("=", 1) for entry in record.config.env or () if "=" in entry)
    result: dict[str, str] = {}
    for option, values in (("labels", record.config.labels), ("env", environment)):
        names = [name for name in options.get(option, "").split(",") if name]
        result.update({name: values[name] for name in names if name in values})
        if text := options.get(f"{option}-regex"):
            pattern = _pattern(text)
            result.update({name: value for name, value in values.items() if pattern.search(name)})
    if tag := _tag(record, options.get("tag", "")):
        result["tag"] = tag
    return result


def _tag(record: ContainerRecord, template: str) -> str:
    image = record.image_id.partition(":")[2]
    values = {
        "ID": record.id[:12],
        "FullID": record.id,
        "Name": record.name,
        "ImageID": image[:12],
        "ImageFullID": record.image_id,
        "ImageName": record.image_ref,
        "Command": " ".join([record.path, *record.args]),
        "DaemonName": "docker",
        "Hostname": socket.gethostname(),
    }

    def value(match: re.Match[str]) -> str:
        if match[1] in values:
            return values[match[1]]
        where = f"1:{match.start() + match[0].index('.')}"
        raise InvalidParameter(
            f'template: log-tag:{where}: executing "log-tag" at <.{match[1]}>: '
            f"can't evaluate field {match[1]} in type *logger.Info"
        )

    return _PLACEHOLDER.sub(value, template)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        complaint = next((ours for theirs, ours in _COMPLAINTS if error.msg.startswith(theirs)), error.msg)
        raise InvalidParameter(f"error parsing regexp: {complaint}: `{text}`") from None


def parse_size(text: str) -> int:
    """Read ``10m`` as bytes; raise ``InvalidParameter``."""
    digits = text.lower().rstrip("bkmgt")
    unit = text.lower()[len(digits) :].removesuffix("b") or "b"
    if not digits.isdecimal() or unit not in _UNITS:
        raise InvalidParameter(f"invalid size: '{text}'")
    return int(digits) * _UNITS[unit]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidParameter(f'strconv.Atoi: parsing "{text}": invalid syntax') from None


def _flag(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidParameter(f'strconv.ParseBool: parsing "{text}": invalid syntax')
