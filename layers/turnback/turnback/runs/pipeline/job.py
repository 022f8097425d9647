"""A job of CodePipeline: its event, and the token that is kept in it between two calls."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, Protocol

from turnback.errors import ConfigurationError
from turnback.migrations.release import parse_release
from turnback.runs.order import Order
from turnback.runs.state import ArtifactLocation

MODES = ("migrate", "rehearse")
EXAMPLE = '{"path": "migrations", "release": "1.4.0", "mode": "migrate"}'
# CodePipeline's API reference, PutJobSuccessResult.
TOKEN_LENGTH = 2048
_RUN = re.compile(r"r-[0-9a-f]{20}")
_SHA256 = re.compile(r"([0-9a-f]{64})?")


class JobEvent(Protocol):
    """Powertools' CodePipelineJobEvent, as far as it is read."""

    @property
    def get_id(self) -> str: ...

    @property
    def user_parameters(self) -> str | None: ...

    @property
    def data(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """The pipeline's temporary credentials, for its own artifacts only; never shown."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """An input artifact: where it is, and the commit or version that it was made from."""

    name: str
    bucket: str
    key: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """One job, which CodePipeline may send more than once.

    Attributes:
        id: what the answer is for.
        user_parameters: the text in the action's configuration.
        sources: the input artifacts, in the order of the action.
        credentials: to read them with.
        continuation_token: from our last answer; None in the first call.
    """

    id: str
    user_parameters: str
    sources: tuple[Source, ...]
    credentials: Credentials = field(repr=False)
    continuation_token: str | None = None

    @classmethod
    def read(cls, event: JobEvent) -> Job:
        """The job of this event."""
        data = event.data
        lent = data.artifact_credentials
        return cls(
            id=event.get_id,
            user_parameters=event.user_parameters or "",
            sources=tuple(
                Source(
                    item.name,
                    item.location.s3_location.bucket_name,
                    # As it is: unlike S3's own events, CodePipeline does not quote keys.
                    item.location.s3_location.key,
                    item.revision,
                )
                for item in data.input_artifacts
            ),
            credentials=Credentials(lent.access_key_id, lent.secret_access_key, lent.session_token),
            continuation_token=data.continuation_token,
        )

    def run(self) -> str:
        """The run of this job, which is also its execution's name; a retried stage has another."""
        where = [[source.bucket, source.key] for source in self.sources]
        return f"r-{sha256(json.dumps([self.id, where]).encode()).hexdigest()[:20]}"

    def source(self, name: str) -> Source:
        """The input artifact of this name; the first, if none is named.

        Raises:
            ConfigurationError: there is no such artifact.
        """
        found = next((item for item in self.sources if name in ("", item.name)), None)
        if found is None:
            names = ", ".join(item.name for item in self.sources) or "none"
            what = f"no input artifact {name!r}" if name else "no input artifact"
            raise ConfigurationError(
                f"the action has {what}; it has: {names}",
                hint="add the source's output artifact to the InputArtifacts of the action",
            )
        return found


@dataclass(frozen=True, slots=True)
class Parameters:
    """The action's UserParameters; all of them are optional.

    Attributes:
        path: the folder of the migrations in the source; searched for by default.
        release: the release's number, where the source has no ``release.json``.
        target: a name to be compared with the stack's target.
        mode: ``migrate``, or ``rehearse``: check everything and change nothing.
        artifact: the name of the input artifact; the first, if not given.
        pipeline: the pipeline's name, which CodePipeline does not send.
        execution: its execution: ``#{codepipeline.PipelineExecutionId}``.
        repository: where the source comes from, for ``release.json``.
        commit: the source's commit; its revision, if not given.
    """

    path: str = ""
    release: str = ""
    target: str = ""
    mode: str = "migrate"
    artifact: str = ""
    pipeline: str = ""
    execution: str = ""
    repository: str = ""
    commit: str = ""

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """What this text asks for.

        Raises:
            ConfigurationError: it is not a JSON object of texts, or has an unknown name.
        """
        try:
            found = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise _wrong(f"are not JSON: {error}") from error
        if not isinstance(found, dict):
            raise _wrong("are not a JSON object")
        known = {item.name for item in fields(cls)}
        for name, value in found.items():
            if name not in known:
                raise _wrong(f"have {name!r}, which is unknown; known: {', '.join(sorted(known))}")
            if not isinstance(value, str):
                raise _wrong(f"have a {name!r} that is not text")
        read = cls(**{name: value.strip() for name, value in found.items() if value.strip()})
        if read.mode not in MODES:
            raise _wrong(f"have the mode {read.mode!r}; it must be {' or '.join(MODES)}")
        path = PurePosixPath(read.path)
        if path.is_absolute() or ".." in path.parts or "\\" in read.path:
            raise _wrong(f"have the path {read.path!r}, which leaves the source")
        if read.release:
            parse_release(read.release)
        return read

    @property
    def folder(self) -> str:
        """``path`` in its plain form, ``.`` for the root; empty if it is not given."""
        return PurePosixPath(self.path).as_posix() if self.path else ""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be changed."""
        return self.mode == "rehearse"

    def trigger(self, job: Job) -> str:
        """What started the run, as far as it is known."""
        known = [part for part in (self.pipeline, self.execution) if part]
        return ":".join(["pipeline", *(known or [f"job {job.id}"])])


@dataclass(frozen=True, slots=True)
class Token:
    """What one call passes on to the next, through CodePipeline.

    Attributes:
        run: the run's id.
        sha256: of the artifact that was stored for it; empty if the execution was there before.
        started: when the job came first, seconds since 1970.
        execution: ARN of the run's execution.
        tries: how often in a row AWS gave no answer about the run.
    """

    run: str
    sha256: str
    started: int
    execution: str
    tries: int = 0

    def to_text(self) -> str:
        """As CodePipeline keeps it."""
        return json.dumps({"version": 1, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Token:
        """The token in this text.

        Raises:
            ConfigurationError: it is not one of ours.
        """
        try:
            kept = json.loads(text)
            token = cls(**{item.name: kept[item.name] for item in fields(cls)})
            ours = (
                kept["version"] == 1
                and _RUN.fullmatch(token.run)
                and _SHA256.fullmatch(token.sha256)
                and type(token.started) is type(token.tries) is int
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _not_ours() from error
        if not ours:
            raise _not_ours()
        return token

    def order(self, job: Job, parameters: Parameters, target: str, bucket: str) -> Order:
        """The order that the run is started with."""
        return Order(
            run=self.run,
            target=target,
            artifact=ArtifactLocation(bucket, artifact_key(self.run), sha256=self.sha256),
            trigger=parameters.trigger(job),
            dry_run=parameters.dry_run,
        )


def artifact_key(run: str) -> str:
    """Where a pipeline's artifact is kept for its run, in canonical form."""
    return f"runs/{run}/artifact.zip"


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the UserParameters of the action {what}", hint=f"write them like {EXAMPLE}"
    )


def _not_ours() -> ConfigurationError:
    return ConfigurationError(
        "the job's continuation token was not written by turnback", hint="retry the stage"
    )
