//! The system calls that nix does not know, each as plain as it is: they are made between fork and exec, so
//! nothing here allocates.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long, c_uint};

/// open_tree(2): a copy of the mounts, not another name for them.
const OPEN_TREE_CLONE: c_uint = 1;
/// With everything that is mounted below.
const AT_RECURSIVE: c_uint = 0x8000;
/// move_mount(2): what is moved is the file itself.
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
/// landlock_create_ruleset(2): asks for the version.
const LANDLOCK_VERSION: c_uint = 1;
/// keyctl(2): a new, empty session keyring.
const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
/// capset(2): the layout with 64 bits.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// What mount_setattr(2) is told.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn done(returned: c_long) -> nix::Result<c_long> {
    Errno::result(returned)
}

/// A copy of what is mounted at a path, with everything below, which is nowhere yet.
#[allow(unsafe_code)]
pub(in crate::process) fn clone_mount(path: &CStr) -> nix::Result<RawFd> {
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as c_uint;
    // SAFETY: the text ends with a zero and outlives the call.
    let fd = done(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    RawFd::try_from(fd).map_err(|_| Errno::EBADF)
}

/// Puts such a copy at a path.
#[allow(unsafe_code)]
pub(in crate::process) fn put_mount(mount: RawFd, at: &CStr) -> nix::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both texts end with a zero and outlive the call; a number that is no open file is refused.
    done(unsafe {
        libc::syscall(libc::SYS_move_mount, mount, c"".as_ptr(), libc::AT_FDCWD, at.as_ptr(), flags)
    })
    .map(drop)
}

/// Makes a mount, and all below it, read-only and without programs that change the user.
pub(super) fn read_only(at: &CStr) -> nix::Result<()> {
    set_attributes(at, AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0)
}

/// Lets a mount be written to; not those below it.
pub(super) fn writable(at: &CStr) -> nix::Result<()> {
    set_attributes(at, 0, 0, MOUNT_ATTR_RDONLY)
}

#[allow(unsafe_code)]
fn set_attributes(at: &CStr, flags: c_uint, set: u64, clear: u64) -> nix::Result<()> {
    let attributes = MountAttributes { set, clear, propagation: 0, user_namespace: 0 };
    let size = size_of::<MountAttributes>();
    // SAFETY: text and structure outlive the call, and the size is that of the structure.
    done(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            flags,
            &raw const attributes,
            size,
        )
    })
    .map(drop)
}

/// A handle of this thread, for setns(2).
#[allow(unsafe_code)]
pub(super) fn own_handle() -> nix::Result<OwnedFd> {
    // SAFETY: no memory is handed over but a text that ends with a zero. What comes back is a new file that nobody else
    // has.
    unsafe {
        let fd = if libc::gettid() == libc::getpid() {
            libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0 as c_uint)
        } else {
            // That of the process would lead to the mounts of its first thread.
            let flags = libc::O_RDONLY | libc::O_CLOEXEC;
            c_long::from(libc::open(c"/proc/thread-self/ns/mnt".as_ptr(), flags))
        };
        Ok(OwnedFd::from_raw_fd(RawFd::try_from(done(fd)?).map_err(|_| Errno::EBADF)?))
    }
}

/// Closes every file from this number on.
#[allow(unsafe_code)]
pub(super) fn close_from(first: RawFd) {
    // SAFETY: only for a process that uses none of them any more; nothing is read or written.
    unsafe {
        let every = c_uint::MAX;
        if libc::syscall(libc::SYS_close_range, first as c_uint, every, 0 as c_uint) != 0 {
            // Linux before 5.9.
            for fd in first..4096 {
                libc::close(fd);
            }
        }
    }
}

/// The version of Landlock that the kernel has and uses.
#[allow(unsafe_code)]
pub(super) fn landlock_version() -> nix::Result<i32> {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel reads nothing (landlock_create_ruleset(2)).
    let version =
        done(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, LANDLOCK_VERSION) })?;
    i32::try_from(version).map_err(|_| Errno::ERANGE)
}

/// Binds this process to a set of rules for ever.
#[allow(unsafe_code)]
pub(super) fn landlock_restrict(rules: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: no memory is handed over.
    done(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0 as c_uint) }).map(drop)
}

/// Takes every capability away from this process.
#[allow(unsafe_code)]
pub(super) fn drop_capabilities() -> nix::Result<()> {
    let header = [CAPABILITY_VERSION_3, 0];
    let none = [0u32; 6];
    // SAFETY: capset(2) reads two words of the header, and two times three words of the sets in this version.
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) }).map(drop)
}

/// Takes every capability out of the bounding set, so that no program brings one back.
#[allow(unsafe_code)]
pub(super) fn drop_bounding_set() -> nix::Result<()> {
    // As many as there are (capabilities(7)): the kernel refuses the first that it does not know.
    for capability in 0..64 as libc::c_ulong {
        // SAFETY: no memory is handed over.
        match done(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into()) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Leaves the keys that the caller's session holds (keyrings(7)). Where there are no keyrings, there is nothing to
/// leave.
#[allow(unsafe_code)]
pub(super) fn leave_keyring() {
    let nameless = std::ptr::null::<u8>();
    // SAFETY: without a name the kernel reads nothing.
    let _ = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nameless) };
}

/// Installs a filter of system calls.
#[allow(unsafe_code)]
pub(super) fn filter(program: &[libc::sock_filter]) -> nix::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel only reads the program, which outlives the call.
    done(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0 as c_uint, &raw const program)
    })
    .map(drop)
}
