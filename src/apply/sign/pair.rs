//! Making a key pair where there is none.

use std::path::Path;
use std::sync::Mutex;

use super::run;
use crate::fs::root::Root;
use crate::fs::{regular, temporary};
use crate::kernel::Pair;
use crate::model::settings::Limit;
use crate::process::Process;
use crate::tree::half_pair::{self, CERTIFICATE, KEY, PREFIX};
use crate::trust::firmware::{Firmware, SecureBoot};

/// Where keys are made: one at a time, or two builds would each make a pair.
static KEY_MAKING: Mutex<()> = Mutex::new(());

/// Makes the pair unless it is there; each program may take so long. With `may_ask`, Ubuntu's tool may go on to ask for its
/// enrolment at the terminal, where shim would ask for it at the next start; everywhere else that is for the person to start.
///
/// # Errors
/// Why there is still none.
pub fn make(pair: &Pair, may_ask: bool, limit: Limit) -> Result<(), String> {
    let _one_at_a_time = KEY_MAKING.lock().unwrap_or_else(|e| e.into_inner());
    let there = || Path::new(&pair.key).is_file() && pair.certificate.is_file();
    if there() {
        return Ok(());
    }
    if !pair.is_shims() {
        return by_openssl(pair, limit);
    }
    run(&policy_tool("--new-key").without_terminal().within(limit))?;
    if !there() {
        return Err(format!("update-secureboot-policy created no key {}", pair.shown.0));
    }
    if may_ask && shim_would_ask() {
        // It asks for a password that the firmware will ask for again.
        let enroll = policy_tool("--enroll-key").stdin("/dev/tty");
        match enroll.run(crate::process::Output::Inherit) {
            Ok(0) => {}
            other => log::warn!("update-secureboot-policy --enroll-key did not succeed ({other:?})"),
        }
    }
    Ok(())
}

/// Whether a request for shim has an effect: it is this machine's firmware that the tool writes to.
fn shim_would_ask() -> bool {
    let firmware = Firmware::of(&Root::host());
    firmware.state() == SecureBoot::On && firmware.has_shim()
}

fn policy_tool(option: &str) -> Process {
    // Without the variable it would start a trigger that builds modules.
    Process::new("update-secureboot-policy").arg(option).env("SHIM_NOTRIGGER", "y")
}

/// RSA-2048, self-signed, no passphrase, for code signing: what DKMS makes. Both files appear
/// complete or not at all.
fn by_openssl(pair: &Pair, limit: Limit) -> Result<(), String> {
    let dir = pair.certificate.parent().unwrap_or(Path::new("/"));
    let failed = |what: &str, e: std::io::Error| format!("cannot {what} {}: {e}", dir.display());
    std::fs::create_dir_all(dir).map_err(|e| failed("create", e))?;
    if let Some(dir) = Path::new(&pair.key).parent() {
        std::fs::create_dir_all(dir).map_err(|e| failed("create", e))?;
    }
    half_pair::remove(&pair.certificate).map_err(|e| failed("remove half a key pair from", e))?;
    // mktemp(3) names in the same directory, closed to others while the key is in it.
    let made = temporary::Dir::new(dir, PREFIX).map_err(|e| failed("make a directory in", e))?;
    let (key, certificate) = (made.path().join(KEY), made.path().join(CERTIFICATE));
    let openssl = Process::new("openssl")
        .args(["req", "-new", "-x509", "-nodes", "-days", "36500", "-newkey", "rsa:2048"])
        .args(["-subj", "/CN=DKMS module signing key", "-addext", "extendedKeyUsage=codeSigning"])
        .args(["-outform", "DER", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .without_terminal()
        .within(limit);
    run(&openssl)?;
    // In this order: see half_pair.
    place(&certificate, &pair.certificate)?;
    place(&key, Path::new(&pair.key)).inspect_err(|_| {
        // A certificate that nobody can have enrolled is no loss; half a pair would block signing.
        let _ = std::fs::remove_file(&pair.certificate);
    })
}

/// Gives a finished file its name, which must be free.
fn place(from: &Path, to: &Path) -> Result<(), String> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let linked = regular::open_itself(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::hard_link(from, to))
        .or_else(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Err(e),
            // Key and certificate may be kept on different file systems.
            _ => {
                let mode = std::fs::metadata(from)?.permissions().mode();
                let mut file = std::fs::File::options().write(true).create_new(true).mode(mode).open(to)?;
                let copied =
                    regular::open_itself(from).and_then(|mut from| std::io::copy(&mut from, &mut file));
                copied.and_then(|_| file.sync_all()).inspect_err(|_| {
                    // Half a file would look like half of a pair that somebody needs.
                    let _ = std::fs::remove_file(to);
                })
            }
        });
    linked.map_err(|e| format!("cannot create {}: {e}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_copied_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        // It can be opened, but neither be linked nor read.
        std::fs::create_dir(&from).unwrap();
        assert!(place(&from, &to).unwrap_err().contains("/to: "));
        assert!(!to.exists());
    }

    #[test]
    fn a_name_that_is_taken_stays_with_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("from"), "new").unwrap();
        std::fs::write(path("old"), "old").unwrap();
        // Not even one that leads nowhere is written through.
        std::os::unix::fs::symlink("elsewhere", path("link")).unwrap();
        for to in ["old", "link"] {
            assert!(place(&path("from"), &path(to)).is_err(), "{to}");
        }
        assert_eq!(std::fs::read_to_string(path("old")).unwrap(), "old");
        assert!(!path("elsewhere").exists());
    }
}
