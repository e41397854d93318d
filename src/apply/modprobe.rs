//! Loading modules right after they were installed, where somebody asked for that.

use std::collections::BTreeSet;

use crate::fs::regular;
use crate::model::settings::Limit;
use crate::process::{Output, Process, ProcessError};
use crate::progress::Report;
use crate::tree::layout::Layout;

/// Arguments of one call: far below what the system allows.
const AT_ONCE: usize = 500;

/// Lets modprobe(8) load what the machine's devices ask for, and systemd what its lists name. Nothing
/// fails when a module cannot be loaded: it is installed, and loaded at the next start. Each program may take so long.
pub fn run(layout: &Layout, limit: Limit, report: &dyn Report) {
    let aliases: Vec<String> = aliases(layout).into_iter().collect();
    report.begin("Loading modules for the devices of this machine");
    let mut status = 0;
    for some in aliases.chunks(AT_ONCE) {
        // Modules that the kernel has built in, or that nobody has, are no failure (-q), and a
        // blacklist is heeded (-b).
        let modprobe = Process::new("modprobe").args(["-a", "-b", "-q"]).args(some).within(limit);
        match modprobe.run(Output::Null) {
            Ok(_) => {}
            Err(ProcessError::Missing { .. }) => status = 127,
            Err(error) => {
                report.warning(&error.to_string());
                status = 126;
            }
        }
    }
    report.end(status);
    const UNIT: &str = "systemd-modules-load.service";
    if layout.root.path("/lib/systemd/system").join(UNIT).is_file() {
        let restarted = Process::new("systemctl").args(["restart", UNIT]).within(limit).run(Output::Null);
        if !matches!(restarted, Ok(0)) {
            report.warning(&format!("{UNIT} could not be restarted; it runs at the next boot"));
        }
    }
}

/// What devices say of themselves (`/sys/devices/**/modalias`), each text once.
fn aliases(layout: &Layout) -> BTreeSet<String> {
    walkdir::WalkDir::new(layout.root.path("/sys/devices"))
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_name() == "modalias" && entry.file_type().is_file())
        .filter_map(|entry| regular::read_to_string(entry.path()).ok())
        .map(|text| text.trim_end().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn every_alias_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        for (place, text) in
            [("pci0/a", "pci:v1\n"), ("pci0/b", "pci:v1\n"), ("usb", "usb:v2\n"), ("none", "")]
        {
            let dir = layout.root.path("/sys/devices").join(place);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("modalias"), text).unwrap();
        }
        assert_eq!(aliases(&layout).into_iter().collect::<Vec<_>>(), ["pci:v1", "usb:v2"]);
    }
}
