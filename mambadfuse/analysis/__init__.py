"""Looking inside: maps, traces and numbers of what a fusion network does with one pair of pictures.

Every function here is pure, from a state to arrays or a figure; :mod:`mambadfuse.widgets` puts dials on them.
"""
