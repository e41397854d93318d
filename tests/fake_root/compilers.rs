//! Which compiler, linker and tools a build gets, by what the kernel's own files say.

use crate::support::program::Answer;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// A root with a kernel, these programs beside the machine's own (each stands for the real one of the
/// second name), and a module whose build notes its environment twice: its command has two parts.
fn root(kernel: &ToyKernel, programs: &[(&str, &str)]) -> FakeRoot {
    let root = FakeRoot::new();
    kernel.install(&root);
    root.dkms(&["status"]).expect(0);
    let noted = root.path("/var/log/toy-calls");
    for (name, real) in programs {
        let text = format!(
            "#!/bin/sh\necho \"${{0##*/}} $*\" >> {}\n\
             case $1 in -dump*) echo 12.3.4; exit ;; esac\nexec {real} \"$@\"\n",
            noted.display()
        );
        root.write_script(format!("/var/log/stand-ins/{name}"), &text);
    }
    let log = root.path("/var/log");
    let log = log.display();
    let first = format!("#!/bin/sh\nenv | sort > {log}/first\necho \"$@\" > {log}/first-words\n");
    let last =
        format!("#!/bin/sh\nenv | sort > {log}/last\nmake -C $1 M=$PWD\necho \"$@\" > {log}/last-words\n");
    ToyModule::new("hello", "1")
        .executable("first.sh", &first)
        .executable("last.sh", &last)
        .make("./first.sh $kernel_source_dir && ./last.sh $kernel_source_dir")
        .register(&root);
    root
}

/// The tools that both parts of the command were told of, as `NAME=value` in the order of the names.
fn told(root: &FakeRoot) -> Vec<String> {
    root.dkms(&["build", "hello/1", "-k", K]).expect(0);
    let tools = |file: &str| {
        let names = ["CC", "KERNEL_CC", "LD", "KERNEL_LD", "LLVM"];
        let text = root.read(format!("/var/log/{file}"));
        let is_tool = |line: &&str| line.split_once('=').is_some_and(|(name, _)| names.contains(&name));
        text.lines().filter(is_tool).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tools("first"), tools("last"));
    tools("last")
}

/// What was appended to the command: its last part, after the directory.
fn appended(root: &FakeRoot) -> String {
    assert!(!root.read("/var/log/first-words").contains("LLVM"));
    let words = root.read("/var/log/last-words");
    words.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn refused(root: &FakeRoot) -> Answer {
    root.dkms(&["build", "hello/1", "-k", K]).expect(10)
}

fn clang(kernel: ToyKernel) -> ToyKernel {
    kernel.config("CONFIG_CC_IS_CLANG=y").config("CONFIG_CC_VERSION_TEXT=\"Debian clang version 19.1.7\"")
}

#[test]
fn the_compiler_that_built_the_kernel() {
    let kernel = ToyKernel::new(K).compiler("gcc-7");
    let root = root(&kernel, &[("gcc-7", "gcc")]);
    assert_eq!(told(&root), ["CC=gcc-7", "KERNEL_CC=gcc-7"]);
    assert_eq!(appended(&root), "");
    let calls = root.take_calls();
    assert!(calls.iter().any(|call| call.starts_with("gcc-7 -dump")), "{calls:?}");
    // Another version of it is another build.
    let text = root.read("/var/log/stand-ins/gcc-7").replace("12.3.4", "12.9.9");
    root.write_script("/var/log/stand-ins/gcc-7", &text);
    root.write("/usr/src/hello-1/notes", "looked at again");
    root.dkms(&["build", "hello/1", "-k", K]).expect(0);
    let record = root.read(format!("/var/lib/dkms/hello/1/{K}/x86_64/.dkms-hook.json"));
    assert!(record.contains("gcc-7 12.9.9"), "{record}");
}

#[test]
fn a_compiler_that_is_not_here_is_made_up_for_by_the_default_one() {
    let root = root(&ToyKernel::new(K).compiler("gcc-6-none"), &[]);
    assert_eq!(told(&root), [""; 0]);
    let log = root.dkms(&["build", "hello/1", "-k", K, "--force"]).expect(0);
    log.says("the kernel was built with gcc-6-none; gcc-6-none was not found in ");
}

#[test]
fn what_the_headers_insist_on() {
    let kernel = ToyKernel::new(K).insists_on("x86_64-linux-gnu-gcc-7").compiler("gcc-7");
    let both = [("x86_64-linux-gnu-gcc-7", "gcc"), ("gcc-7", "gcc")];
    assert_eq!(told(&root(&kernel, &both[..1])), ["CC=x86_64-linux-gnu-gcc-7"]);
    assert_eq!(told(&root(&kernel, &both)), ["CC=gcc-7", "KERNEL_CC=gcc-7"], "the configuration comes after");
    let kernel = ToyKernel::new(K).insists_on("x86_64-linux-gnu-gcc-99");
    refused(&root(&kernel, &[])).says("x86_64-linux-gnu-gcc-99").says("apt install gcc-99");
}

#[test]
fn clang_with_all_that_goes_with_it() {
    let kernel = clang(ToyKernel::new(K)).config("CONFIG_LD_IS_LLD=y");
    let tools = [("clang", "gcc"), ("ld.lld", "ld"), ("llvm-strip", "strip")];
    let full = root(&kernel, &tools);
    assert_eq!(told(&full), ["CC=clang", "KERNEL_CC=clang", "KERNEL_LD=ld.lld", "LD=ld.lld", "LLVM=1"]);
    assert_eq!(appended(&full), "LLVM=1");
    let calls = full.take_calls();
    assert!(calls.iter().any(|call| call.starts_with("llvm-strip -g ")), "{calls:?}");

    let without_lld = root(&kernel, &[tools[0], tools[2], ("ld.lld-none", "ld")]);
    if dkms_hook::process::find_program("ld.lld").is_none() {
        assert_eq!(told(&without_lld), ["CC=clang", "KERNEL_CC=clang", "LLVM=1"]);
    }
    if dkms_hook::process::find_program("clang").is_none() {
        refused(&root(&kernel, &[])).says("clang").says("apt install clang");
    }
}

#[test]
fn gcc_is_stripped_by_its_own_tool() {
    let root = root(
        &ToyKernel::new(K).compiler("gcc-7"),
        &[("gcc-7", "gcc"), ("strip", "/usr/bin/strip"), ("llvm-strip", "strip")],
    );
    told(&root);
    let calls = root.take_calls();
    assert!(calls.iter().any(|call| call.starts_with("strip -g ")), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("llvm-strip ")), "{calls:?}");
}

/// A vmlinux beside the headers is what really was built, whatever the configuration says.
#[test]
fn a_kernel_image_beside_the_headers_says_by_whom_it_was_made() {
    let vmlinux = |root: &FakeRoot, maker: &str| {
        let source = root.write("/root/v.s", format!(".section .comment\n.string \"{maker}\"\n"));
        let object = root.path(format!("/usr/src/linux-headers-{K}/vmlinux"));
        let mut command = std::process::Command::new("gcc");
        assert!(command.arg("-c").arg(&source).arg("-o").arg(object).status().unwrap().success());
    };
    let by_clang = root(&ToyKernel::new(K), &[]);
    vmlinux(&by_clang, "Debian clang version 19.1.7");
    assert!(told(&by_clang).contains(&"LLVM=1".to_owned()));
    assert_eq!(appended(&by_clang), "LLVM=1");
    let by_gcc = root(&clang(ToyKernel::new(K)), &[("clang", "gcc"), ("llvm-strip", "strip")]);
    vmlinux(&by_gcc, "GCC: (Debian 14.2.0-19) 14.2.0");
    assert_eq!(told(&by_gcc), ["CC=clang", "KERNEL_CC=clang"]);
    assert_eq!(appended(&by_gcc), "");
}

/// The stand-in of a Rust compiler of this version.
fn rustc(root: &FakeRoot, version: &str) {
    let text = format!("#!/bin/sh\necho 'rustc {version} (4d91de4e4 2025-02-17)'\n");
    root.write_script("/var/log/stand-ins/rustc", &text);
    // The search path of this test is none that is looked at; that file is.
    root.write("/etc/dkms/framework.conf", format!("# {version}\n"));
}

/// What a kernel's own build tree has for modules in Rust.
fn rust_crates(root: &FakeRoot) {
    root.write(format!("/usr/src/linux-headers-{K}/rust/libkernel.rmeta"), "");
}

// linux-headers-7.2.13+deb14-amd64: CONFIG_RUST=y, no rust/, no scripts/target.json. With the right rustc:
// "target file … does not exist".
#[test]
fn headers_without_rust_are_no_trouble_of_the_compiler() {
    let root = FakeRoot::new();
    ToyKernel::new(K).config("CONFIG_RUST=y").install(&root);
    root.dkms(&["status"]).expect(0);
    ToyModule::new("oxide", "1").file("oxide.rs", "use kernel::prelude::*;\n").register(&root);
    let why = format!(
        "the headers of kernel {K} have nothing to build it with: there is no /usr/src/linux-headers-{K}/rust"
    );
    root.hook(&[]).expect(11).says(&why).says("no compiler helps").does_not_say("install");
    // Said for good, and not tried again by each run.
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out.matches("would build").count(), 0);
    root.hook(&["status"]).expect(1).says(&why);
    root.hook(&[]).expect(11).says("failed before");
    // A compiler that comes is another input, and ends the same way.
    rustc(&root, "1.97.1");
    root.hook(&[]).expect(11).says(&why);
    assert!(root.take_make_calls().is_empty());
    // Other headers are another matter.
    rust_crates(&root);
    root.write(
        format!("/usr/src/linux-headers-{K}/include/generated/utsversion.h"),
        "#define UTS_VERSION \"#2\"\n",
    );
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
}

#[test]
fn a_rust_compiler_counts_for_modules_in_rust_on_kernels_that_support_it() {
    let root = FakeRoot::new();
    ToyKernel::new(K).config("CONFIG_RUST=y").install(&root);
    rust_crates(&root);
    ToyKernel::new("6.1.0-old").install(&root);
    root.dkms(&["status"]).expect(0);
    ToyModule::new("plain", "1").file("tool/main.rs", "fn main() {}\n").register(&root);
    ToyModule::new("oxide", "1").file("oxide.rs", "use kernel::prelude::*;\n").register(&root);
    rustc(&root, "1.85.0");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 4);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&["why", "oxide", "-k", K]).expect(0).says(", rustc 1.85.0");

    rustc(&root, "1.86.0");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let builds: Vec<&str> = dry.lines().filter(|line| line.starts_with("would build")).collect();
    let reason = "the compiler changed from rustc 1.85.0 to rustc 1.86.0";
    assert_eq!(builds, [format!("would build oxide/1 for {K}: {reason}")], "{dry}");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
}

#[test]
fn without_the_rust_compiler_modules_in_rust_wait_for_it() {
    if dkms_hook::process::find_program("rustc").is_some_and(|path| path.starts_with("/usr")) {
        eprintln!("skipped: rustc is installed here");
        return;
    }
    let root = FakeRoot::new();
    let version = "CONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.0 (4d91de4e4 2025-02-17)\"";
    ToyKernel::new(K).config("CONFIG_RUST=y").config(version).install(&root);
    rust_crates(&root);
    root.dkms(&["status"]).expect(0);
    ToyModule::new("oxide", "1").file("oxide.rs", "use kernel::prelude::*;\n").register(&root);
    root.hook(&[]).expect(11).says("rustc was not found in ").says("was built with rustc 1.85.0");
    assert!(root.take_make_calls().is_empty());
    rustc(&root, "1.85.0");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    // What was built stays right while the compiler is away.
    std::fs::remove_file(root.path("/var/log/stand-ins/rustc")).unwrap();
    root.write("/etc/dkms/framework.conf", "# another look\n");
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}
