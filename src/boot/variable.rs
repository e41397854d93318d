//! Variables by which a boot loader and the system tell each other things (systemd's Boot Loader Interface).

use crate::fs::regular;
use crate::fs::root::Root;

/// The identity of these variables.
pub(super) const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// A variable of the Boot Loader Interface: UTF-16 behind four bytes of attributes. Only a machine that runs has any.
pub(super) fn variable(root: &Root, name: &str) -> Option<String> {
    if root.is_slash() && root.is_foreign() {
        return None;
    }
    let file = root.path(format!("/sys/firmware/efi/efivars/{name}-{VENDOR}"));
    let bytes = regular::read_up_to(&file, 1 << 16).ok()?;
    let units: Vec<u16> =
        bytes.get(4..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16_lossy(&units);
    Some(text.trim_end_matches('\0').to_owned()).filter(|text| !text.is_empty())
}
