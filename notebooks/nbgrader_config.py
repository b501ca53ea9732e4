"""Settings of the course in outputs/assignments/, for every command of nbgrader."""

import os
import sys
from pathlib import Path

# nbgrader calls alembic by its name, also where its environment has not been activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.setdefault("MAMBADFUSE_PROFILE", "ci")  # the kernels that grade compute on the smallest budget

c = get_config()  # noqa: F821 - nbgrader defines it
c.CourseDirectory.course_id = "mambadfuse"
c.ClearSolutions.code_stub = {"python": ""}  # each answer has a stub of its own
c.ClearSolutions.text_stub = ""
c.OverwriteCells.add_missing_cells = True  # a check that was deleted comes back
c.Execute.timeout = 600  # seconds for each cell
c.Execute.iopub_timeout = (
    60  # seconds for it to end when it is stopped; else the whole submission would be refused
)
