//! Sources that ask the machine which kernel is running: they are built for the one that is asked for.

use std::process::Command;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::conf::model::Scripts;

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// What the machine's own `uname` says.
fn machine(options: &[&str]) -> String {
    let got = Command::new("uname").args(options).output().unwrap();
    String::from_utf8(got.stdout).unwrap()
}

/// A module whose Makefile looks for its kernel as many do.
fn asking(root: &FakeRoot) -> ToyModule {
    let makefile = format!(
        "ifneq ($(M),)\nobj-m := asks.o\nelse\nKVER ?= $(shell uname -r)\nKDIR := {}/usr/src/linux-headers-$(KVER)\n\
         all:\n\tuname -a > {}/uname-$(KVER)\n\t$(MAKE) -C $(KDIR) M=$(CURDIR)\nendif\n",
        root.layout.root.dir().display(),
        root.path("/var/log").display()
    );
    ToyModule::new("asks", "1").make("make all").file("Makefile", &makefile)
}

#[test]
fn a_makefile_that_asks_uname_builds_for_the_kernel_that_is_asked_for() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyKernel::new(K2).install(&root);
    asking(&root).register(&root);
    // No test if one of them runs here.
    assert!(![K, K2].contains(&machine(&["-r"]).trim()));
    root.hook(&[]).expect(0);
    for kernel in [K, K2] {
        let file = root.path(format!("/lib/modules/{kernel}/updates/dkms/asks.ko"));
        let info = dkms_hook::elf::modinfo(&file).unwrap();
        assert_eq!(info.kernel(), Some(kernel));
        let all = machine(&["-a"]).replacen(machine(&["-r"]).trim(), kernel, 1);
        assert_eq!(root.read(format!("/var/log/uname-{kernel}")), all, "the rest is the machine's");
    }
    let left = root.names("/var/lib/dkms/.dkms-hook");
    assert!(!left.iter().any(|name| name.starts_with(".tmp")), "{left:?}");
}

#[test]
fn scripts_of_a_build_ask_the_same_and_those_of_an_installation_the_machine() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let noting = |name: &str| {
        let log = root.path(format!("/var/log/{name}"));
        format!("#!/bin/sh\n(uname -r; uname -m; uname --kernel-release --machine) > {}\n", log.display())
    };
    let name = |script: &str| Some(script.to_owned());
    let scripts = Scripts {
        pre_build: name("pre_build"),
        post_build: name("post_build"),
        post_install: name("post_install"),
        ..Scripts::default()
    };
    let mut module = ToyModule::new("hello", "1").scripts(scripts);
    for script in ["pre_build", "post_build", "post_install"] {
        module = module.executable(script, &noting(script));
    }
    module.register(&root);
    root.hook(&[]).expect(0);
    let arch = machine(&["-m"]);
    for script in ["pre_build", "post_build"] {
        assert_eq!(root.read(format!("/var/log/{script}")), format!("{K}\n{arch}{K} {arch}"), "{script}");
    }
    // It may want to load the module, if that kernel runs.
    let own = format!("{}{arch}{}", machine(&["-r"]), machine(&["-rm"]));
    assert_eq!(root.read("/var/log/post_install"), own);
}

#[test]
fn a_path_of_the_administrators_build_environment_stays_and_comes_after() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let tools = root.write_script("/opt/tools/uname", "#!/bin/sh\necho wrong\n");
    let tools = tools.parent().unwrap().display().to_string();
    root.write_script("/opt/tools/own-tool", "#!/bin/sh\nexit 0\n");
    root.write("/etc/build-env", format!("export PATH=\"$PATH:{tools}\"\n"));
    root.write("/etc/dkms/framework.conf", "build_environment=/etc/build-env\n");
    let log = root.path("/var/log/path");
    let check = format!("#!/bin/sh\nown-tool && uname -r > {}\n", log.display());
    let scripts = Scripts { pre_build: Some("check".into()), ..Scripts::default() };
    ToyModule::new("hello", "1").scripts(scripts).executable("check", &check).register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.read("/var/log/path"), format!("{K}\n"));
}
