//! Ctrl-C and what else asks a run to end: SIGINT, SIGTERM, SIGHUP.
//!
//! A run that changes something calls [`install`] first. From then on such a signal ends nothing by itself: it is
//! noted ([`requested`]), and passed on to all children and to what they have started. The run sees its children end,
//! cleans up, and ends as a shell counts it: with 128 + the number of the signal. Children that have not ended after a
//! while, or at a second signal, are killed. A third one ends the program at once, whatever it waits for; the next run
//! clears up, as after any kill.
//!
//! Children that were not started with [`super::Process::in_own_group`] stay in our group: they may ask for a
//! passphrase, which only the terminal's foreground group can. The terminal's Ctrl-C reaches them without our help, and
//! two would be more than was asked for. So it is passed on to them only when they are still there a moment later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock};
use std::time::Duration;

use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;

use super::family::Family;

/// Between passing a signal on and killing who has not ended.
const GRACE: Duration = Duration::from_secs(4);

/// So long after Ctrl-C those who may have got it from the terminal get it from us.
const MOMENT: Duration = Duration::from_secs(1);

/// What asks a run to end.
const ASKING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The signal that came last; 0 for none. The handler itself writes it: a child that the terminal ended has ended
/// before a thread could have been told.
static REQUESTED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
static INSTALLED: Once = Once::new();
/// The children to pass a signal on to.
static CHILDREN: Mutex<Vec<Family>> = Mutex::new(Vec::new());

/// Asked to end, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupt(Signal);

impl Interrupt {
    /// The exit status of a program that ends for it, as a shell counts it.
    pub fn exit_status(self) -> u8 {
        u8::try_from(128 + self.0 as i32).unwrap_or(u8::MAX)
    }

    /// What it is to a person, after "stopped by".
    pub fn name(self) -> &'static str {
        match self.0 {
            Signal::SIGINT => "Ctrl-C",
            other => other.as_str(),
        }
    }
}

/// The signal that came last since [`install`], if one did. No step may begin then.
pub fn requested() -> Option<Interrupt> {
    let number = REQUESTED.get()?.load(Ordering::SeqCst);
    i32::try_from(number).ok().and_then(|number| Signal::try_from(number).ok()).map(Interrupt)
}

/// From now on these signals are noted and passed on. Only the first call counts. One that whoever started us
/// had told us to ignore (nohup(1)) stays ignored. Without a thread to wait for them, they end the program as ever.
pub fn install() {
    INSTALLED.call_once(|| {
        let ignored = ignored();
        let ours = ASKING.into_iter().filter(|signal| ignored & (1 << (*signal as u32 - 1)) == 0);
        if let Err(error) = listen(&ours.map(|signal| signal as i32).collect::<Vec<_>>()) {
            log::warn!("Ctrl-C will end this run without cleaning up: {error}");
        }
    });
}

fn listen(numbers: &[i32]) -> std::io::Result<()> {
    let signals = Signals::new(numbers)?;
    let waiting = std::thread::Builder::new().name("signals".to_owned());
    let handle = signals.handle();
    waiting.spawn(|| wait(signals)).inspect_err(|_| handle.close())?;
    let requested = REQUESTED.get_or_init(Arc::default);
    for number in numbers {
        let value = usize::try_from(*number).unwrap_or_default();
        signal_hook::flag::register_usize(*number, Arc::clone(requested), value)?;
    }
    Ok(())
}

/// True when signals are passed on to children.
pub(super) fn is_installed() -> bool {
    INSTALLED.is_completed()
}

fn wait(mut signals: Signals) {
    let mut asked = 0;
    for number in signals.forever() {
        let Ok(signal) = Signal::try_from(number) else { continue };
        asked += 1;
        if asked > 1 {
            kill_all();
        }
        if asked > 2 {
            let _ = signal_hook::low_level::emulate_default_handler(number);
        }
        if asked > 1 {
            continue;
        }
        let from_terminal = move |child: &Family| signal == Signal::SIGINT && child.is_in_our_group();
        signal_all(signal, &|child| !from_terminal(child));
        let killing = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(MOMENT);
            signal_all(signal, &from_terminal);
            std::thread::sleep(GRACE);
            kill_all();
        });
        if killing.is_err() {
            kill_all();
        }
    }
}

fn children() -> MutexGuard<'static, Vec<Family>> {
    CHILDREN.lock().unwrap_or_else(|e| e.into_inner())
}

fn signal_all(signal: Signal, whom: &dyn Fn(&Family) -> bool) {
    children().iter().filter(|child| whom(child)).for_each(|child| child.signal(signal));
}

fn kill_all() {
    children().iter().for_each(Family::kill);
}

/// A child to which signals are passed on until this is dropped.
pub(super) struct Told(Family);

impl Told {
    /// A signal that came while it was started reaches it as well. `None` where signals are not passed on.
    pub fn of(child: &Family) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut children = children();
        children.push(child.clone());
        if let Some(Interrupt(signal)) = requested() {
            child.signal(signal);
        }
        Some(Self(child.clone()))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut children = children();
        children.retain(|child| child.leader() != self.0.leader());
        if requested().is_some() && !self.0.may_leave() {
            // Members that outlive their leader would write on into what is cleaned up now.
            self.0.kill();
        }
    }
}

/// The signals that this process ignores, as proc_pid_status(5) has them: bit n - 1 for signal n.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_ends_as_a_shell_counts_it() {
        let statuses = ASKING.map(|signal| Interrupt(signal).exit_status());
        assert_eq!(statuses, [130, 143, 129]);
        assert_eq!(Interrupt(Signal::SIGINT).name(), "Ctrl-C");
        assert_eq!(Interrupt(Signal::SIGHUP).name(), "SIGHUP");
        assert_eq!(requested(), None);
    }

    #[test]
    fn what_rust_ignores_is_seen_as_ignored() {
        // The runtime ignores SIGPIPE (13).
        assert_eq!(ignored() & (1 << 12), 1 << 12);
    }
}
