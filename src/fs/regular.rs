//! Regular files, opened as if a stranger had put them there.
//!
//! Whoever opens a pipe waits for somebody who writes to it; a device may never end, and some begin to work when they
//! are opened (a watchdog). So a path is looked at before it is opened, and what was opened is looked at again, for
//! somebody may have exchanged it meanwhile. Nothing is read whole that is larger than its reader says.
//!
//! tests/pure/opening.rs sees to it that files are opened here and nowhere else.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// No file that this program reads whole is larger than this, in bytes, but for those that have a limit of their own.
pub const LARGEST: u64 = 64 << 20;

/// The largest module that is read, in bytes: GPU drivers with debug information have some hundred MiB.
pub const LARGEST_MODULE: u64 = 2 << 30;

/// What is at the path is no regular file.
#[derive(Debug, thiserror::Error)]
#[error("it is no regular file")]
pub struct NotRegular;

fn not_regular() -> io::Error {
    io::Error::other(NotRegular)
}

/// Whether an error says that what is at the path is no regular file.
pub fn is_not_regular(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotRegular>())
}

/// Opens a file to read it. Links are followed.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    open_and_look(path).map(|(file, _)| file)
}

/// Opens a file to read it, with what stat(2) says of it. Links are followed.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub fn open_and_look(path: &Path) -> io::Result<(File, Metadata)> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    opened(path, OFlag::empty())
}

/// Opens a file to read it, and no link to one: where others can write to the directory.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub fn open_itself(path: &Path) -> io::Result<File> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(not_regular());
    }
    opened(path, OFlag::O_NOFOLLOW).map(|(file, _)| file)
}

fn opened(path: &Path, more: OFlag) -> io::Result<(File, Metadata)> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | more;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(not_regular()) }
}

/// The content of a file. Links are followed.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than [`LARGEST`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, LARGEST)
}

/// The content of a file that may have so many bytes. Links are followed.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read_up_to(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let (file, meta) = open_and_look(path)?;
    content(file, meta.len(), largest)
}

/// The content of a file that is no link.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than [`LARGEST`].
pub fn read_itself(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_itself(path)?;
    let length = file.metadata()?.len();
    content(file, length, LARGEST)
}

/// The content of a module file. Links are followed.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than [`LARGEST_MODULE`].
pub fn read_module(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, LARGEST_MODULE)
}

/// The content of a file of text. Links are followed.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// The content of an open file that had this length a moment ago. Files of the kernel's own, below /proc, have none.
///
/// # Errors
/// When it cannot be read, or is larger than `largest`.
pub fn content(mut file: File, length: u64, largest: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let text = format!("it is larger than {} MiB", largest >> 20);
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    };
    if length > largest {
        return Err(too_large());
    }
    let length = usize::try_from(length).map_err(|_| too_large())?;
    // One byte more: that there is none says that it was all, and no other call need ask.
    let mut bytes = vec![0; length + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) if read < bytes.len() - filled && filled + read == length => {
                filled += read;
                break;
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let grew = filled > length;
    bytes.truncate(filled);
    if grew {
        file.take((largest + 1).saturating_sub(filled as u64)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > largest {
            return Err(too_large());
        }
    }
    Ok(bytes)
}

/// Opens a file, and no link to one, to add to its end. One that is missing is made, with this mode.
///
/// # Errors
/// When it cannot be opened or made, or something else than a regular file has its name.
pub fn append(path: &Path, mode: u32) -> io::Result<File> {
    appending(path, File::options().create(true).mode(mode))
}

/// As [`append`], of a file that has to be there.
///
/// # Errors
/// When it cannot be opened, or something else than a regular file has its name.
pub fn append_to(path: &Path) -> io::Result<File> {
    appending(path, &mut File::options())
}

fn appending(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match options.append(true).custom_flags(flags.bits()).open(path) {
        // The system has words of its own for a link, and for a pipe that nobody reads.
        Err(_) if std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) => {
            return Err(not_regular());
        }
        other => other?,
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// Writes a new file in the place of whatever has its name: nothing that is there already is written to, be it a link,
/// a pipe or one of two names of a file.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::create_new(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_neither_waited_for_nor_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        symlink("pipe", at("link-to-pipe")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        for name in ["pipe", "socket", "device", "link-to-pipe", "directory"] {
            assert!(is_not_regular(&open(&at(name)).unwrap_err()), "{name}");
            assert!(is_not_regular(&read(&at(name)).unwrap_err()), "{name}");
            assert!(is_not_regular(&open_itself(&at(name)).unwrap_err()), "{name}");
            assert!(is_not_regular(&append(&at(name), 0o600).unwrap_err()), "{name}");
            assert!(is_not_regular(&append_to(&at(name)).unwrap_err()), "{name}");
        }
        assert_eq!(open(&at("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_are_followed_where_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        symlink("file", at("link")).unwrap();
        assert_eq!(read(&at("link")).unwrap(), b"text");
        assert_eq!(read_itself(&at("file")).unwrap(), b"text");
        assert!(is_not_regular(&read_itself(&at("link")).unwrap_err()));
    }

    #[test]
    fn what_is_added_comes_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(append_to(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        append(&path, 0o600).unwrap().write_all(b"one").unwrap();
        append_to(&path).unwrap().write_all(b"two").unwrap();
        assert_eq!(read(&path).unwrap(), b"onetwo");
    }

    #[test]
    fn nothing_is_read_beyond_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_up_to(&path, 4).unwrap(), b"four");
        assert_eq!(read_up_to(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // One that grows while it is being read, as files below /proc seem to.
        assert_eq!(content(File::open(&path).unwrap(), 0, 4).unwrap(), b"four");
        assert_eq!(
            content(File::open(&path).unwrap(), 0, 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert!(!read_to_string(Path::new("/proc/self/status")).unwrap().is_empty());
    }

    #[test]
    fn writing_touches_nothing_that_has_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("victim"), "its own").unwrap();
        symlink("victim", at("link")).unwrap();
        std::fs::hard_link(at("victim"), at("second-name")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "second-name", "pipe", "new"] {
            write(&at(name), b"ours").unwrap();
            assert_eq!(std::fs::read(at(name)).unwrap(), b"ours", "{name}");
        }
        assert_eq!(std::fs::read(at("victim")).unwrap(), b"its own");
    }
}
