"""Training: a run folder made ready, and one trial from its fold's data to its record, without Ray.

Others make a run ready (`ready.make_run_ready`), train a trial (`trial.steps_of_trial`), read what trials left
(`states.trial_state`) and who trained what (`provenance`, `earlier`); networks, losses and layers stay inside.

It may import base, study, scores and cohort. Inside, imports point one way: trial -> results_of_trial -> ready, saving
-> loop -> feeding -> export, inference -> members -> checkpoint, earlier, model, provenance, states, subpixel -> adam,
augment, devices, hardware, in_use, library, losses, paper_unet, process, records, resizing, tidying.
"""
