//! Interleaved measuring and its tables. Two programs are run in turn, so that whatever else the
//! machine does at the time meets both; what counts is the median of the ratios of such pairs.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// The middle of several values.
///
/// # Panics
/// When there are none.
pub fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    values[values.len() / 2]
}

/// A duration in the unit that suits it.
pub fn text(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        m if m < 1_000.0 => format!("{m:.0} µs"),
        m if m < 10_000.0 => format!("{:.2} ms", m / 1e3),
        m if m < 1_000_000.0 => format!("{:.0} ms", m / 1e3),
        m => format!("{:.2} s", m / 1e6),
    }
}

/// Processor time, user and system, of this process or of all its children that have ended.
///
/// # Panics
/// Never on Linux.
pub fn cpu(who: UsageWho) -> Duration {
    let usage = getrusage(who).expect("getrusage knows this");
    let part = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    part(usage.user_time()) + part(usage.system_time())
}
