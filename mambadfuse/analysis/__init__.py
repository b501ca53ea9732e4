"""Analysis: maps, traces and scores that show what a fusion network does with one pair of images.

All functions are pure: they turn their arguments into arrays or figures and change nothing. :mod:`mambadfuse.widgets`
adds the controls.

=================  ==============================================================================
``comparison``     fusions of one pair by a network and by the baselines, with scores and details
``exchange``       what channel exchange moves between the streams, and its effect (Grad-CAM)
``branches``       the contribution of each branch of the M3 blocks, and their gates
``memory``         what one state of a selective scan remembers of a signal
``training_runs``  loss curves, scores and images of several runs, from their logs
``colormap``       numbers as colours
=================  ==============================================================================
"""
