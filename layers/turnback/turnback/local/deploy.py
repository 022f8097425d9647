"""The project's own template, deployed to the local AWS as ``sam deploy`` deploys it to AWS.

Paths of local code become addresses in a bucket; CloudFormation does the rest, including the SAM
transform. Layers are built for the Python of this machine by the Makefiles that ``sam build`` uses;
each step is cached by a hash of its inputs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from turnback.errors import AwsError, ConfigurationError
from turnback.local.aws import LocalAws

BUCKET = "local-deployment"
POLL_SECONDS = 0.1
DEPLOY_SECONDS = 120.0


def deploy(
    aws: LocalAws, template: Path, stack: str, parameters: Mapping[str, str]
) -> dict[str, str]:
    """Deploy a SAM template with its functions, layers and state machines, or update its stack.

    Args:
        aws: where to.
        template: the file; its relative paths start from its folder.
        stack: the stack's name.
        parameters: values for the template's parameters; others get their defaults.

    Returns:
        The stack's outputs by their names.

    Raises:
        AwsError: a resource cannot be made; the message has each failure.
    """
    body = read_template(template)
    bucket = aws.client("s3")
    bucket.create_bucket(Bucket=BUCKET)
    for name, resource in body["Resources"].items():
        _upload_code(bucket, template.parent, name, resource)
    # By address, as the SAM CLI does: a body may have 51,200 bytes only.
    key = _put(bucket, json.dumps(body).encode())
    cloud = aws.client("cloudformation")
    names = [one["StackName"] for one in cloud.describe_stacks()["Stacks"]]
    kind = "UPDATE" if stack in names else "CREATE"
    change = f"{kind.lower()}-{time.time_ns()}"
    cloud.create_change_set(
        StackName=stack,
        ChangeSetName=change,
        ChangeSetType=kind,
        TemplateURL=f"{aws.endpoint}/{BUCKET}/{key}",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    )
    _await(lambda: cloud.describe_change_set(StackName=stack, ChangeSetName=change)["Status"])
    cloud.execute_change_set(StackName=stack, ChangeSetName=change)
    _await(lambda: cloud.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    made = cloud.describe_stacks(StackName=stack)["Stacks"][0]
    if made["StackStatus"] != f"{kind}_COMPLETE":
        failures = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'failed')}"
            for event in cloud.describe_stack_events(StackName=stack)["StackEvents"]
            if event["ResourceStatus"].endswith("FAILED")
        ]
        raise AwsError("\n".join(["The template could not be deployed.", *failures]))
    return {item["OutputKey"]: item["OutputValue"] for item in made.get("Outputs", [])}


def layers_of(template: Path) -> dict[str, Path]:
    """The folders of a template's layers, by the layers' names."""
    return {
        name: template.parent / resource["Properties"]["ContentUri"]
        for name, resource in read_template(template)["Resources"].items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }


def read_template(template: Path) -> dict[str, Any]:
    """A template with its short forms (``!Ref``, ``!GetAtt``, …) expanded.

    Raises:
        ConfigurationError: there is no YAML parser in this environment.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The local AWS needs PyYAML.", hint="make setup installs it."
        ) from error

    class Loader(yaml.SafeLoader):
        """YAML with CloudFormation's tags."""

    def intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            assert isinstance(node, yaml.MappingNode)
            value = loader.construct_mapping(node, deep=True)
        if suffix in ("Ref", "Condition"):
            return {suffix: value}
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", intrinsic)
    # A version like 2010-09-09 is meant as text.
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    loaded: dict[str, Any] = yaml.load(template.read_text(), Loader)
    return loaded


def _upload_code(bucket: Any, root: Path, name: str, resource: dict[str, Any]) -> None:
    kind, properties = resource["Type"], resource.get("Properties", {})
    if kind == "AWS::Serverless::Function" and isinstance(properties.get("CodeUri"), str):
        code = zip_function(root / properties["CodeUri"])
        properties["CodeUri"] = f"s3://{BUCKET}/{_put(bucket, code)}"
    elif kind == "AWS::Serverless::LayerVersion" and isinstance(properties.get("ContentUri"), str):
        layer = build_layer(root, root / properties["ContentUri"], name)
        properties["ContentUri"] = f"s3://{BUCKET}/{_put(bucket, layer.read_bytes())}"
    elif kind == "AWS::Serverless::StateMachine" and isinstance(
        properties.get("DefinitionUri"), str
    ):
        definition = (root / properties["DefinitionUri"]).read_bytes()
        properties["DefinitionUri"] = {"Bucket": BUCKET, "Key": _put(bucket, definition)}


def _put(bucket: Any, body: bytes) -> str:
    key = hashlib.sha256(body).hexdigest()
    bucket.put_object(Bucket=BUCKET, Key=key, Body=body)
    return key


def _await(status: Any) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while (found := status()).endswith(("PENDING", "IN_PROGRESS")):
        if time.monotonic() > deadline:
            raise AwsError(f"The template is not deployed after {DEPLOY_SECONDS:.0f} s: {found}.")
        time.sleep(POLL_SECONDS)
    if found.startswith("FAILED"):
        raise AwsError("The template was refused.")


# Builds that are kept of each layer.
KEPT = 3


def build_layer(root: Path, source: Path, name: str) -> Path:
    """A layer as the zip that is deployed.

    Args:
        root: the checkout; builds are kept in its ``.turnback``.
        source: the layer's folder, with its Makefile.
        name: the layer's name in the template; the Makefile's target is ``build-<name>``.

    Raises:
        ConfigurationError: make fails; the message is its output.
    """
    cache = root / ".turnback" / "layers"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Two demos at the same time build once.
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
            hint="It needs make, and the package index if the requirements have changed.",
        )


def _compile(folder: Path) -> None:
    """Compile with unchecked hashes, because a zip keeps no times that Python could compare."""
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
