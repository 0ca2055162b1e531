"""The server of trained networks: HTTP in front of one worker thread that computes batches."""
