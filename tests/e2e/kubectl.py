"""A stand-in for kubectl: what a deployment is, is kept in a file, as there is no cluster here.

It has only what docs/release.md uses, and says no to an annotation that is there, as kubectl does.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

STATE = Path(os.environ["KUBECTL_STATE"])


def main(arguments: list[str]) -> int:
    cluster = json.loads(STATE.read_text())
    deployments = cluster["deployments"]
    [namespace, verb, *rest] = arguments[1:]
    assert arguments[0] == "-n", arguments
    assert namespace == "shop", arguments
    named = [one for one in rest if one in deployments]
    match verb:
        case "get" if "name" in rest:
            sys.stdout.write("\n".join(deployments))
        case "get":
            path = rest[-1].removeprefix("jsonpath=").strip("{}").removeprefix(".")
            [section, _, key] = path.partition(".")
            key = key.removeprefix("annotations.")
            part = deployments[named[0]]
            sys.stdout.write(
                str(part["replicas"] if section == "spec" else part["annotations"][key])
            )
        case "annotate":
            annotations = deployments[named[0]]["annotations"]
            if rest[-1].endswith("-"):
                del annotations[rest[-1][:-1]]
            else:
                key, _, value = rest[-1].partition("=")
                if annotations.get(key, value) != value:
                    return 1
                annotations[key] = value
        case "scale":
            number = int(re.sub(r".*=", "", rest[-1]))
            for name in named or deployments:
                deployments[name]["replicas"] = number
        case "rollout":
            cluster["undone"].append(rest[-1])
        case "wait":
            if any(one["replicas"] for one in deployments.values()):
                return 1
        case _:
            raise SystemExit(f"not known here: {arguments}")
    STATE.write_text(json.dumps(cluster))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
