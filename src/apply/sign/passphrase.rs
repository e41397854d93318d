//! The passphrase of a signing key: sign-file and kmodsign take it from the environment, and only
//! from there.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Mutex;

use super::Environment;
use crate::kernel::Pair;
use crate::process::Process;

/// Where they look (scripts/sign-file.c of the kernel).
pub(super) const VARIABLE: &str = "KBUILD_SIGN_PIN";

/// What was typed, by key: nobody is asked twice by one command.
static TYPED: Mutex<Option<HashMap<String, OsString>>> = Mutex::new(None);

/// True when the key has a passphrase that the tools would not find.
pub(super) fn is_missing(pair: &Pair, environment: &Environment) -> bool {
    let set = environment.iter().rev().find(|(name, _)| name == VARIABLE).map(|(_, value)| value.clone());
    set.unwrap_or_else(|| std::env::var_os(VARIABLE)).is_none() && pair.has_passphrase()
}

/// Asks for the passphrase of a key.
///
/// # Errors
/// What to do where nobody can be asked.
pub(super) fn ask(pair: &Pair, may_ask: bool) -> Result<OsString, String> {
    let key = &pair.shown.0;
    if may_ask {
        let mut typed = TYPED.lock().unwrap_or_else(|e| e.into_inner());
        let typed = typed.get_or_insert_default();
        if let Some(known) = typed.get(&pair.key) {
            return Ok(known.clone());
        }
        if let Some(answer) = at_the_terminal(key) {
            typed.insert(pair.key.clone(), answer.clone());
            return Ok(answer);
        }
    }
    Err(format!(
        "the key {key} has a passphrase, and {VARIABLE} does not contain it; export it in that variable (for \
         hooks: in the file that build_environment in framework.conf names), and run `dkms-hook resign`"
    ))
}

/// Asks at the terminal. By bash, which puts the terminal's echo back whatever interrupts it.
fn at_the_terminal(key: &str) -> Option<OsString> {
    let read =
        "IFS= read -r -s -p \"$1\" answer </dev/tty 2>/dev/tty && echo >/dev/tty && printf %s \"$answer\"";
    let got = Process::bash(read).arg("bash").arg(format!("Passphrase of {key}: ")).capture().ok()?;
    (got.status == 0 && !got.stdout.is_empty()).then(|| OsString::from_vec(got.stdout))
}
