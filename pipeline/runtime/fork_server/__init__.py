"""Run commands in forks of processes that have imported their modules once. Linux only."""
