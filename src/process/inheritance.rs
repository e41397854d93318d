//! What a child process gets from us beside its arguments: nothing but the three standard files is open (a
//! package manager's own pipes stay with us: a compiler daemon that kept one open would hang it), umask
//! 022, and none of the variables that would bend a kernel build.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once, OnceLock};

use nix::sys::signal::{SigHandler, Signal};

use super::search::search_path;

/// The variable by which a nested call of this program recognises that an ancestor of it holds the
/// lock: that ancestor's process id.
pub const PARENT_VARIABLE: &str = "DKMS_HOOK_PARENT";

/// The variable that tells a call of this program that what called it runs beside the run that holds the lock, which
/// does not wait for it just now.
pub const WORK_VARIABLE: &str = "DKMS_HOOK_AT_WORK";

/// Variables of the caller that no child sees: they would change what a build produces. DKMS
/// clears the first five.
const CLEARED: [&str; 5] = ["CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"];

/// What a make that runs us tells its children. Of this, ours get its job server, where they build
/// ([`super::jobserver`]).
const FROM_MAKE: [&str; 5] = ["MAKELEVEL", "MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKEOVERRIDES"];

/// What makes bash run something else than it is given, or nothing (bash(1), "Shell Variables"). Functions that a
/// caller exported have names of their own: [`is_function`].
const FROM_BASH: [&str; 4] = ["BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS"];

/// What of the caller's environment is meant for builds: what the kernel's own makefiles read, where HOME is, and what
/// makes builds reproducible. More can be said in the file that `build_environment` names.
const FOR_BUILDS: [&str; 11] = [
    "HOME",
    "ARCH",
    "CROSS_COMPILE",
    "LLVM",
    "LLVM_IAS",
    "KCFLAGS",
    "KAFLAGS",
    "KBUILD_BUILD_TIMESTAMP",
    "KBUILD_BUILD_USER",
    "KBUILD_BUILD_HOST",
    "SOURCE_DATE_EPOCH",
];

/// As many open files as a build may have. There are programs that close every number up to the limit when they
/// start, and hard limits of a thousand million.
const MOST_FILES: u64 = 65_536;

static LOCK_HOLDER: AtomicU32 = AtomicU32::new(0);
static PREPARED: Once = Once::new();
static TEMPORARY: OnceLock<PathBuf> = OnceLock::new();
static FORGOTTEN: OnceLock<Vec<&'static str>> = OnceLock::new();

/// From now on no child sees these variables: they speak of the world outside a root that this
/// process has entered. Only the first call counts.
pub fn forget_variables(names: &[&'static str]) {
    let _ = FORGOTTEN.set(names.to_vec());
}

/// Says who holds the lock, when it is an ancestor and not this process.
pub fn set_lock_holder(pid: u32) {
    LOCK_HOLDER.store(pid, Ordering::Relaxed);
}

/// Gives a child its variables, as far as they do not depend on which child it is.
pub(super) fn set_variables(command: &mut Command) {
    command.env("PATH", search_path());
    for name in CLEARED.iter().chain(&FROM_BASH) {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_function(name)) {
        command.env_remove(name);
    }
    for name in FORGOTTEN.get().into_iter().flatten() {
        command.env_remove(name);
    }
    if is_run_by_make() {
        for name in FROM_MAKE {
            command.env_remove(name);
        }
    }
    set_holder(command);
    command.env_remove(WORK_VARIABLE);
    if let Some(dir) = TEMPORARY.get() {
        command.env("TMPDIR", dir);
    }
}

/// Gives a build its variables. What its caller has in his own shall not decide whether it works, or what comes out: a
/// verdict would be kept for a variable that the next caller does not have.
pub(super) fn set_clean_variables(command: &mut Command) {
    command.env_clear().env("PATH", search_path()).env("LC_ALL", "C").env("LANG", "C");
    let forgotten = FORGOTTEN.get().map_or(&[][..], Vec::as_slice);
    for (name, value) in std::env::vars_os() {
        // A script that calls this program speaks of the same root.
        let ours = || name.as_encoded_bytes().starts_with(b"DKMS_HOOK_") && name != WORK_VARIABLE;
        let meant = FOR_BUILDS.iter().any(|known| name == *known) || ours();
        if meant && !forgotten.iter().any(|gone| name == *gone) {
            command.env(name, value);
        }
    }
    set_holder(command);
    command.env("TMPDIR", std::env::temp_dir());
}

fn set_holder(command: &mut Command) {
    let holder = match LOCK_HOLDER.load(Ordering::Relaxed) {
        0 => std::process::id(),
        pid => pid,
    };
    command.env(PARENT_VARIABLE, holder.to_string());
}

/// Leaves files open in a child, under their own numbers; in this process they stay such that no other child
/// has them.
pub(super) fn keep_open(command: &mut Command, files: Vec<Arc<OwnedFd>>) {
    // SAFETY: between fork and exec only fcntl(2) is called, which is async-signal-safe; it allocates
    // nothing and takes no lock. The files are open, as the closure owns a share of them.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            for file in &files {
                let none = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
                nix::fcntl::fcntl(file.as_fd(), none).map_err(io::Error::from)?;
            }
            Ok(())
        });
    }
}

/// Raises the soft limit of open files to the hard one, up to [`MOST_FILES`].
pub(super) fn raise_open_files(command: &mut Command) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = hard.min(MOST_FILES);
    if soft >= wanted {
        return;
    }
    // SAFETY: between fork and exec only setrlimit(2) is called, which is async-signal-safe; it allocates
    // nothing and takes no lock.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(io::Error::from));
    }
}

/// Whether a make runs this program, so that its variables are not passed on.
pub(super) fn is_run_by_make() -> bool {
    std::env::var_os(FROM_MAKE[0]).is_some()
}

/// A function that bash takes from its environment: one of that name would run in place of `make`.
fn is_function(variable: &OsStr) -> bool {
    variable.as_encoded_bytes().starts_with(b"BASH_FUNC_")
}

/// Makes this process one whose files and children owe nothing to its caller: umask 022, no open
/// files but the standard ones, and signals that work as everywhere. Once is enough.
pub fn prepare() {
    PREPARED.call_once(prepare_inheritance);
}

fn prepare_inheritance() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    reset_signals();
    let open: Vec<i32> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect(),
        // A package manager's scripts in a chroot may have no /proc. It has not many files open.
        Err(_) => (3..256).collect(),
    };
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // SAFETY: the number is used for one fcntl() that only sets a flag, and refuses a number that
        // is no open file. Files that this process opens itself have the flag already, so it does not
        // matter if another thread closes or reopens this number meanwhile.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let _ = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
    }
}

/// A caller that ignores SIGCHLD has no children to wait for, and neither would we (sigaction(2), NOTES). A file that
/// reaches the limit of sizes shall be an error that is told, and no silent end (setrlimit(2), RLIMIT_FSIZE).
fn reset_signals() {
    for (signal, handler) in [(Signal::SIGCHLD, SigHandler::SigDfl), (Signal::SIGXFSZ, SigHandler::SigIgn)] {
        // SAFETY: neither of these handlers is code of ours.
        #[allow(unsafe_code)]
        let _ = unsafe { nix::sys::signal::signal(signal, handler) };
    }
}

/// Sees to it that there is a directory for temporary files, for us and our children. TMPDIR may name one
/// that only a login session has (pam_tmpdir), while rpm gives its scriptlets a /tmp of their own.
pub fn find_temporary_directory() {
    if std::env::temp_dir().is_dir() {
        return;
    }
    if let Some(dir) = ["/tmp", "/var/tmp", "/run"].iter().map(Path::new).find(|dir| dir.is_dir()) {
        // Only the first call counts.
        let _ = tempfile::env::override_temp_dir(dir);
        let _ = TEMPORARY.set(dir.to_path_buf());
    }
}

#[cfg(test)]
mod tests {
    use crate::process::Process;

    #[test]
    fn a_child_knows_who_holds_the_lock_and_reads_nothing() {
        let got = Process::bash("echo $DKMS_HOOK_PARENT; umask; cat").capture().unwrap();
        let text = String::from_utf8(got.stdout).unwrap();
        assert_eq!(text, format!("{}\n0022\n", std::process::id()));
    }

    #[test]
    fn only_the_standard_files_are_open_in_a_child() {
        let got = Process::new("ls").arg("/proc/self/fd").capture().unwrap();
        // The fourth is the directory that ls lists.
        assert_eq!(String::from_utf8_lossy(&got.stdout), "0\n1\n2\n3\n");
    }
}
