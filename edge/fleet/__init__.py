"""Many boards: what they install and when, how each fares with it, and how all of them are seen as one."""
