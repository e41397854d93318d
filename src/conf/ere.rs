//! POSIX extended regular expressions, by the C library: the one that bash's `=~` uses, so that a
//! pattern in a conf means the same to us.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

use nix::libc;

/// A compiled expression. Matching is unanchored and knows no locale but C.
pub struct Ere(libc::regex_t);

impl Ere {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What the C library says is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let pattern = CString::new(pattern).map_err(|_| "it contains a NUL".to_owned())?;
        let mut regex = MaybeUninit::<libc::regex_t>::zeroed();
        // SAFETY: `regex` is memory for a regex_t and `pattern` a NUL-terminated string; both outlive
        // the call, which keeps no pointer to the pattern.
        let code = unsafe {
            libc::regcomp(regex.as_mut_ptr(), pattern.as_ptr(), libc::REG_EXTENDED | libc::REG_NOSUB)
        };
        if code == 0 {
            // SAFETY: regcomp returned success, so it has initialised the whole structure.
            return Ok(Self(unsafe { regex.assume_init() }));
        }
        let mut text = [0u8; 128];
        // SAFETY: the buffer is writable for the length given and zeroed, so it stays terminated;
        // regerror accepts the regex_t of a failed regcomp.
        unsafe { libc::regerror(code, regex.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
        Err(CStr::from_bytes_until_nul(&text).map_or(String::new(), |t| t.to_string_lossy().into_owned()))
    }

    /// Whether the expression is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        let Ok(text) = CString::new(text) else { return false };
        // SAFETY: `self.0` was compiled by regcomp and not freed; the string is NUL-terminated; with
        // REG_NOSUB and a length of 0 the null pointer for matches is not used.
        unsafe { libc::regexec(&self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Ere {
    fn drop(&mut self) {
        // SAFETY: compiled by regcomp, freed once, here.
        unsafe { libc::regfree(&mut self.0) }
    }
}

/// Whether `pattern` is found in `text`; a pattern that is not an expression is found nowhere.
pub fn found(pattern: &str, text: &str) -> bool {
    Ere::new(pattern).is_ok_and(|ere| ere.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_extended_and_unanchored() {
        assert!(found("^(5\\.[0-9]+\\.|[6-9]\\.)", "6.12.107+deb13-amd64"));
        assert!(!found("^(5\\.[0-9]+\\.|[6-9]\\.)", "4.19.0"));
        assert!(found("deb1[23]", "6.12.107+deb13-amd64"));
        assert!(found("amd64$", "6.12.107+deb13-amd64"));
        assert!(!found("REQUIRES CONFIG_USB_HID", "6.12"));
        assert!(found("", "anything"));
    }

    #[test]
    fn a_broken_pattern_says_why_and_matches_nothing() {
        let why = Ere::new("(5\\.").err().expect("unbalanced");
        assert!(!why.is_empty(), "{why}");
        assert!(!found("(5\\.", "(5."));
        assert!(Ere::new("a\0b").is_err());
    }
}
