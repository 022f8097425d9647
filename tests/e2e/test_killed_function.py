"""A function that dies, on the local AWS: Lambda gives up, and another function answers.

The emulator waits one second before a second try, where Lambda waits a minute.
"""

from __future__ import annotations

import json

import pytest
from turnback.demo.codepipeline import LocalCodePipeline, SourceArtifact

from tests.e2e.test_stack_update import Updated, until, updated  # noqa: F401

pytestmark = pytest.mark.slow


def test_the_job_of_a_function_that_is_killed_is_failed(updated: Updated) -> None:  # noqa: F811
    dies = "import os, signal\n\n\ndef handler(event, context):\n    os.kill(os.getpid(), 9)\n"
    (updated.root / "functions" / "on_pipeline" / "app.py").write_text(dies)
    updated.deploy()
    functions = updated.aws.client("lambda")
    names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
    [answering] = [name for name in names if "FinalWord" in name]
    with LocalCodePipeline() as codepipeline:
        found = functions.get_function_configuration(FunctionName=answering)["Environment"]
        address = {"AWS_ENDPOINT_URL_CODEPIPELINE": codepipeline.address}
        functions.update_function_configuration(
            FunctionName=answering, Environment={"Variables": found["Variables"] | address}
        )
        source = SourceArtifact("learning-pipeline", "source.zip", "key", "secret", "token")
        functions.invoke(
            FunctionName=updated.outputs["OnPipelineFunctionName"],
            InvocationType="Event",
            Payload=json.dumps(codepipeline.job(source, {"release": "1.4.0"})),
        )
        until(lambda: bool(codepipeline.results))
    [only] = codepipeline.results
    assert only.kind == "failure"
    assert "no run was started, and nothing was changed" in only.text
