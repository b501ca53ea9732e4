"""Requirements with hashes, from what pip reports."""

import base64
import hashlib
import json
import subprocess
import sys
import zipfile

import pytest

from hashes import requirements


@pytest.fixture
def wheels(tmp_path):
    """A folder with one wheel of a made-up package."""
    with zipfile.ZipFile(tmp_path / "made_up-1.0-py3-none-any.whl", "w") as wheel:
        files = {
            "made_up.py": b"",
            "made_up-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n",
            "made_up-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        for name, content in files.items():
            wheel.writestr(name, content)
        digests = (
            (name, base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("="))
            for name, content in files.items()
        )
        record = "".join(f"{name},sha256={digest},\n" for name, digest in digests)
        wheel.writestr("made_up-1.0.dist-info/RECORD", f"{record}made_up-1.0.dist-info/RECORD,,\n")
    return tmp_path


def pip(folder, *words):
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--find-links",
        folder,
        "--dry-run",
        *words,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_pip_accepts_the_files_it_reported_and_no_others(wheels):
    assert pip(wheels, "--report", "report.json", "--ignore-installed", "made-up").returncode == 0
    text = requirements(json.loads((wheels / "report.json").read_text()))
    (wheels / "r.txt").write_text(text)
    (wheel,) = wheels.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert text == f"made-up==1.0 --hash=sha256:{digest}\n"
    assert pip(wheels, "--require-hashes", "-r", "r.txt").returncode == 0
    with zipfile.ZipFile(wheel, "a") as changed:
        changed.writestr("more.py", "")
    refused = pip(wheels, "--require-hashes", "-r", "r.txt")
    assert refused.returncode
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr


def test_the_kit_itself_is_left_out_and_a_file_without_hash_is_named():
    kit = {"metadata": {"name": "mambadfuse", "version": "1"}, "download_info": {"dir_info": {}, "url": "."}}
    assert requirements({"install": [kit]}) == ""
    bare = {"metadata": {"name": "x", "version": "1"}, "download_info": {"archive_info": {}, "url": "u"}}
    with pytest.raises(ValueError, match="x: the index gives no SHA-256 of u"):
        requirements({"install": [bare]})
