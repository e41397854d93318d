//! A place where a mutant that turns out to be a program can do no harm: own namespaces without
//! network, and a root directory in memory that holds this program, bash, their libraries, and no
//! other command.

use std::path::Path;
use std::process::{Command, ExitStatus};

/// Tells the program that it is the inner one.
pub const INSIDE: &str = "CONF_FUZZ_INSIDE";

/// `$1`: directory to build the root in; `$2`: this program; the rest: seeds.
const BUILD_AND_ENTER: &str = r#"
set -eu
root=$1 program=$2
shift 2
mount -t tmpfs -o size=512m,mode=755 fuzz "$root"
mkdir "$root/bin" "$root/tmp" "$root/dev" "$root/seeds"
bash=$(command -v bash) setpriv=$(command -v setpriv)
cp "$bash" "$root/bin/bash"
cp "$program" "$root/fuzz"
cp "$setpriv" "$root/setpriv"
ldd "$bash" "$setpriv" "$program" | grep -oE '/[^ ]+ [(]' | sort -u | while read -r library _; do
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
done
: >"$root/dev/null"
mount --bind /dev/null "$root/dev/null"
for seed; do
    name=${seed%/*}
    cp "$seed" "$root/seeds/${name##*/}"
done
ulimit -f 400000
ulimit -c 0
ulimit -v 8000000
exec chroot "$root" /setpriv --bounding-set=-all --no-new-privs /fuzz
"#;

fn isolated() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--net", "--ipc", "--pid", "--fork"]);
    command.arg("--kill-child");
    command
}

/// Why there can be no such place here.
pub fn obstacle() -> Option<String> {
    let mut probe = isolated();
    probe.args(["sh", "-ec", "mount -t tmpfs probe /mnt; command -v setpriv ldd chroot bash"]);
    match probe.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Runs this program again inside, with the dkms.conf files `seeds`.
pub fn enter(seeds: &[std::path::PathBuf]) -> std::io::Result<ExitStatus> {
    let place = tempfile::tempdir()?;
    let mut command = isolated();
    command.args(["sh", "-c", BUILD_AND_ENTER, "sandbox"]).arg(place.path()).arg(program()?).args(seeds);
    command.env(INSIDE, "1").env("TMPDIR", "/tmp").env_remove("PWD");
    command.status()
}

fn program() -> std::io::Result<std::path::PathBuf> {
    std::env::current_exe()?.canonicalize()
}

/// The seeds inside.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(Path::new("/seeds"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}
