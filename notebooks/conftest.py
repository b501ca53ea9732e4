"""The copies for students are not part of the course's own check: their cells have not been run."""

collect_ignore = ["student"]
