//! Fewer jobs at once while memory is short.
//!
//! Nobody can say how much memory a compiler will need. So a thread looks at what is free and at how long
//! programs had to wait for memory, and keeps tokens back while it is not enough; the last one never. What runs
//! already is not stopped.

use std::sync::Arc;
use std::time::Duration;

use super::Server;
use crate::process::shortage::{Look, Watch};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// While memory is short, so often a token is tried for: the makes want it, too.
const TRY: Duration = Duration::from_millis(5);

/// What a compiler needs, in bytes: most files of modules need less, some much more.
const ONE_JOB: u64 = 200 << 20;

/// Looks without a shortage before a token is given back: a job needs some time to take its memory.
const CALM: u32 = 4;

/// What is to be done about the number of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Fewer,
    More,
    None,
}

/// Decides from look to look.
#[derive(Debug, Default)]
struct Governor {
    calm: u32,
}

impl Governor {
    /// What is to be done after this look, with so many tokens kept back.
    fn judge(&mut self, look: &Look, withheld: usize) -> Change {
        // For a tenth of the time nothing at all ran, as everything waited for memory.
        if look.available < reserve(look) || look.stalled > 0.1 {
            self.calm = 0;
            return Change::Fewer;
        }
        if look.available < reserve(look) + ONE_JOB || look.stalled > 0.01 {
            self.calm = 0;
            return Change::None;
        }
        self.calm += 1;
        if self.calm < CALM || withheld == 0 {
            return Change::None;
        }
        self.calm = 0;
        Change::More
    }
}

/// How many jobs fit into what is free while none runs: at least one.
fn fitting(look: &Look) -> usize {
    let jobs = look.available.saturating_sub(reserve(look)) / ONE_JOB;
    usize::try_from(jobs).unwrap_or(usize::MAX).max(1)
}

/// What has to stay free, in bytes: a sixteenth, within bounds.
fn reserve(look: &Look) -> u64 {
    (look.total / 16).clamp(64 << 20, 512 << 20)
}

/// Begins with as many jobs as fit, and starts the thread. It ends when nobody has the server any more.
pub(super) fn start(server: &Server) {
    if !server.is_shared() || server.limit() < 2 {
        return;
    }
    let mut watch = Watch::begin();
    // No machine that is known to have memory, no shortage.
    let Some(look) = watch.look() else { return };
    while server.limit() - server.withheld() > fitting(&look) && server.withhold() {}
    if server.withheld() > 0 {
        let jobs = server.limit() - server.withheld();
        log::info!("{jobs} of {} jobs at once, as memory is short", server.limit());
    }
    let shared = Arc::downgrade(&server.0);
    let work = move || {
        let mut governor = Governor::default();
        while let Some(server) = shared.upgrade().map(Server) {
            if server.is_busy()
                && let Some(look) = watch.look()
            {
                match governor.judge(&look, server.withheld()) {
                    Change::Fewer => keep_one_back(&server),
                    Change::More => drop(server.give_back()),
                    Change::None => {}
                }
            }
            drop(server);
            std::thread::sleep(PAUSE);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("memory".to_owned()).spawn(work) {
        log::info!("nobody looks at memory: {error}");
    }
}

/// Tries for a token until the next look.
fn keep_one_back(server: &Server) {
    let mut left = PAUSE.as_millis() / TRY.as_millis();
    while left > 0 && server.withheld() + 1 < server.limit() && !server.withhold() {
        left -= 1;
        std::thread::sleep(TRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn look(available: u64, stalled: f64) -> Look {
        Look { available: available * MIB, total: 4096 * MIB, stalled }
    }

    #[test]
    fn a_shortage_of_either_kind_takes_jobs_at_once() {
        let mut governor = Governor::default();
        for short in [look(255, 0.0), look(3000, 0.2), look(0, 1.0)] {
            assert_eq!(governor.judge(&short, 0), Change::Fewer, "{short:?}");
        }
    }

    #[test]
    fn jobs_come_back_one_by_one_after_a_while_without_any() {
        let mut governor = Governor::default();
        let plenty = look(2000, 0.0);
        let judged = |governor: &mut Governor, n| {
            (0..n).map(|_| governor.judge(&plenty, 2)).filter(|change| *change == Change::More).count()
        };
        assert_eq!(judged(&mut governor, 3), 0);
        // Enough for what runs, and not for one more.
        assert_eq!(governor.judge(&look(300, 0.0), 2), Change::None);
        assert_eq!(judged(&mut governor, 3), 0);
        assert_eq!(judged(&mut governor, 5), 2);
        assert_eq!(governor.judge(&look(2000, 0.05), 2), Change::None);
        assert_eq!(judged(&mut governor, 3), 0);
        assert_eq!((0..9).filter(|_| governor.judge(&plenty, 0) == Change::More).count(), 0);
    }

    #[test]
    fn a_run_begins_with_as_many_jobs_as_fit() {
        for (available, jobs) in [(0, 1), (300, 1), (256 + 200 * 3, 3), (256 + 200 * 3 - 1, 2), (4096, 19)] {
            assert_eq!(fitting(&look(available, 0.0)), jobs, "{available}");
        }
        assert_eq!(reserve(&Look { available: 0, total: 512 * MIB, stalled: 0.0 }), 64 * MIB);
        assert_eq!(reserve(&Look { available: 0, total: 1 << 40, stalled: 0.0 }), 512 * MIB);
    }
}
