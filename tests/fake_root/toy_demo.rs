//! The toy half of `make demo` is a demonstration only while it shows the main job: it checks that itself.

use std::path::Path;
use std::process::Command;

#[test]
fn the_toy_demonstration_shows_the_main_job() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/toy");
    let output = Command::new(script).arg(env!("CARGO_BIN_EXE_dkms-hook")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("Done."), "\n--- out\n{out}\n--- err\n{err}");
}
