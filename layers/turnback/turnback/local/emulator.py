"""The local AWS as one program: ministack, with the functions under AWS's own runtime client.

Run by ``turnback.local.aws`` in an environment of its own; it imports nothing of turnback.

ministack runs Python functions by a script of its own, which reports every exception as
``Runtime.HandlerError``; a ``Catch`` by name would then never match. Here they are served as
ministack serves custom runtimes, with ``awslambdaric`` as the runtime: AWS's client, which
reports the class of the exception as AWS does. That goes through ministack's private functions,
so its version is exact.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

MINISTACK = "1.5.33"
HEALTH = "/_ministack/health"
_SESSION = re.compile(r"(arn:[^:]+):sts:(:\d+):assumed-role/([^/]+)/.*")
# What a function may see of the emulator's own environment.
SHARED = {"PATH", "LANG", "TMPDIR", "TURNBACK_SCRATCH"}


def main() -> None:
    """Serve until our standard input ends, which it does when whoever started us is gone."""
    found = version("ministack")
    if found != MINISTACK:
        sys.exit(f"The local AWS needs ministack {MINISTACK}, and finds {found}.")
    threading.Thread(target=_end_with_starter, daemon=True).start()
    _verify_every_key()
    _serve_python_by_runtime_client()
    _take_loopback_for_tls()
    _know_the_role_of_a_session()
    _refer_to_secrets_by_arn()
    _know_the_machine_of_a_token()
    _rename_and_restore_instances()
    _wait_for_no_event()
    _time_out_by_path_and_refuse_dead_tokens()
    from ministack import app

    app.app = _without_administration(app.app)
    sys.argv = ["ministack"]
    app.main()


def _end_with_starter() -> None:
    sys.stdin.buffer.read()
    # The functions' processes are of our group; ministack would leave them behind.
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _verify_every_key() -> None:
    """Let in the one key that this start was given, and the functions' own, with their signature.

    ministack takes ``test``, every account number and no key at all for the account's root, looks
    at no signature of root, and computes the keys of functions from their names. Whoever can
    reach the port could so create a function, which runs as the user who started us.
    """
    from ministack.core import iam_evaluator, lambda_runtime
    from ministack.services import lambda_svc, sts

    ours = os.environ["AWS_ACCESS_KEY_ID"]
    for module in (iam_evaluator, sts):
        module.is_root_access_key = lambda key: key == ours
    # Asked only for whether to skip the check of a signature.
    iam_evaluator._is_root_key = lambda _: False
    salt = secrets.token_hex(16)
    made = lambda_runtime.execution_credentials

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        credentials: dict[str, str] = made({**config, "FunctionArn": config["FunctionArn"] + salt})
        return credentials

    lambda_runtime.execution_credentials = execution_credentials
    lambda_svc.execution_credentials = execution_credentials
    enforce = iam_evaluator.enforce

    def enforce_but_public_urls(key: str, action: str, *given: Any, **named: Any) -> Any:
        kind = (named.get("service_context") or {}).get("lambda:FunctionUrlAuthType")
        public = action == "lambda:InvokeFunctionUrl" and kind == "NONE"
        return None if public and not key else enforce(key, action, *given, **named)

    iam_evaluator.enforce = enforce_but_public_urls


def _without_administration(app: Any) -> Any:
    """The application without ministack's own addresses, which ask for no key."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        path = str(scope.get("path", ""))
        if path.startswith(("/_ministack/", "/_localstack/")) and path != HEALTH:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    return guarded


def _serve_python_by_runtime_client() -> None:
    from ministack.core import lambda_runtime as runtime
    from ministack.services import lambda_svc as service

    bootstrap = Path(tempfile.mkdtemp(prefix="runtime-")) / "bootstrap"
    bootstrap.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m awslambdaric "$_HANDLER"\n')
    bootstrap.chmod(0o755)
    layers = _Layers(service)
    code_folder, environment = service._provided_runtime_code_dir, service._provided_worker_env
    run_warm, worker_class = service._execute_function_warm, runtime._worker_class_for

    def code_folder_with_bootstrap(code: bytes) -> str:
        folder: str = code_folder(code)
        # A link, not a copy: nothing that is being written is ever started (ETXTBSY).
        with contextlib.suppress(FileExistsError):
            Path(folder, "bootstrap").symlink_to(bootstrap)
        return folder

    def clean_environment(config: dict[str, Any], folder: str, port: int) -> dict[str, str]:
        made: dict[str, str] = environment(config, folder, port)
        own = (config.get("Environment") or {}).get("Variables") or {}
        for name, value in os.environ.items():
            if name not in SHARED and name not in own and made.get(name) == value:
                del made[name]
        if not _is_python(config):
            return made
        name = config["FunctionName"]
        return {
            **made,
            "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "PYTHONPATH": os.pathsep.join([folder, *layers.paths(config)]),
            "TZ": ":UTC",
        }

    def run(function: dict[str, Any], event: Any, request: str) -> Any:
        config = function.get("config") or function
        runner = service._execute_function_provided_warm if _is_python(config) else run_warm
        return runner(function, event, request)

    service._provided_runtime_code_dir = code_folder_with_bootstrap
    service._provided_worker_env = clean_environment
    service._execute_function_warm = run
    runtime._worker_class_for = lambda config: (
        runtime.ProvidedWorker if _is_python(config) else worker_class(config)
    )


def _take_loopback_for_tls() -> None:
    """Let policies that demand TLS pass: nothing leaves this machine, so nothing is encrypted."""
    from ministack.core import iam_evaluator

    resolve = iam_evaluator._resolve_condition_key
    iam_evaluator._resolve_condition_key = lambda key, context: (
        "true" if key.lower() == "aws:securetransport" else resolve(key, context)
    )


def _know_the_role_of_a_session() -> None:
    """Let ``aws:PrincipalArn`` of a session be its role, as on AWS; ministack gives the session.

    IAM user guide, "AWS global condition context keys".
    """
    from ministack.core import iam_evaluator

    resolve = iam_evaluator._resolve_condition_key

    def resolve_to_role(key: str, context: Any) -> Any:
        value = resolve(key, context)
        if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(value):
            return value
        return _SESSION.sub(r"\1:iam:\2:role/\3", str(value))

    iam_evaluator._resolve_condition_key = resolve_to_role


def _refer_to_secrets_by_arn() -> None:
    """Let ``Ref`` of a secret in a template be its ARN, as on AWS; ministack gives its name."""
    from ministack.services.cloudformation import provisioners

    secret = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create = secret["create"]

    def create_by_arn(logical: str, properties: Any, stack: str) -> tuple[str, dict[str, str]]:
        _, attributes = create(logical, properties, stack)
        return attributes["Arn"], attributes

    secret["create"] = create_by_arn


def _know_the_machine_of_a_token() -> None:
    """Let a policy name the state machine whose tasks may be answered, as on AWS.

    ministack takes a token for a resource that no policy can name but ``*``.
    """
    from ministack.core import iam_actions
    from ministack.services import stepfunctions

    extract = iam_actions.extract_resource_arn

    def with_machine(service: str, *arguments: Any) -> str:
        resource: str = extract(service, *arguments)
        machines = list(stepfunctions._state_machines)
        return machines[0] if (service, resource, len(machines)) == ("states", "*", 1) else resource

    iam_actions.extract_resource_arn = with_machine


def _wait_for_no_event() -> None:
    """Let a task of ``InvocationType`` Event end at once, as on AWS; ministack waits for it."""
    from ministack.services import stepfunctions as service

    invoke = service._invoke_resource

    def invoke_or_send(resource: str, given: Any) -> Any:
        if "states:::lambda:invoke" not in resource or given.get("InvocationType") != "Event":
            return invoke(resource, given)
        threading.Thread(target=invoke, args=(resource, given), daemon=True).start()
        return {"StatusCode": 202, "Payload": ""}

    service._invoke_resource = invoke_or_send


def _time_out_by_path_and_refuse_dead_tokens() -> None:
    """Let ``TimeoutSecondsPath`` count, and no token of an execution that has ended.

    ministack ignores the one and takes the other (Amazon States Language, "Timeouts"; API reference
    of Step Functions, SendTaskSuccess).
    """
    from ministack.services import stepfunctions

    execute, waits = stepfunctions._execute_task, stepfunctions._invoke_with_callback
    current, owners = threading.local(), dict[str, Any]()

    def execute_with_timeout(state: Any, given: Any, execution: Any, context: Any) -> Any:
        current.execution = execution
        if path := state.get("TimeoutSecondsPath"):
            state = {**state, "TimeoutSeconds": stepfunctions._resolve_path(path, given)}
        return execute(state, given, execution, context)

    def wait_as_owned(resource: Any, given: Any, token: str, state: Any) -> Any:
        owners[token] = current.execution
        try:
            return waits(resource, given, token, state)
        finally:
            owners.pop(token, None)

    def refusing(send: Any) -> Any:
        def answer(given: Any) -> Any:
            owner = owners.get(given.get("taskToken"))
            if owner and owner["status"] != "RUNNING":
                return stepfunctions.error_response_json("TaskTimedOut", "Task Timed Out", 400)
            return send(given)

        return answer

    stepfunctions._execute_task = execute_with_timeout
    stepfunctions._invoke_with_callback = wait_as_owned
    stepfunctions._send_task_success = refusing(stepfunctions._send_task_success)
    stepfunctions._send_task_failure = refusing(stepfunctions._send_task_failure)


def _rename_and_restore_instances() -> None:
    """Let an instance of RDS be renamed, and let a restored one have its port and its tags.

    ministack takes a new name and keeps the old one, and restores to a port that nothing answers
    at.
    """
    from ministack.services import rds

    actions = rds._ACTION_MAP
    modify, restore = actions["ModifyDBInstance"], actions["RestoreDBInstanceFromDBSnapshot"]

    def modify_and_rename(given: Any) -> Any:
        old, new = (rds._p(given, f"{word}DBInstanceIdentifier") for word in ("", "New"))
        if new and new in rds._instances:
            return rds._error("DBInstanceAlreadyExists", f"{new} already exists", 400)
        answer = modify(given)
        if new and answer[0] == 200:
            instance = rds._instances.pop(old)
            arn = instance["DBInstanceArn"]
            instance["DBInstanceIdentifier"] = new
            instance["DBInstanceArn"] = f"{arn.removesuffix(old)}{new}"
            rds._instances[new] = instance
            rds._tags[instance["DBInstanceArn"]] = rds._tags.pop(arn, [])
        return answer

    def restore_with_settings(given: Any) -> Any:
        answer = restore(given)
        if answer[0] == 200:
            instance = rds._instances[rds._p(given, "DBInstanceIdentifier")]
            instance["TagList"] = rds._parse_tags(given)
            rds._tags[instance["DBInstanceArn"]] = list(instance["TagList"])
            if port := rds._p(given, "Port"):
                instance["Endpoint"]["Port"] = int(port)
        return answer

    actions["ModifyDBInstance"] = modify_and_rename
    actions["RestoreDBInstanceFromDBSnapshot"] = restore_with_settings


class _Layers:
    """The layers of functions, each unpacked once."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._folder = Path(tempfile.mkdtemp(prefix="layers-"))
        # As /opt on AWS: the shadow server runs as another account when this one is root.
        self._folder.chmod(0o755)
        self._lock = threading.Lock()

    def paths(self, config: dict[str, Any]) -> list[str]:
        """What the layers of a function add to the import path; the last layer wins, as on AWS."""
        blobs = map(self._service._resolve_layer_zip, config.get("Layers") or [])
        return [str(self._unpacked(blob) / "python") for blob in list(blobs)[::-1] if blob]

    def _unpacked(self, blob: bytes) -> Path:
        folder = self._folder / hashlib.sha256(blob).hexdigest()
        with self._lock:
            if not folder.is_dir():
                work = folder.with_suffix(".new")
                with zipfile.ZipFile(io.BytesIO(blob)) as archive:
                    for entry in archive.infolist():
                        # extractall forgets that a program may be run.
                        path = Path(archive.extract(entry, work))
                        if not entry.is_dir() and (mode := entry.external_attr >> 16 & 0o777):
                            path.chmod(mode)
                work.rename(folder)
        return folder


def _is_python(config: dict[str, Any]) -> bool:
    return str(config.get("Runtime", "")).startswith("python")


if __name__ == "__main__":
    main()
