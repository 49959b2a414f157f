"""Lists the files of the public cohort, knows where the network holds them, and fetches them. Nothing else of the
project asks the network for data, and this does so only when it is called."""
