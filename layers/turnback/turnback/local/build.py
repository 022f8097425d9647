"""The layers, built for the Python of this machine, by the Makefiles that ``sam build`` uses.

Each step is kept by the hash of what it was made from, so that the second time costs nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

from turnback.errors import ConfigurationError

# Of each layer so many builds are kept.
KEPT = 3


def build_layer(root: Path, source: Path, name: str) -> Path:
    """A layer as the zip that is deployed.

    Args:
        root: the checkout; builds are kept in its ``.turnback``.
        source: the layer's folder, with its Makefile.
        name: the layer's name in the template; the Makefile's target is ``build-<name>``.

    Raises:
        ConfigurationError: make fails; the message is what it said.
    """
    cache = root / ".turnback" / "layers"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Two demos at once build once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _built(cache, source, name)


def zip_function(folder: Path) -> bytes:
    """A function's folder as a zip; the same bytes for the same contents."""
    with tempfile.TemporaryDirectory() as work:
        _copy(folder, Path(work) / "code")
        _zip(Path(work) / "code", result := Path(work) / "code.zip")
        return result.read_bytes()


def _built(cache: Path, source: Path, name: str) -> Path:
    for left in cache.glob("new-*"):
        shutil.rmtree(left)
    result = cache / f"{name}-{_hash_of(source, _sources(source))}.zip"
    if result.exists():
        os.utime(result)
        return result
    with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as work:
        built = Path(work) / "built"
        # Makefiles write beside their sources, so they get a copy, as from `sam build`.
        copy = Path(work) / "source"
        _copy(source, copy)
        if "\ndependencies:" in (source / "Makefile").read_text():
            shutil.copytree(_dependencies(cache, source, copy, name), built)
            _make(copy, "package", built)
        else:
            _make(copy, f"build-{name}", built)
        _compile(built)
        _zip(built, new := Path(work) / "layer.zip")
        new.rename(result)
    _forget_old(cache, f"{name}-*.zip")
    return result


def _dependencies(cache: Path, source: Path, copy: Path, name: str) -> Path:
    inputs = [source / "Makefile", source / "requirements.txt"]
    folder = cache / f"{name}-dependencies-{_hash_of(source, inputs)}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as work:
            built = Path(work) / "built"
            _make(copy, "dependencies", built)
            _compile(built)
            built.rename(folder)
    os.utime(folder)
    _forget_old(cache, f"{name}-dependencies-*")
    return folder


def _make(folder: Path, target: str, artifacts: Path) -> None:
    artifacts.mkdir(exist_ok=True)
    done = subprocess.run(
        # FOR is empty: for this machine's Python and system, not for Lambda's.
        ["make", "--no-print-directory", target, f"PYTHON={sys.executable}", "FOR="],
        cwd=folder,
        env={**os.environ, "ARTIFACTS_DIR": os.fspath(artifacts), "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ConfigurationError(
            f"make {target} failed in {folder.name}:\n{done.stderr.strip()[-2000:]}",
            hint="It needs make, and the package registry when the requirements have changed.",
        )


def _compile(folder: Path) -> None:
    """Compile what is not yet, and for good: a zip keeps no times that Python could compare."""
    for path in folder.rglob("*.py"):
        if not Path(cache_from_source(os.fspath(path))).exists():
            py_compile.compile(
                os.fspath(path),
                dfile=path.relative_to(folder).as_posix(),
                quiet=2,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


def _sources(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not any(part.endswith(".egg-info") for part in path.relative_to(folder).parts)
    )


def _copy(source: Path, target: Path) -> None:
    for path in _sources(source):
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)


def _hash_of(folder: Path, paths: list[Path]) -> str:
    found = hashlib.sha256(f"{sys.version} {sys.platform}".encode())
    for path in paths:
        name = path.relative_to(folder).as_posix()
        found.update(f"{name} {path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:20]


def _zip(folder: Path, target: Path) -> None:
    # Stored, not deflated: it only travels within this machine.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2020, 1, 1, 0, 0, 0))
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                archive.writestr(entry, path.read_bytes())


def _forget_old(cache: Path, pattern: str) -> None:
    newest_first = sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[KEPT:]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
