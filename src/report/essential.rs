//! `dkms-hook essential`.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::model::essential::Proposal;
use crate::model::ids::ModuleName;
use crate::model::settings::Settings;

/// What is essential and who said so; what is proposed, and why.
pub fn render(settings: &Settings, proposals: &[Proposal]) -> String {
    let essential = &settings.essential;
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = match essential.is_empty() {
        true => writeln!(text, "No module is essential."),
        false => writeln!(text, "Essential: {} ({})", **essential, essential.origin),
    };
    if !essential.is_empty() && !*settings.boot_guard {
        let _ = writeln!(text, "The boot guard is off: boot_guard=no ({})", settings.boot_guard.origin);
    }
    let new: BTreeSet<&ModuleName> =
        proposals.iter().map(|proposal| &proposal.module).filter(|name| !essential.contains(name)).collect();
    for proposal in proposals {
        let Proposal { module, driver, because } = proposal;
        let word = if essential.contains(module) { "Needed" } else { "Proposed" };
        let of = if driver == module.as_str() { String::new() } else { format!(" (its module {driver})") };
        let _ = writeln!(text, "{word}: {module}{of}: {because}");
    }
    if !new.is_empty() {
        let names: Vec<&str> = new.into_iter().map(ModuleName::as_str).collect();
        let _ = writeln!(text, "Confirm with: dkms-hook essential {}", names.join(" "));
    }
    text
}
