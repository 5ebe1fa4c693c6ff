"""Commands around the emulator: demo, replay, bench, and the invariants that they check."""
