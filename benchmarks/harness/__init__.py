"""The benchmark harness: one worker process a peer, results compared before anything is timed."""
