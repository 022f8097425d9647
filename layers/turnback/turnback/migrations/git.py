"""What git knows of the folder of a project: its files on another branch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from turnback.errors import ConfigurationError, ProjectNotFound

# Where most repositories keep what is released, in the order of search.
_USUAL = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
# What git sets for a hook; with the first alone, it takes the current folder for the whole tree.
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
_FETCH = "in a CI job, fetch the whole history: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0"


class GitFolder:
    """A folder in a checkout. All paths are relative to the folder, with forward slashes."""

    def __init__(self, folder: Path) -> None:
        """Find the checkout.

        Raises:
            ProjectNotFound: there is no such folder.
            ConfigurationError: it is in no checkout, or there is no git.
        """
        if not folder.is_dir():
            raise ProjectNotFound(f"no folder {folder}", hint="name the folder with --dir")
        self._folder = folder
        done = self._run("rev-parse", "--show-prefix", "--show-cdup")
        if done.returncode:
            raise _refused(done, f"{folder} is not in a git repository", "not a git repository")
        prefix, up = done.stdout.split("\n")[:2]
        self._prefix = prefix
        self._top = folder / up

    def commit(self, ref: str) -> str:
        """The commit that a branch, a tag or another name means.

        Raises:
            ConfigurationError: git knows no such name here.
        """
        done = self._run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        )
        if done.returncode:
            hint = "fetch it, for example: git fetch origin main"
            raise ConfigurationError(
                f"git knows no branch or commit '{ref}' here",
                hint=f"{hint}; {_FETCH}" if self._is_shallow() else hint,
            )
        return done.stdout.strip()

    def usual_base(self) -> str:
        """The branch that others are merged into: ``origin/HEAD``, else ``origin/main``, ….

        Raises:
            ConfigurationError: no branch has one of the usual names.
        """
        for ref in _USUAL:
            name = self._run("rev-parse", "--verify", "--quiet", "--abbrev-ref", ref)
            if name.returncode == 0:
                return name.stdout.strip()
        raise ConfigurationError(
            f"there is no branch {', '.join(_USUAL)} here",
            hint="name the branch that this one is merged into: --base REF",
        )

    def merge_base(self, commit: str) -> str:
        """The commit at which the current branch and another one part.

        Raises:
            ConfigurationError: they have none in common, or it was not fetched.
        """
        done = self._run("merge-base", commit, self.commit("HEAD"))
        if done.returncode == 0:
            return done.stdout.strip()
        if self._is_shallow():
            raise ConfigurationError(
                "this clone is shallow: the commit at which the two branches part is not in it",
                hint=f"git fetch --unshallow; {_FETCH}",
            )
        raise ConfigurationError(
            "the two branches have no commit in common", hint="name another branch: --base REF"
        )

    def files(self, commit: str) -> dict[str, str]:
        """The files of the folder in a commit: path → git's hash of the contents."""
        below = ["--", self._prefix] if self._prefix else []
        done = self._run("ls-tree", "-r", "-z", "--full-tree", commit, *below)
        if done.returncode:
            raise _refused(done, f"git cannot list the files of {commit}")
        found = {}
        for entry in filter(None, done.stdout.split("\0")):
            about, _, path = entry.partition("\t")
            found[path.removeprefix(self._prefix)] = about.split()[2]
        return found

    def hashes(self, paths: Sequence[str]) -> dict[str, str]:
        """git's hashes of files as they are in the folder now, with its changes of line ends."""
        if not paths:
            return {}
        # From the top: git reads these paths from there.
        names = "".join(f"{self._prefix}{path}\n" for path in paths)
        done = self._run("hash-object", "--stdin-paths", at=self._top, given=names)
        if done.returncode:
            raise _refused(done, "git cannot read the files")
        return dict(zip(paths, done.stdout.split(), strict=True))

    def contents(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Hash → the contents of that file, as git keeps it."""
        names = list(hashes)
        done = subprocess.run(
            ["git", "-C", str(self._folder), "cat-file", "--batch"],
            env=_environment(),
            input="".join(f"{name}\n" for name in names).encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()
            raise ConfigurationError(f"git cannot read the files: {words}")
        found, at = {}, 0
        for name in names:
            # HASH blob SIZE, the contents, and a line end.
            line = done.stdout.index(b"\n", at)
            start, size = line + 1, int(done.stdout[at:line].rpartition(b" ")[2])
            found[name] = done.stdout[start : start + size]
            at = start + size + 1
        return found

    def unmerged(self) -> set[str]:
        """The files of the folder that have a conflict of a merge which has not ended."""
        done = self._run("diff", "--name-only", "--diff-filter=U", "-z", "--relative")
        return set(filter(None, done.stdout.split("\0")))

    def _is_shallow(self) -> bool:
        return self._run("rev-parse", "--is-shallow-repository").stdout.strip() == "true"

    def _run(
        self, *arguments: str, at: Path | None = None, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(at or self._folder), *arguments]
        try:
            return subprocess.run(
                command,
                env=_environment(),
                input=given,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except OSError as exc:
            raise ConfigurationError(
                f"git cannot be started: {exc.strerror}", hint="install git, or add it to the PATH"
            ) from exc


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}


def _refused(
    done: subprocess.CompletedProcess[str], message: str, known: str = "\0"
) -> ConfigurationError:
    """An error with git's own words, unless they say what the message says."""
    words = done.stderr.strip()
    if known in words:
        return ConfigurationError(message, hint="run it in a checkout of the repository")
    first, _, rest = words.removeprefix("fatal: ").partition("\n")
    return ConfigurationError(f"git refuses: {first}", hint=" ".join(rest.split()) or None)
