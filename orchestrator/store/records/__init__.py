"""Read and write the records of each role: devices, runs, plans, results, leases, recovery."""
