"""The exact files that pip would install here, with their SHA-256, from a report of pip; ``make hashes`` runs it.

pip install --dry-run --ignore-installed --report report.json ...
python hashes.py < report.json > requirements-hashes.txt
"""

import json
import sys
from typing import Any


def requirements(report: dict[str, Any]) -> str:
    """One line ``name==version --hash=sha256:...`` for each file of an index; the kit itself is left out.

    Raises:
        ValueError: pip names no SHA-256 of a file.
    """
    lines = []
    for entry in report["install"]:
        source, metadata = entry["download_info"], entry["metadata"]
        if "dir_info" in source:
            continue
        digest = source.get("archive_info", {}).get("hashes", {}).get("sha256")
        if digest is None:
            raise ValueError(f"{metadata['name']}: the index gives no SHA-256 of {source['url']}")
        lines.append(f"{metadata['name'].lower()}=={metadata['version']} --hash=sha256:{digest}")
    return "".join(f"{line}\n" for line in sorted(lines))


if __name__ == "__main__":
    sys.stdout.write(requirements(json.load(sys.stdin)))
