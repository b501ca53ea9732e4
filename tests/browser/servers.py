"""JupyterLab and Voila on the loopback interface, with their own settings and runtime files."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setup_notebook import ROOT, app_command

PATIENCE = 240  # seconds, on a busy machine
LAB_SETTINGS = {
    "notebook-extension/tracker": {
        "windowingMode": "none"
    },  # otherwise cells off the screen are not in the page
    "apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def lab(notebook: Path, desk: Path) -> Iterator[str]:
    """JupyterLab with the notebook open; yields its address."""
    for name, values in LAB_SETTINGS.items():
        path = desk / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    port, token = free_port(), secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}", f"--port={port}",
        f"--ServerApp.root_dir={notebook.parent}", "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly", "--ip=127.0.0.1",
    ]  # fmt: skip
    with running(command, {}, desk, "is running at"):
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?token={token}&reset"


@contextmanager
def voila(notebook: Path, desk: Path) -> Iterator[str]:
    """The notebook as an app, as ``make app`` opens it; yields the address that it prints, with its token."""
    port = free_port()
    command, environment = app_command(notebook)
    address = f"http://127.0.0.1:{port}/?token="
    with running([*command, "--no-browser", f"--port={port}"], environment, desk, address) as line:
        yield line.strip()


@contextmanager
def running(command: list[str], environment: dict[str, str], desk: Path, sign: str) -> Iterator[str]:
    """Runs the server within the block, once it prints a line that holds ``sign``; yields that line."""
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_CONFIG_DIR": "config",
        "IPYTHONDIR": "ipython",
    }
    own = {name: str(desk / folder) for name, folder in folders.items()}
    env = {**os.environ, **own, **environment, "OMP_NUM_THREADS": "1"}
    log, ready, found = desk / "server.log", threading.Event(), []
    server = subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    )  # fmt: skip

    def listen() -> None:
        with log.open("w", encoding="utf-8") as file:
            for line in server.stdout:
                print(line, end="", file=file, flush=True)
                if sign in line:
                    found.append(line)
                    ready.set()
        ready.set()  # it has ended

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        ready.wait(PATIENCE)
        assert found, f"{command} did not start: {log.read_text()}"
        yield found[0]
    finally:
        server.terminate()
        server.wait(PATIENCE)
        listener.join()
