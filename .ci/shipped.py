"""Read what `npm sbom` says of all workspaces, and write it without what is for development alone.

`npm sbom --omit dev` leaves out also what one workspace ships and another one has for development.
"""

import json
import sys
from typing import Any


def shipped(listed: dict[str, Any]) -> dict[str, Any]:
    """The same list, of what reaches a browser."""
    components = [each for each in listed["components"] if each["scope"] == "required"]
    kept = {each["bom-ref"] for each in (*components, listed["metadata"]["component"])}
    links = [
        {**each, "dependsOn": [ref for ref in each["dependsOn"] if ref in kept]}
        for each in listed["dependencies"]
        if each["ref"] in kept
    ]
    return {**listed, "components": components, "dependencies": links}


if __name__ == "__main__":
    json.dump(shipped(json.load(sys.stdin)), sys.stdout, indent=2)
