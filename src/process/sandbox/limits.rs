//! What a confined program may take of the machine.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Limits of one confined program and all that it starts. `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes at once, of this user; the kernel counts none of root's.
    pub processes: Option<u64>,
    /// Bytes of address space, for each process.
    pub memory: Option<u64>,
    /// Bytes of a file that is written.
    pub file: Option<u64>,
}

impl Limits {
    /// Sets them for this process. The caller of this program may have had others, which count for nothing as far as
    /// we may change them: a build shall not fail for them. No memory is written to disk when something crashes.
    ///
    /// # Errors
    /// When the kernel refuses one.
    pub(super) fn set(&self) -> nix::Result<()> {
        limit(Resource::RLIMIT_NPROC, self.processes)?;
        limit(Resource::RLIMIT_AS, self.memory)?;
        limit(Resource::RLIMIT_FSIZE, self.file)?;
        limit(Resource::RLIMIT_CORE, Some(0))
    }
}

fn limit(resource: Resource, wanted: Option<u64>) -> nix::Result<()> {
    let wanted = wanted.unwrap_or(rlim_t::MAX);
    match setrlimit(resource, wanted, wanted) {
        // Who may not raise one can lower it.
        Err(Errno::EPERM) => {
            let (_, hard) = getrlimit(resource)?;
            setrlimit(resource, wanted.min(hard), wanted.min(hard))
        }
        other => other,
    }
}
