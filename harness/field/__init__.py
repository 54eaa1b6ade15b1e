"""What people send of a failure: logs of kernels and clients, read into a time line and known signatures."""
