"""Several engines that share a run: the driver, and the replicas that it hands image groups to."""
