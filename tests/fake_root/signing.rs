//! Keys and signatures with the real program, the real openssl, and modules that are really
//! compiled: making a pair, and changing it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::program::{Answer, Face, finish};
use crate::support::signing::{CERTIFICATE, INSTALLED, K, K2, KEY};
use crate::support::toy_kernel::FakeRoot;
use dkms_hook::elf;
use dkms_hook::kernel::Checked;

fn root() -> FakeRoot {
    crate::support::signing::root()
}

/// The same, installed for both.
fn installed() -> FakeRoot {
    let root = root();
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_sign_calls().len(), 4);
    root.take_calls();
    root
}

fn new_key(root: &FakeRoot) {
    root.write_pair(KEY, CERTIFICATE, None);
}

/// Built and installed files bear the present key's signature, and are the same.
#[track_caller]
fn signed_with_the_present_key(root: &FakeRoot) {
    for (kernel, suffix) in [(K, ".xz"), (K2, "")] {
        for name in ["hello", "world"] {
            let built = format!("/var/lib/dkms/hello/1.0/{kernel}/x86_64/module/{name}.ko{suffix}");
            let installed = format!("/lib/modules/{kernel}/updates/dkms/{name}.ko{suffix}");
            assert_eq!(root.checked(&built, CERTIFICATE, "sha256"), Checked::Good, "{built}");
            assert_eq!(root.module(&installed), root.module(&built));
            // One signature, not one behind another.
            let module = root.module(&built);
            assert!(!elf::has_signature(elf::without_signature(&module)));
        }
    }
}

#[test]
fn what_came_signed_by_another_machine_is_told_and_signed_on_request() {
    let from = installed();
    from.dkms(&["mktarball", "hello/1.0", "--all", "--archive", "x.tar.gz"]).expect(0);
    let file = from.path("/var/lib/dkms/hello/1.0/tarball/x.tar.gz").display().to_string();
    let to = || {
        let to = root();
        to.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
        new_key(&to);
        to
    };
    let other = to();
    other.dkms(&["ldtarball", &file]).expect(0).says("dkms-hook resign hello/1.0");
    other.hook(&[]).expect(0);
    assert!(other.take_make_calls().is_empty() && other.take_sign_calls().is_empty());
    other.hook(&["resign", "hello/1.0"]).expect(0);
    assert_eq!(other.take_sign_calls().len(), 4);
    signed_with_the_present_key(&other);
    in_line(&other);
    // With the same key there is nothing to say.
    let same = to();
    for name in [KEY, CERTIFICATE] {
        same.write(name, fs::read(from.path(name)).unwrap());
    }
    same.dkms(&["ldtarball", &file]).expect(0).does_not_say("resign");
    same.hook(&[]).expect(0);
    signed_with_the_present_key(&same);
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_sign_calls().is_empty());
    root.take_calls();
}

// --- generate_mok

#[test]
fn generate_mok_makes_a_pair_once() {
    let root = root();
    let answer = root.dkms(&["generate_mok"]).expect(0);
    let lines = "Signing key: /var/lib/dkms/mok.key\nPublic certificate (MOK): /var/lib/dkms/mok.pub\n";
    assert!(answer.out.starts_with(lines), "{}", answer.out);
    assert_eq!(fs::metadata(root.path(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(root.path(CERTIFICATE)).unwrap()[0], 0x30, "DER");
    let before = root.snapshot();
    assert_eq!(root.dkms(&["generate_mok"]).expect(0).out, lines);
    root.assert_untouched(&before);
    root.hook(&[]).expect(0);
    signed_with_the_present_key(&root);
}

#[test]
fn whoever_cannot_make_a_pair_is_told_so_before_anything_else() {
    use std::os::unix::process::CommandExt;
    let root = root();
    // The tests may run as root, whom no mode keeps out.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("dkms");
    fs::copy(env!("CARGO_BIN_EXE_dkms-hook"), &program).unwrap();
    for dir in [dir.path(), root.layout.root.dir()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let is_root = nix::unistd::geteuid().is_root();
    let generate = || {
        let mut command = std::process::Command::new(&program);
        command.arg("generate_mok").env("DKMS_HOOK_ROOT", root.layout.root.dir()).current_dir("/");
        if is_root {
            command.uid(65534).gid(65534);
        }
        finish(&mut command)
    };
    let tree = root.path("/var/lib/dkms");
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o555)).unwrap();
    let answer = generate().expect(1).says("no signing key yet").says("as root");
    assert_eq!(answer.out, "");
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
    // One that is there anybody may ask for.
    root.dkms(&["generate_mok"]).expect(0);
    generate().expect(0).says("/var/lib/dkms/mok.key");
}

#[test]
fn generate_mok_uses_the_places_of_framework_conf() {
    let root = root();
    root.write(
        "/etc/dkms/framework.conf",
        "mok_signing_key=/etc/keys/\"$kernelver\".key\nmok_certificate='/etc/keys/$kernelver.der'\n",
    );
    root.dkms(&["generate_mok", "-k", K]).expect(0).says(&format!("Signing key: /etc/keys/{K}.key\n"));
    assert_eq!(root.names("/etc/keys"), [format!("{K}.der"), format!("{K}.key")]);
    assert!(!root.exists(KEY));
}

#[test]
fn half_a_pair_that_a_killed_run_left_is_made_anew() {
    for command in [["generate_mok"].as_slice(), &["install", "hello/1.0", "-k", K]] {
        let root = root();
        root.dkms(&["generate_mok"]).expect(0);
        let first = std::fs::read(root.path(CERTIFICATE)).unwrap();
        // As between the two links.
        let workshop = root.path("/var/lib/dkms/.mok-AbCdEf");
        std::fs::create_dir(&workshop).unwrap();
        std::fs::hard_link(root.path(CERTIFICATE), workshop.join("certificate")).unwrap();
        std::fs::rename(root.path(KEY), workshop.join("key")).unwrap();
        // No process has this number (proc_sys_kernel(5), pid_max).
        root.write("/var/lib/dkms/.dkms-hook/lock", "4194305\n");

        root.dkms(command).expect(0);
        assert!(root.exists(KEY) && std::fs::read(root.path(CERTIFICATE)).unwrap() != first);
        assert!(!workshop.exists());
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        assert!(elf::has_signature(&root.module(INSTALLED)));
    }
}

#[test]
fn half_a_pair_is_an_error_and_stays() {
    for (half, missing) in [(KEY, CERTIFICATE), (CERTIFICATE, KEY)] {
        let root = root();
        root.write(half, "enrolled");
        let before = root.snapshot();
        let answer = root.dkms(&["generate_mok"]).expect(1).says(missing).says(half);
        assert!(answer.out.contains("Signing key: ") && answer.err.contains("missing"));
        root.assert_untouched(&before);
        // A build goes on without, and says so.
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("not signed").says(missing);
        assert_eq!(root.read(half), "enrolled");
        assert!(!root.exists(missing) && !elf::has_signature(&root.module(INSTALLED)));
    }
}

#[test]
fn an_openssl_that_fails_leaves_nothing() {
    let root = root();
    let openssl = root.write_script("/opt/openssl", "#!/bin/sh\necho no entropy >&2\nexit 3\n");
    let before = root.names("/var/lib/dkms");
    let mut command = root.program(Face::Dkms);
    let path = format!("{}:{}", openssl.parent().unwrap().display(), root.search_path());
    finish(command.arg("generate_mok").env("PATH", path)).expect(1).says("no entropy");
    assert!(!root.exists(KEY) && !root.exists(CERTIFICATE));
    let left: Vec<String> = root.names("/var/lib/dkms").into_iter().filter(|n| n != ".dkms-hook").collect();
    assert_eq!(left, before);
}

#[test]
fn a_module_without_its_signature_is_a_failure_until_it_has_one() {
    let root = root();
    let openssl = root.write_script("/opt/openssl", "#!/bin/sh\necho no entropy >&2\nexit 3\n");
    let path = format!("{}:{}", openssl.parent().unwrap().display(), root.search_path());
    finish(root.program(Face::Hook).env("PATH", path)).expect(11).says("no entropy");
    assert!(!root.exists(KEY) && !elf::has_signature(&root.module(INSTALLED)), "it may load all the same");
    let again = format!("dkms-hook resign hello/1.0 -k {K}");
    root.hook(&["status"]).expect(1).says("built without a signature").says("no entropy").says(&again);
    root.take_make_calls();
    root.hook(&[]).expect(11).says(&again);
    assert!(root.take_make_calls().is_empty(), "another build would be no better");

    root.hook(&["resign"]).expect(0);
    assert!(root.exists(KEY) && elf::has_signature(&root.module(INSTALLED)));
    root.take_sign_calls();
    in_line(&root);

    // Nobody hears of a hook's exit status: its summary says so.
    let root = self::root();
    let openssl = root.write_script("/opt/openssl", "#!/bin/sh\necho no entropy >&2\nexit 3\n");
    let path = format!("{}:{}", openssl.parent().unwrap().display(), root.search_path());
    let mut hook = root.program(Face::Hook);
    hook.args(["deb", "kernel-postinst", K]).env("DEB_MAINT_PARAMS", "configure").env("PATH", &path);
    finish(&mut hook).expect(0);
    let told = root.deb("summary", "", "").expect(0);
    assert!(told.err.contains("no entropy") && told.err.contains(&again), "{}", told.err);
}

#[test]
fn a_setting_in_the_environment_is_not_heeded_and_that_is_said() {
    let root = root();
    let mut command = root.program(Face::Dkms);
    command.args(["install", "hello/1.0", "-k", K]).env("mok_signing_key", "/tmp/other.key");
    finish(&mut command).expect(0).says("ignoring mok_signing_key from the environment");
    assert!(root.take_sign_calls()[0].contains(KEY));
}

// --- a new key

#[test]
fn a_new_key_signs_anew_without_building() {
    let root = installed();
    let begin = |root: &FakeRoot| {
        let certificate = root.path("/var/lib/dkms/mok.pub");
        dkms_hook::fs::digest::file_digest(&certificate).unwrap()[..8].to_owned()
    };
    let old = begin(&root);
    new_key(&root);
    let keys = format!("(from {old} to {})", begin(&root));
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let lines = [K, K2].map(|k| format!("would sign hello/1.0 for {k}: the signing key changed {keys}\n"));
    assert_eq!(dry, lines.concat());
    root.deb("trigger", "", "triggered").expect(0);
    assert!(root.take_make_calls().is_empty());
    assert_eq!(root.take_sign_calls().len(), 4);
    assert!(root.take_depmods().is_empty(), "another signature is nothing to depmod");
    signed_with_the_present_key(&root);
    in_line(&root);
    root.dkms(&["status"]).expect(0).does_not_say("Differences");
}

#[test]
fn a_new_key_and_a_new_source_are_one_build() {
    let root = installed();
    new_key(&root);
    root.write("/usr/src/hello-1.0/notes.txt", "new");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_sign_calls().len(), 4);
    signed_with_the_present_key(&root);
    root.take_calls();
    in_line(&root);
}

#[test]
fn installing_by_name_signs_anew_too() {
    let root = installed();
    new_key(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("Signing hello/1.0");
    root.dkms(&["build", "hello/1.0", "-k", K2]).expect(0);
    assert!(root.take_make_calls().is_empty());
    signed_with_the_present_key(&root);
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("already installed");
}

#[test]
fn resign_by_hand_touches_what_is_asked_for() {
    let root = installed();
    let before = root.snapshot();
    assert_eq!(root.hook(&["resign"]).expect(0).out, "nothing to do\n");
    root.assert_untouched(&before);
    new_key(&root);
    let other = root.snapshot_of(format!("/usr/lib/modules/{K2}"));
    let dry = root.hook(&["resign", "-n", "--kernel", K]).expect(0).out;
    assert_eq!(dry, format!("would sign hello/1.0 for {K}: it is not signed with the current key\n"));
    root.hook(&["resign", "--kernel", K, "hello"]).expect(0).says("Signing module world.ko");
    assert_eq!(root.take_sign_calls().len(), 2);
    assert!(other == root.snapshot_of(format!("/usr/lib/modules/{K2}")));
    root.hook(&["resign", "hello/1.0"]).expect(0);
    assert_eq!(root.take_sign_calls().len(), 2, "what is right is left alone");
    signed_with_the_present_key(&root);
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    in_line(&root);

    root.hook(&["resign", "nothing"]).expect(11).says("no build of nothing");
    root.hook(&["resign", "--kernel", "9.9"]).expect(11).says("there is no kernel 9.9");
    root.hook(&["resign", "a/b/c"]).expect(16);
}

#[test]
fn resign_signs_what_was_built_unsigned_and_what_dkms_made() {
    let root = root();
    root.write("/etc/dkms/framework.conf", "try_sign_modules=false\n");
    root.hook(&[]).expect(0);
    assert!(!elf::has_signature(&root.module(INSTALLED)));
    root.hook(&["resign"]).expect(11).says("cannot be signed: switched off by try_sign_modules");
    root.write("/etc/dkms/framework.conf", "try_sign_modules=true\n");
    root.hook(&[]).expect(0);
    assert!(root.take_sign_calls().is_empty(), "a module built unsigned is no reason by itself");
    // As DKMS leaves it: without a record.
    fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"))).unwrap();
    root.take_make_calls();
    root.hook(&["resign"]).expect(0);
    assert!(root.take_make_calls().is_empty());
    signed_with_the_present_key(&root);
    root.hook(&[]).expect(0);
    assert!(root.take_make_calls().is_empty());
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
}

#[test]
fn links_into_the_tree_stay_links() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K, "--symlink-modules"]).expect(0);
    new_key(&root);
    root.hook(&["resign"]).expect(0);
    assert!(fs::symlink_metadata(root.path(INSTALLED)).unwrap().file_type().is_symlink());
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn resign_finishes_what_one_that_was_killed_did_not_install() {
    let root = installed();
    let old = std::fs::read(root.path(INSTALLED)).unwrap();
    new_key(&root);
    root.hook(&["resign"]).expect(0);
    // As before the copying: the builds have the new signatures, one installed file has the old one.
    std::fs::write(root.path(INSTALLED), old).unwrap();
    root.hook(&["resign"]).expect(0).does_not_say("nothing to do");
    signed_with_the_present_key(&root);
    root.hook(&["resign"]).expect(0).says("nothing to do");
}

#[test]
fn a_killed_run_leaves_old_or_new_and_the_next_finishes() {
    let root = installed();
    new_key(&root);
    // The second module's signature never comes: the run is killed there.
    let tool = format!("/usr/src/linux-headers-{K}/scripts/sign-file");
    let good = root.read(&tool);
    let kill = "case $4 in */world.ko) kill -9 $PPID; exit 1 ;; esac\n";
    root.write_script(&tool, &good.replacen("set -e\n", &format!("set -e\n{kill}"), 1));
    root.hook(&["resign"]).expect(137);
    let module = root.module(INSTALLED);
    assert!(elf::has_signature(&module), "the old one");
    root.write_script(&tool, &good);
    root.hook(&[]).expect(0);
    signed_with_the_present_key(&root);
    assert!(root.take_make_calls().is_empty());
    let left = root.names(format!("/var/lib/dkms/hello/1.0/{K}"));
    assert_eq!(left, ["x86_64"]);
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
}

#[test]
fn a_new_key_that_cannot_sign_is_told_once_and_costs_nothing() {
    let root = installed();
    root.write_pair(KEY, CERTIFICATE, Some("secret"));
    let modules = root.snapshot_of("/usr/lib/modules");
    let told = "could not be signed with the current key";
    root.deb("trigger", "", "triggered").expect(0).says(told);
    assert!(modules == root.snapshot_of("/usr/lib/modules"), "the old signature stays");
    root.hook(&["status"]).expect(1).says("KBUILD_SIGN_PIN");
    root.hook(&["deb", "summary"]).expect(0).does_not_say(told);
    let before = root.snapshot();
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert!(root.take_sign_calls().is_empty() && root.take_make_calls().is_empty());
    // To DKMS's users the module is there.
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("KBUILD_SIGN_PIN");

    let with_passphrase = |args: &[&str]| -> Answer {
        finish(root.program(Face::Hook).args(args).env("KBUILD_SIGN_PIN", "secret"))
    };
    with_passphrase(&["resign"]).expect(0);
    signed_with_the_present_key(&root);
    root.hook(&["status"]).expect(0).does_not_say("KBUILD_SIGN_PIN");
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
}

#[test]
fn a_tool_that_does_not_sign_changes_nothing() {
    let root = installed();
    new_key(&root);
    root.write_script(
        format!("/usr/src/linux-headers-{K}/scripts/sign-file"),
        "#!/bin/sh\necho garbage >> \"$4\"\n",
    );
    let modules = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    root.hook(&["resign"]).expect(11).says("no signature at its end").says("the previous signature was kept");
    assert!(modules == root.snapshot_of(format!("/usr/lib/modules/{K}")));
    let installed = format!("/lib/modules/{K2}/updates/dkms/hello.ko");
    assert_eq!(root.checked(&installed, CERTIFICATE, "sha256"), Checked::Good, "the others are signed");
}

/// Runs a command line at a terminal of its own (script(1)), and types `input` after a moment.
fn at_a_terminal(root: &FakeRoot, args: &[&str], variable: &str, input: &str) -> Answer {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let program = root.program(Face::Hook);
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let words: Vec<String> = words.map(|w| format!("'{}'", w.to_str().unwrap())).collect();
    let line = format!("{} {}", words.join(" "), args.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear().env("PATH", root.search_path()).env("LC_ALL", "C");
    if !variable.is_empty() {
        script.env(variable, "postinst");
    }
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut typing = child.stdin.take().unwrap();
    typing.write_all(input.as_bytes()).unwrap();
    // Its end would be typed, too; the terminal goes when the program does.
    let output = child.wait_with_output().unwrap();
    drop(typing);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    Answer { code: output.status.code().unwrap(), out, err: String::new() }
}

#[test]
fn a_person_at_a_terminal_is_asked_for_the_passphrase_once() {
    let root = root();
    root.write_pair(KEY, CERTIFICATE, Some("secret"));
    let answer = at_a_terminal(&root, &["--kernel", K], "", "secret\n").expect(0);
    assert_eq!(answer.out.matches("Passphrase of /var/lib/dkms/mok.key: ").count(), 1, "{}", answer.out);
    assert!(!answer.out.contains("not signed"), "{}", answer.out);
    assert_eq!(root.checked(INSTALLED, CERTIFICATE, "sha256"), Checked::Good);
    // A package's script runs at the same terminal, and must not wait there.
    let answer = at_a_terminal(&root, &["--kernel", K2], "DPKG_MAINTSCRIPT_NAME", "").expect(11);
    assert!(!answer.out.contains("Passphrase of") && answer.out.contains("not signed"), "{}", answer.out);
}
