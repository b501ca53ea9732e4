"""The checks of the course's exercises, one file per notebook.

A check takes an answer and returns ``"passed"``, or ``"not yet: "`` and a hint. It accepts a right answer in any order,
type or spelling, and a mistake in the answer is a hint as well, never a traceback.

>>> from mambadfuse.course import state_space_models as exercises
>>> exercises.ringing(-1 + 2j)
'not yet: after 50 tokens 0.01 of the strength is left; the real part decides that'
"""
