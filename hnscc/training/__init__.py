"""Training: a run folder made ready, and one trial from its fold's data to its record, without Ray.

Others make a run ready (`ready.make_run_ready`), check a network (`network.check_network`), train a trial
(`trial.steps_of_trial`, whose epochs are `fit.Epoch`), write that one failed (`boundary`), read what trials left
(`states`, `records`) and who trained what (`provenance`, `earlier`), keep others out of a run folder and tidy it
(`in_use`, `tidying`), ask what a machine has (`devices`, `hardware`), and use trained models (`members`, `inference`,
`export`); losses and layers stay inside.

It may import base, study, scores and cohort. Inside, imports point one way: trial -> boundary, results_of_trial ->
ready, saving -> feeding, fit -> export, inference -> members -> checkpoint, earlier, network, provenance, states,
subpixel, tidying -> adam, augment, devices, in_use, library, losses, paper_unet, records,
resizing -> hardware, process.
"""
