"""Training: a run folder made ready, and one trial from its fold's data to its record, without Ray.

Others make a run ready (`ready.make_run_ready`), train a trial (`trial.steps_of_trial`), read what trials left
(`states.trial_state`) and who trained what (`provenance`, `earlier`); networks, losses and layers stay inside.

It may import base, study, scores and cohort. Inside, imports point one way: measure -> trial -> results_of_trial ->
ready, saving -> export, networks, side_by_side -> loop -> feeding -> augment, earlier, inference, members, model,
provenance -> adam, checkpoint, devices, hardware, in_use, losses, paper_unet, process, resizing, states, subpixel ->
layers, library, slots, tidying -> records.
"""
