//! All orders of the same events.
