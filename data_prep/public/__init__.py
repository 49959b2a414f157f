"""The public cohort: which files it has, where the network holds them, and fetching them. Nothing else of the project
asks the network for data, and this does so only when it is called."""
