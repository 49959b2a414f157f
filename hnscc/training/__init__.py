"""Training: make a run folder ready, and train one trial, from its fold's data to its record; without Ray.

Other wings use this one to make a run ready (`ready.make_run_ready`), to check a network (`network.check_network`), to
train a trial (`trial.steps_of_trial`, whose epochs are `fit.Epoch`), to record that a trial failed (`boundary`), to
read what trials left (`states`, `records`) and which versions trained them (`provenance`, `earlier`), to lock a run
folder and tidy it (`in_use`, `tidying`), to ask what hardware a machine has (`devices`, `hardware`), and to use trained
models (`members`, `inference`, `export`). Losses and layers are used only inside.

It may import base, study, scores and cohort. Inside, imports point one way: trial -> boundary, results_of_trial
-> ready, saving -> feeding, fit -> export, inference -> members -> checkpoint, earlier, network, provenance,
states, subpixel, tidying -> adam, augment, devices, in_use, library, losses, paper_unet, records, resizing ->
hardware, process.
"""
