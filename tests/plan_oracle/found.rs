//! Sequences that once showed a fault, of the planner or of what we thought it does.
