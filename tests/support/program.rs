//! Running the real program on a fake root, under both of its names.
//!
//! What it would ask of the machine (depmod, dpkg-query, dpkg-trigger) is answered by small scripts
//! in the root, which note each call: a test neither needs nor touches the machine's own.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigHandler, Signal, signal};

use super::toy_kernel::FakeRoot;
use super::trace;

/// Directory of the stand-ins, inside the root.
const STAND_INS: &str = "/var/log/stand-ins";

/// Where the stand-ins note their calls, inside the root: one line per call.
const NOTED: &str = "/var/log/toy-calls";

/// Image packages that the stand-in of dpkg-query knows, inside the root: `NAME WANT STATUS`.
const PACKAGES: &str = "/var/log/toy-packages";

/// What a run printed and how it ended.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Exit status; 128 + n when signal n ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// Fails the test unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- out\n{}\n--- err\n{}", self.out, self.err);
        self
    }

    /// Fails the test unless one of the two streams has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let found = self.out.contains(text) || self.err.contains(text);
        assert!(found, "{text:?} is missing\n--- out\n{}\n--- err\n{}", self.out, self.err);
        self
    }

    /// Fails the test if one of the two streams has this text.
    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        let found = self.out.contains(text) || self.err.contains(text);
        assert!(!found, "{text:?} is there\n--- out\n{}\n--- err\n{}", self.out, self.err);
        self
    }
}

/// The two names of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// `dkms-hook --root DIR`.
    Hook,
    /// `dkms`, with DKMS_HOOK_ROOT.
    Dkms,
}

/// What runs tests in the background has them ignore Ctrl-C (bash(1), "Signals"), and a program that is started with
/// a signal ignored goes on ignoring it.
fn heed_signals() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for asking in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: the handler is no code of ours.
            #[allow(unsafe_code)]
            unsafe { signal(asking, SigHandler::SigDfl) }.expect("such a signal can be heeded");
        }
    });
}

impl FakeRoot {
    /// The program, to be started on this root with a clean environment.
    pub fn program(&self, face: Face) -> Command {
        self.write_stand_ins();
        heed_signals();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dkms-hook"));
        command.env_clear().env("LC_ALL", "C").env("PATH", self.search_path()).env("HOME", "/nonexistent");
        command.env(trace::ROOT, self.layout.root.dir()).env(trace::VARIABLE, trace::FILE);
        command.current_dir("/").stdin(Stdio::null());
        if !self.confined {
            // What toy builds note lies outside of their directories.
            command.env("DKMS_HOOK_UNCONFINED", "*: toys");
        }
        match face {
            Face::Hook => command.arg("--root").arg(self.layout.root.dir()),
            Face::Dkms => command.arg0("/usr/sbin/dkms").env("DKMS_HOOK_ROOT", self.layout.root.dir()),
        };
        command
    }

    /// The stand-ins, then the usual directories.
    pub fn search_path(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path(STAND_INS).display())
    }

    /// Runs `dkms-hook` with these arguments.
    pub fn hook(&self, args: &[&str]) -> Answer {
        finish(self.program(Face::Hook).args(args))
    }

    /// Runs `dkms` with these arguments.
    pub fn dkms(&self, args: &[&str]) -> Answer {
        finish(self.program(Face::Dkms).args(args))
    }

    /// Runs one of Debian's hooks, as a maintainer script called with `params` does.
    pub fn deb(&self, event: &str, kernel: &str, params: &str) -> Answer {
        let mut command = self.program(Face::Hook);
        command.args(["deb", event]);
        if event != "trigger" {
            command.args([kernel, &format!("/boot/vmlinuz-{kernel}")]);
        }
        command.env("DEB_MAINT_PARAMS", params).env("DPKG_MAINTSCRIPT_NAME", "postinst");
        finish(&mut command)
    }

    /// Runs a hook of rpm or pacman, such as `rpm in`, with these paths on its standard input.
    pub fn event(&self, words: &str, paths: &[String]) -> Answer {
        use std::io::Write;
        let mut command = self.program(Face::Hook);
        command.args(words.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let before = trace::before(&command);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let text: String = paths.iter().map(|path| format!("{path}\n")).collect();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).expect("whoever is given paths reads them");
        drop(stdin);
        let answer = answer(child.wait_with_output().unwrap());
        if let Some(before) = before {
            before.compare(answer.code, &format!("{}{}", answer.out, answer.err));
        }
        answer
    }

    /// The plugin of kernel-install, called as kernel-install does: `add` or `remove`.
    pub fn kernel_install(&self, verb: &str, kernel: &str, env: &[(&str, &str)]) -> Answer {
        let mut command = self.program(Face::Hook);
        command.args(["kernel-install", verb, kernel, &format!("/boot/0123456789abcdef/{kernel}")]);
        if verb == "add" {
            command.arg(format!("/lib/modules/{kernel}/vmlinuz"));
        }
        finish(command.env("KERNEL_INSTALL_LAYOUT", "bls").envs(env.iter().copied()))
    }

    /// The calls of stand-ins since the last call of this function.
    pub fn take_calls(&self) -> Vec<String> {
        let path = self.path(NOTED);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    /// For which kernels depmod ran since calls were last taken, sorted: of several kernels, the one whose builds end
    /// first comes first.
    pub fn take_depmods(&self) -> Vec<String> {
        let calls = self.take_calls().into_iter().filter(|c| c.starts_with("depmod "));
        let mut kernels: Vec<String> =
            calls.map(|c| c.rsplit(' ').next().unwrap_or_default().to_owned()).collect();
        kernels.sort();
        kernels
    }

    /// What dpkg knows of a package from now on, such as `install unpacked`.
    pub fn set_package(&self, name: &str, state: &str) {
        let path = self.path(PACKAGES);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let other = text.lines().filter(|l| l.split(' ').next() != Some(name));
        let mut lines: Vec<String> = other.map(str::to_owned).collect();
        if !state.is_empty() {
            lines.push(format!("{name} {state}"));
        }
        self.write(PACKAGES, lines.join("\n") + "\n");
    }

    /// One more stand-in: what it does when it is called.
    pub fn stand_in(&self, name: &str, text: &str) {
        self.write_script(format!("{STAND_INS}/{name}"), &format!("#!/bin/sh\n{text}"));
    }

    fn write_stand_ins(&self) {
        if self.exists(format!("{STAND_INS}/depmod")) {
            return;
        }
        let (noted, packages) = (self.path(NOTED), self.path(PACKAGES));
        let (noted, packages) = (noted.display(), packages.display());
        let modules = self.path("/usr/lib/modules");
        let noted_call = format!("echo \"${{0##*/}} $*\" >> {noted}\n");
        let head = format!("#!/bin/sh\n{noted_call}");
        // Writes what depmod would have to write anew: an index of the files that are there, one for each name;
        // of two, one in `updates` before one elsewhere. It does not say which kmod it is, so that the program leaves
        // every index to it.
        self.write_script(
            format!("{STAND_INS}/depmod"),
            &format!(
                "#!/bin/sh\ncase $1 in --version) exit 0 ;; esac\n{noted_call}for k; do :; done\ncd {}/$k || exit 1\n\
                 find . -name '*.ko*' ! -path './build/*' | sed 's,^[.]/,,' | LC_ALL=C sort | awk '{{\n\
                 name = $0; sub(/.*\\//, \"\", name); sub(/[.].*/, \"\", name); gsub(/-/, \"_\", name)\n\
                 if (!(name in file)) order[++n] = name\n\
                 if (!(name in file) || $0 ~ /^updates\\//) file[name] = $0\n\
                 }} END {{ for (i = 1; i <= n; i++) print file[order[i]] \":\" }}' > modules.dep.new\n\
                 mv modules.dep.new modules.dep\n",
                modules.display()
            ),
        );
        self.write_script(
            format!("{STAND_INS}/dpkg-query"),
            &format!(
                "{head}for name; do\n\
                 case $name in -*) continue ;; esac\n\
                 test -f {packages} && sed -n \"s/^$name //p\" {packages}\ndone\nexit 0\n"
            ),
        );
        self.write_script(format!("{STAND_INS}/dpkg-trigger"), &head);
    }
}

/// Runs a command to its end. What the program does with a fake root is compared with its plan.
#[track_caller]
pub fn finish(command: &mut Command) -> Answer {
    let before = trace::before(command);
    let answer = answer(command.output().unwrap_or_else(|e| panic!("{command:?}: {e}")));
    if let Some(before) = before {
        before.compare(answer.code, &format!("{}{}", answer.out, answer.err));
    }
    answer
}

fn answer(output: std::process::Output) -> Answer {
    use std::os::unix::process::ExitStatusExt;
    let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Answer { code, out: text(output.stdout), err: text(output.stderr) }
}
