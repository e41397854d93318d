//! Which system calls change files, and the filter that stops a program just before each of them.
//!
//! The filter (seccomp(2), SECCOMP_RET_TRACE) lets all others run at full speed. What it cannot see, which file a
//! descriptor or a path stands for, is looked up at the stop.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::Pid;

/// A system call that may change files.
struct Row {
    number: libc::c_long,
    name: &'static str,
    when: When,
}

/// When it does.
#[derive(Clone, Copy)]
enum When {
    /// Always; the path that is named by this argument, for people.
    Path(usize),
    /// Where the flags in this argument open for writing or make a file; the path is the argument before it.
    Flags(usize),
    /// Where the flags that this argument points to do (openat2(2)); the path is the argument before it.
    FlagsAt(usize),
    /// Where the descriptor in this argument is a file.
    File(usize),
    /// Where the second argument is FICLONE (ioctl_ficlone(2)): the descriptor in the first one.
    Clone,
    /// Always, and there is nothing to say of it.
    Bare,
}

macro_rules! rows {
    ($($number:ident $name:literal $when:expr;)*) => {
        &[$(Row { number: libc::$number, name: $name, when: $when },)*]
    };
}

/// Of every kind of machine.
const ROWS: &[Row] = rows! {
    SYS_openat "open" When::Flags(2);
    SYS_openat2 "open" When::FlagsAt(2);
    SYS_write "write" When::File(0);
    SYS_pwrite64 "write" When::File(0);
    SYS_writev "write" When::File(0);
    SYS_pwritev "write" When::File(0);
    SYS_pwritev2 "write" When::File(0);
    SYS_sendfile "sendfile" When::File(0);
    SYS_splice "splice" When::File(2);
    SYS_copy_file_range "copy_file_range" When::File(2);
    SYS_ioctl "ficlone" When::Clone;
    SYS_ftruncate "ftruncate" When::File(0);
    SYS_truncate "truncate" When::Path(0);
    SYS_fallocate "fallocate" When::File(0);
    SYS_fsync "fsync" When::File(0);
    SYS_fdatasync "fsync" When::File(0);
    SYS_syncfs "syncfs" When::File(0);
    SYS_sync "sync" When::Bare;
    SYS_renameat "rename" When::Path(3);
    SYS_renameat2 "rename" When::Path(3);
    SYS_linkat "link" When::Path(3);
    SYS_symlinkat "symlink" When::Path(2);
    SYS_unlinkat "unlink" When::Path(1);
    SYS_mkdirat "mkdir" When::Path(1);
    SYS_mknodat "mknod" When::Path(1);
    SYS_fchmod "chmod" When::File(0);
    SYS_fchmodat "chmod" When::Path(1);
    SYS_fchown "chown" When::File(0);
    SYS_fchownat "chown" When::Path(1);
    SYS_utimensat "utime" When::Path(1);
    SYS_setxattr "setxattr" When::Path(0);
    SYS_lsetxattr "setxattr" When::Path(0);
    SYS_fsetxattr "setxattr" When::File(0);
    SYS_mount "mount" When::Path(1);
    SYS_umount2 "umount" When::Path(0);
};

/// fchmodat2(2), for which not every libc has a name; its number is the same everywhere.
const NEW_ROWS: &[Row] = &[Row { number: 452, name: "chmod", when: When::Path(1) }];

/// What newer kinds of machines have no more.
#[cfg(target_arch = "x86_64")]
const OLD_ROWS: &[Row] = rows! {
    SYS_open "open" When::Flags(1);
    SYS_creat "open" When::Path(0);
    SYS_rename "rename" When::Path(1);
    SYS_link "link" When::Path(1);
    SYS_symlink "symlink" When::Path(1);
    SYS_unlink "unlink" When::Path(0);
    SYS_rmdir "rmdir" When::Path(0);
    SYS_mkdir "mkdir" When::Path(0);
    SYS_mknod "mknod" When::Path(0);
    SYS_chmod "chmod" When::Path(0);
    SYS_chown "chown" When::Path(0);
    SYS_lchown "chown" When::Path(0);
    SYS_utime "utime" When::Path(0);
    SYS_utimes "utime" When::Path(0);
    SYS_futimesat "utime" When::Path(1);
};
#[cfg(not(target_arch = "x86_64"))]
const OLD_ROWS: &[Row] = &[];

/// AUDIT_ARCH of linux/audit.h: the calls of another kind of machine have other numbers, and are let pass.
#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: u32 = 0;

/// `FICLONE` of linux/fs.h.
const FICLONE: u32 = 0x4004_9409;

/// True where this program knows how to strike.
pub const CAN_STRIKE: bool = MACHINE != 0;

/// `O_WRONLY`, `O_RDWR`, `O_CREAT`, `O_TRUNC`: what opens for changing. (O_TMPFILE comes with O_WRONLY or O_RDWR.)
const CHANGING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32;

fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(NEW_ROWS).chain(OLD_ROWS)
}

/// The filter, as seccomp(2) takes it.
pub fn filter() -> Vec<libc::sock_filter> {
    // Offsets in struct seccomp_data: number, machine, and the lower half of an argument.
    let (number, machine) = (0, 4);
    let argument = |at: usize| (16 + 8 * at) as u32 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let (stop, pass) = (answer(libc::SECCOMP_RET_TRACE), answer(libc::SECCOMP_RET_ALLOW));
    let mut program = vec![load(machine), jump(libc::BPF_JEQ, MACHINE, 1, 0), pass, load(number)];
    for row in rows() {
        let this = row.number as u32;
        let test = match row.when {
            When::Flags(at) => Some((at, libc::BPF_JSET, CHANGING)),
            When::Clone => Some((1, libc::BPF_JEQ, FICLONE)),
            _ => None,
        };
        match test {
            Some((at, how, value)) => program.extend([
                jump(libc::BPF_JEQ, this, 0, 4),
                load(argument(at)),
                jump(how, value, 0, 1),
                stop,
                pass,
            ]),
            None => program.extend([jump(libc::BPF_JEQ, this, 0, 1), stop]),
        }
    }
    program.push(pass);
    program
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn answer(k: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, k)
}

fn jump(how: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | how | libc::BPF_K) as u16, jt, jf, k }
}

/// A call that is about to change a file: its name, and the file as far as it can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub file: PathBuf,
}

impl Call {
    /// False for what gives space back, and for what needs none: a full file system does not refuse it.
    pub fn takes_space(&self) -> bool {
        !["unlink", "rmdir", "ftruncate", "chmod", "chown", "utime", "umount"].contains(&self.name)
    }
}

/// What a thread that stands before this system call is about to change; `None` where that is no file of the
/// machine under test, whose root is at `root` for us, and at `/` for the thread.
pub fn change(thread: Pid, number: u64, args: &[u64; 6], root: &Path) -> Option<Call> {
    let row = rows().find(|row| row.number as u64 == number)?;
    let call = |file| Some(Call { name: row.name, file });
    match row.when {
        When::Bare => call(PathBuf::new()),
        When::Path(at) => call(plain(path(thread, args[at]))),
        When::Flags(at) => on_disk(path(thread, args[at - 1])).and_then(call),
        When::FlagsAt(at) => {
            let mut flags = [0; 8];
            memory(thread)?.read_exact_at(&mut flags, args[at]).ok()?;
            let changes = u64::from_ne_bytes(flags) & u64::from(CHANGING) != 0;
            changes.then(|| on_disk(path(thread, args[at - 1])))?.and_then(call)
        }
        When::File(at) => open_file(thread, args[at], root).and_then(call),
        When::Clone => open_file(thread, args[0], root).and_then(call),
    }
}

fn memory(thread: Pid) -> Option<std::fs::File> {
    std::fs::File::open(format!("/proc/{thread}/mem")).ok()
}

/// The path at an address of a thread; empty where there is none.
fn path(thread: Pid, address: u64) -> PathBuf {
    let mut bytes = vec![0; 512];
    let read = memory(thread).and_then(|memory| memory.read_at(&mut bytes, address).ok()).unwrap_or(0);
    bytes.truncate(read);
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
    bytes.truncate(end);
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// `None` where a path is one of a device or of the kernel.
fn on_disk(path: PathBuf) -> Option<PathBuf> {
    let other = ["/dev/", "/proc/", "/sys/"]
        .iter()
        .any(|start| path.as_os_str().as_bytes().starts_with(start.as_bytes()));
    (!other).then(|| plain(path))
}

/// The file or directory of the machine under test that a descriptor stands for. A pipe that has a name is in no file
/// system, and never full.
fn open_file(thread: Pid, descriptor: u64, root: &Path) -> Option<PathBuf> {
    let place = format!("/proc/{thread}/fd/{}", descriptor as i32);
    let link = std::fs::read_link(&place).ok()?;
    let inside = link.strip_prefix(root).ok()?;
    let meta = std::fs::metadata(&place).ok()?;
    (meta.is_file() || meta.is_dir()).then(|| plain(inside.to_path_buf()))
}

/// Without what is different each time: names of mkstemp(3) and its like.
fn plain(path: PathBuf) -> PathBuf {
    let parts = path.components().map(|part| {
        let name = part.as_os_str().to_string_lossy();
        if name.contains(".tmp") || name.starts_with("st") || name.starts_with(".dkms-hook-") {
            "*".into()
        } else {
            part.as_os_str().to_owned()
        }
    });
    parts.collect()
}
