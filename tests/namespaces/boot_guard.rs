//! The boot guard where GRUB's menu can be made: update-grub is called, bounded, and what it made is looked at. It has a
//! stand-in here; tests/lab/boot-guard has the real one.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::whole_system::whole_system;
use dkms_hook::conf::model::Scripts;

const OLD: &str = "6.12.1-toy";
const NEW: &str = "6.13.0-toy";
const GRUB: &str = "/etc/default/grub.d/zz-dkms-hook-boot-guard.cfg";

pub const SCENARIOS: [(&str, fn()); 2] = [
    ("grubs_menu_is_made_again_and_checked", grubs_menu_is_made_again_and_checked),
    ("what_update_grub_could_not_do_is_tried_again", what_update_grub_could_not_do_is_tried_again),
];

/// A module that does not compile for the new kernel, or for every one.
fn zfs(works: bool) -> ToyModule {
    let check = if works { "exit 0\n" } else { "[ \"$1\" != 6.13.0-toy ]\n" };
    let scripts = Scripts { pre_build: Some("check.sh $kernelver".to_owned()), ..Scripts::default() };
    ToyModule::new("zfs", "1").executable("check.sh", &format!("#!/bin/sh\n{check}")).scripts(scripts)
}

/// Debian with GRUB and two kernels, for the newer of which ZFS, which is essential, cannot be built.
fn debian() -> FakeRoot {
    let root = whole_system();
    root.write("/boot/grub/grub.cfg", "");
    root.write("/etc/default/grub", "GRUB_DEFAULT=0\n");
    root.write("/etc/grub.d/10_linux", "$GRUB_TOP_LEVEL\n");
    root.write("/usr/sbin/grub-mkconfig", "/etc/default/grub.d\n");
    root.write_script(
        "/usr/sbin/update-grub",
        &format!(
            "#!/bin/sh\necho update-grub >>/var/log/toy-calls\n[ ! -e /etc/fails ] || exit 1\n\
             for file in /etc/default/grub.d/*.cfg; do [ ! -e $file ] || . $file; done\n\
             [ ! -e /etc/ignores ] || GRUB_TOP_LEVEL=\n\
             printf 'menuentry x {{\\n\\tlinux\\t%s ro\\n}}\\n' ${{GRUB_TOP_LEVEL:-/boot/vmlinuz-{NEW}}} >/boot/grub/grub.cfg\n"
        ),
    );
    for kernel in [OLD, NEW] {
        ToyKernel::new(kernel).install(&root);
        root.write(format!("/boot/vmlinuz-{kernel}"), "");
    }
    zfs(false).register(&root);
    root.hook(&["essential", "zfs"]).expect(0);
    root.take_calls();
    root
}

/// How often GRUB's menu was made since the last question.
fn menus(root: &FakeRoot) -> usize {
    root.take_calls().iter().filter(|call| call.as_str() == "update-grub").count()
}

fn starts(root: &FakeRoot) -> String {
    let menu = root.read("/boot/grub/grub.cfg");
    menu.split_whitespace().find(|word| word.starts_with("/boot/vmlinuz-")).unwrap_or_default().to_owned()
}

fn grubs_menu_is_made_again_and_checked() {
    let root = debian();
    root.hook(&[]).expect(11).says(&format!("GRUB starts {OLD}: {GRUB}"));
    assert_eq!((menus(&root), starts(&root)), (1, format!("/boot/vmlinuz-{OLD}")));
    root.hook(&[]).expect(11).says("is the one to boot");
    assert_eq!(menus(&root), 0);
    zfs(true).write_source(&root);
    root.hook(&[]).expect(0).says("boot guard: over");
    assert_eq!((menus(&root), starts(&root)), (1, format!("/boot/vmlinuz-{NEW}")));
    assert!(!root.exists(GRUB));
}

fn what_update_grub_could_not_do_is_tried_again() {
    let root = debian();
    root.write("/etc/fails", "");
    root.hook(&[]).expect(11).says("update-grub ended with status 1").says("the next run tries again");
    assert_eq!(menus(&root), 1);
    std::fs::remove_file(root.path("/etc/fails")).unwrap();
    // A menu in which another kernel comes first is no success.
    root.write("/etc/ignores", "");
    root.hook(&[]).expect(11).says(&format!("update-grub did not make {OLD} the first entry"));
    std::fs::remove_file(root.path("/etc/ignores")).unwrap();
    root.hook(&[]).expect(11).says(&format!("GRUB starts {OLD}"));
    assert_eq!((menus(&root), starts(&root)), (2, format!("/boot/vmlinuz-{OLD}")));
    // It fails when the file is gone: the menu is made by the next run.
    zfs(true).write_source(&root);
    root.write("/etc/fails", "");
    root.hook(&[]).expect(11).says("update-grub ended with status 1");
    std::fs::remove_file(root.path("/etc/fails")).unwrap();
    root.hook(&[]).says("boot guard: over");
    assert_eq!((menus(&root), starts(&root)), (2, format!("/boot/vmlinuz-{NEW}")));
    root.hook(&[]).does_not_say("boot guard");
    assert_eq!(menus(&root), 0);
}
