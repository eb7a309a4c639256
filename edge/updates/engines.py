"""Engines from one machine to its equals: published by their key, signed, tried before use.

An engine is code. So it comes with its record (source, platform, SHA-256), signed as a bundle is; where a key
is configured, and wherever it comes from an address, only a signed one is taken. It is tried in a child process with
the golden pictures before it is put where programs look for engines.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from edge.bundles.bundle import Bundle
from edge.bundles.manifest import Artifact
from edge.bundles.variant import Variant
from edge.errors import BackendError, MissingFileError, SignatureError, os_reason
from edge.files import check_room, new_file, sha256_of, temporary_folder, write_atomically, writing
from edge.inference.engine_cache import Engine, EngineStore, Platform, Source, record_path
from edge.inference.engine_trial import try_engine
from edge.json_files import parse_json
from edge.progress import Progress, no_progress
from edge.typed_json import from_json
from edge.updates.download import Limits, download, shown
from edge.updates.signature import check_signature, sign

__all__ = ["publish_engine", "sign_engines", "take_engine"]

_SCHEMA_VERSION: Final = 1
_MOST_BYTES: Final = 2_000_000_000
_RECORD_BYTES: Final = 100_000
_SIGNATURE_BYTES: Final = 64
_SPARE_BYTES: Final = 20_000_000
_PURPOSE: Final = b"mobilenet-edge engine\n"
"""What is signed before the record, so that no signature of something else can pass for an engine's."""
_WAY: Final = "edge-convert engine BUNDLE --publish FOLDER --sign KEY"

Try = Callable[[Bundle, Variant, str, Path], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SourceFile:
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _EngineFile:
    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """An engine's record, as :class:`edge.inference.engine_cache.EngineStore` writes it."""

    schema_version: int
    engine: _EngineFile
    source: _SourceFile
    platform: Platform
    build: Mapping[str, Any]

    def __post_init__(self) -> None:
        core = self.build.get("dla_core")
        if self.schema_version != _SCHEMA_VERSION:
            raise ValueError(f"schema_version is {self.schema_version}: expected {_SCHEMA_VERSION}")
        if not 0 < self.engine.size_bytes <= _MOST_BYTES:
            raise ValueError(f"engine.size_bytes is {self.engine.size_bytes}: expected 1 to {_MOST_BYTES}")
        if core is not None and not (isinstance(core, int) and 0 <= core < 16):
            raise ValueError(f"build.dla_core is {core!r}: expected a small number")


def publish_engine(engine: Engine, folder: Path, *, key: Path | None = None) -> Path:
    """Copy an engine and its record into a folder for equal machines.

    Args:
        engine: Of this machine's store.
        folder: Is made if it is not there.
        key: A private key to sign it with; without one, machines with a key refuse it.

    Returns:
        The engine's copy.

    Raises:
        BackendError: It was itself taken from another machine.
        SignatureError: The file holds no private key.
        OutputError: The folder cannot be written.
    """
    if "taken_from" in engine.build:
        raise BackendError(f"Engine {engine.path.name} was taken from {engine.build['taken_from']}: publish that one.")
    record = record_path(engine.path).read_bytes()
    signature = None if key is None else sign(_PURPOSE + record, key)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    to = folder / engine.path.name
    _signature_path(to).unlink(missing_ok=True)  # an old signature must not stand beside the new record
    with new_file(to) as temporary:
        shutil.copyfile(engine.path, temporary)
    write_atomically(record_path(to), record)
    if signature is not None:
        write_atomically(_signature_path(to), signature)
    return to


def sign_engines(folder: Path, key: Path) -> tuple[Path, ...]:
    """Sign every engine in a folder that was published without a key, where the key is.

    Args:
        folder: Where engines were published.
        key: The private key.

    Returns:
        The engines.

    Raises:
        BackendError: There is none, or one is not what its record says.
        SignatureError: The file holds no private key.
        OutputError: The folder cannot be written.
    """
    engines, local = tuple(sorted(folder.glob("*.engine"))), _Local(folder)
    if not engines:
        raise BackendError(
            f"There is no engine in {folder}: edge-convert engine BUNDLE --publish {folder} puts some there."
        )
    for engine in engines:
        head = local.read(record_path(engine).name, _RECORD_BYTES, folder)
        record = _parse(head or b"", f"Engine record of {engine.name} in {folder}")
        if (engine.stat().st_size, sha256_of(engine)) != (record.engine.size_bytes, record.engine.sha256):
            raise BackendError(f"Engine {engine} is not what its record says: publish it again.")
        write_atomically(_signature_path(engine), sign(_PURPOSE + (head or b""), key))
    return engines


def take_engine(
    place: str,
    bundle: Bundle,
    variant: Variant,
    artifact: Artifact,
    platform: Platform,
    *,
    store: EngineStore,
    key: Path | None = None,
    limits: Limits = Limits(),
    trial: Try = try_engine,
    progress: Progress = no_progress,
) -> Engine | None:
    """Put the engine that an equal machine built of a bundle's ONNX file into this machine's store.

    Args:
        place: The folder that it was published in: a path, or ``https://...``.
        bundle: The bundle.
        variant: Which of its variants.
        artifact: The variant's ONNX file.
        platform: This machine's.
        store: Where engines are kept.
        key: A file of public keys, one of which must have signed it; None to take any, but for those of an address.
        limits: Of a download.
        trial: Tries the engine before it is used.
        progress: Called with the stage and share of a download.

    Returns:
        None if the folder has no engine of this file for this machine.

    Raises:
        SignatureError: It is not signed by one of the keys, or comes from an address and there is no key.
        BackendError: Its record is damaged or of something else; or it does not run here.
        SelfTestError: It does not give the bundle's golden answers here.
        DownloadError: It cannot be fetched.
        OutputError: It cannot be written; there is too little room for it, for example.
    """
    if key is None and "://" in place:
        raise SignatureError(
            f"An engine is code, and {shown(place)} is an address: --key names the key that must have signed it, or it "
            "is at /etc/mobilenet-edge/bundle.pub."
        )
    source, where = Source(path=bundle.path(artifact.file), sha256=artifact.sha256), shown(place)
    with writing(store.folder):
        store.folder.mkdir(parents=True, exist_ok=True)
    with temporary_folder(store.folder / "taking") as staging:
        staged = EngineStore.below(staging)
        folder: _Folder = _Served(place, limits, progress) if "://" in place else _Local(Path(place))
        name, content = staged.path(source, platform).name, staging / "engine"
        head = folder.read(record_path(Path(name)).name, _RECORD_BYTES, staging)
        if head is None:
            return None
        if key is not None:
            signature = folder.read(_signature_path(Path(name)).name, _SIGNATURE_BYTES, staging)
            check_signature(_PURPOSE + head, signature, key, what=f"The engine {name} in {where}", way=_WAY)
        record = _read(head, source, platform, name, where)
        check_room(content, record.engine.size_bytes + _SPARE_BYTES)
        folder.copy(record.engine, content)
        build = {**record.build, "taken_from": where}
        engine = staged.add(source, platform, content, build)
        trial(bundle, variant, artifact.precision, staging)
        with store.lock():
            return store.add(source, platform, engine.path, build)


def _read(content: bytes, source: Source, platform: Platform, name: str, where: str) -> _Record:
    """A record, if it is that of the engine looked for.

    Raises:
        BackendError: It is damaged, or of another file or machine.
    """
    what = f"Engine record of {name} in {where}"
    record = _parse(content, what)
    if (record.engine.file, record.source.sha256, record.platform) != (name, source.sha256, platform):
        raise BackendError(f"{what} is of another engine: expected one of {source.name} for {platform}.")
    return record


def _parse(content: bytes, what: str) -> _Record:
    try:
        return from_json(_Record, parse_json(content, what, BackendError))
    except KeyError as reason:
        raise BackendError(f"{what} lacks {reason}: publish the engine again.") from reason
    except (TypeError, ValueError) as reason:
        raise BackendError(f"{what} cannot be used: {str(reason).rstrip('.')}. Publish the engine again.") from reason


class _Folder(Protocol):
    """Where engines were published."""

    def read(self, name: str, most_bytes: int, scratch: Path) -> bytes | None:
        """A small file; None if it is not there."""

    def copy(self, wanted: _EngineFile, to: Path) -> None:
        """Bring an engine to ``to``, if it is the one that its record says."""


class _Local:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BackendError(f"There is no folder {folder}: expected one that --publish has written.")
        self._folder = folder

    def read(self, name: str, most_bytes: int, scratch: Path) -> bytes | None:
        try:
            with (self._folder / name).open("rb") as file:
                content = file.read(most_bytes + 1)
        except FileNotFoundError:
            return None
        except OSError as reason:
            raise BackendError(f"Cannot read {self._folder / name}: {os_reason(reason)}.") from reason
        if len(content) > most_bytes:
            raise BackendError(f"{self._folder / name} is longer than {most_bytes} bytes: publish the engine again.")
        return content

    def copy(self, wanted: _EngineFile, to: Path) -> None:
        path = self._folder / wanted.file
        try:
            size_bytes = path.stat().st_size
        except OSError as reason:
            raise BackendError(f"Cannot read {path}: {os_reason(reason)}.") from reason
        if size_bytes == wanted.size_bytes:
            with writing(to):
                shutil.copyfile(path, to)
        if size_bytes != wanted.size_bytes or sha256_of(to) != wanted.sha256:
            raise BackendError(f"Engine {path} is not what its record says: publish it again.")


class _Served:
    """A folder of a static host."""

    def __init__(self, address: str, limits: Limits, progress: Progress) -> None:
        self._address, self._limits, self._progress = address.rstrip("/"), limits, progress

    def read(self, name: str, most_bytes: int, scratch: Path) -> bytes | None:
        limits = replace(self._limits, max_bytes=most_bytes)
        try:
            return download(f"{self._address}/{name}", scratch / name, limits=limits).read_bytes()
        except MissingFileError:
            return None

    def copy(self, wanted: _EngineFile, to: Path) -> None:
        download(
            f"{self._address}/{wanted.file}",
            to,
            expected_sha256=wanted.sha256,
            expected_bytes=wanted.size_bytes,
            limits=self._limits,
            progress=self._progress,
        )


def _signature_path(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.sig")
