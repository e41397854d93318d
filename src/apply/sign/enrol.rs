//! Asking shim to enrol a certificate at the next start: mokutil(1) leaves the request in a variable of the firmware, with
//! the digest of a password that shim asks the person at the machine for.

use std::fs::File;
use std::io::{Read, Write};

use super::run;
use crate::kernel::Pair;
use crate::model::settings::Limit;
use crate::process::{Process, find_program, not_found};
use crate::trust::pki::Certificate;

/// What a password is made of: letters that are in the same place on the keyboards of most countries, as shim knows
/// only one of them; and none that looks like another.
const LETTERS: &[u8] = b"bcdefghjknprstuvx";

/// The length of a password: 17 letters to choose from make 49 bits, for one try at a machine that somebody sits at.
const LENGTH: usize = 12;

/// A password for one use.
///
/// # Errors
/// When the kernel gives no random numbers.
pub fn password() -> std::io::Result<String> {
    // Of the 256 values of a byte, those above the last multiple are not used: each letter is as likely as another.
    let fair = LETTERS.len() * (256 / LETTERS.len());
    let mut random = File::open("/dev/urandom")?;
    let mut password = String::new();
    let mut byte = [0];
    while password.len() < LENGTH {
        random.read_exact(&mut byte)?;
        let value = usize::from(byte[0]);
        if value < fair {
            password.extend(LETTERS.get(value % LETTERS.len()).map(|letter| char::from(*letter)));
        }
    }
    Ok(password)
}

/// Leaves the request. Whether it is there afterwards is for the caller to see: mokutil's exit status does not say.
///
/// # Errors
/// Why it could not be left.
pub fn request(pair: &Pair, certificate: &Certificate, password: &str, limit: Limit) -> Result<(), String> {
    if find_program("mokutil").is_none() {
        return Err(format!("{}; install mokutil", not_found("mokutil")));
    }
    // The firmware wants DER.
    let mut converted = tempfile::NamedTempFile::new().map_err(|e| format!("no file can be made: {e}"))?;
    let path = match certificate.pem {
        false => pair.certificate.as_path(),
        true => {
            converted.write_all(&certificate.der).map_err(|e| format!("no file can be written: {e}"))?;
            converted.path()
        }
    };
    // It asks twice, and takes the answers from standard input.
    let asked = Process::new("mokutil").arg("--import").arg(path);
    run(&asked.without_terminal().input(format!("{password}\n{password}\n")).within(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_of_letters_that_every_keyboard_has() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_eq!(one.len(), LENGTH);
        assert!(one.bytes().all(|letter| LETTERS.contains(&letter)), "{one}");
        assert_ne!(one, other);
    }
}
