"""All checks, in the order in which they run; imported once by the server that processes are forked from."""

from benchmarks.gpu import agreement, golden, precision, processes, recipe, shipped_weights, speed

CHECKS = {
    "agreement": agreement.CHECK,
    "golden": golden.CHECK,
    "weights": shipped_weights.CHECK,
    "speed": speed.CHECK,
    "precision": precision.CHECK,
    "processes": processes.CHECK,
    "recipe": recipe.CHECK,
}
