//! What bash says about many cases, with one process for all of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dkms_hook::conf::evaluation::{Question, Values};

/// The script of the program itself, of which every case gets a shell of its own.
const EVALUATE: &str = include_str!("../../src/conf/shell/evaluate.bash");

const PLACE: &str = "/tmp/batch";

/// `$1`: how many cases; `$2`: the exported names. Case N is in the directory N.
const BATCH: &str = r#"
for ((__dkms_hook_n = 0; __dkms_hook_n < $1; __dkms_hook_n++)); do
    (
        exec >"/tmp/batch/$__dkms_hook_n/out" 2>"/tmp/batch/$__dkms_hook_n/err" </dev/null
        cd /
        set -- "/tmp/batch/$__dkms_hook_n/between" "$2" "/tmp/batch/$__dkms_hook_n"/*.conf
        unset __dkms_hook_n
        . /tmp/evaluate.bash
    )
done
"#;

/// What bash made of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The values, or why there are none.
    pub values: Result<Values, String>,
    /// What it complained of.
    pub complaints: Vec<String>,
}

/// Asks bash about `cases`.
pub fn ask(question: &Question<'_>, cases: &[Vec<Vec<u8>>]) -> Vec<Verdict> {
    let _ = std::fs::remove_dir_all(PLACE);
    std::fs::write("/tmp/evaluate.bash", EVALUATE).expect("a file in memory");
    for (number, case) in cases.iter().enumerate() {
        std::fs::create_dir_all(place(number)).expect("a directory in memory");
        for (path, text) in paths(number, case).iter().zip(case) {
            std::fs::write(path, text).expect("a file in memory");
        }
    }
    let mut command = Command::new("/bin/bash");
    command.args(["--noprofile", "--norc", "-c", BATCH, "dkms.conf", &cases.len().to_string()]);
    command.arg(question.exported.join(" ")).env_clear();
    // No command can be found: whatever runs one says so.
    command.env("PATH", "/nowhere").env("LANG", "C").env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for (name, value) in &question.given {
        if let Some(value) = value {
            command.env(name, String::from_utf8_lossy(value).as_ref());
        }
    }
    let _ = command.status();
    cases
        .iter()
        .enumerate()
        .map(|(number, case)| {
            let read = |name| std::fs::read(place(number).join(name)).unwrap_or_default();
            let err = read("err");
            let complaints = String::from_utf8_lossy(&err).lines().map(str::to_owned).collect();
            Verdict { values: values(&read("out"), case.len()), complaints }
        })
        .collect()
}

/// Where the files of a case lie until the next call of [`ask`].
pub fn paths(number: usize, case: &[Vec<u8>]) -> Vec<PathBuf> {
    (0..case.len()).map(|file| place(number).join(format!("{file}.conf"))).collect()
}

fn place(number: usize) -> PathBuf {
    Path::new(PLACE).join(number.to_string())
}

/// Reads the script's answer; anything but "all files read" is an error.
fn values(out: &[u8], files: usize) -> Result<Values, String> {
    let mut fields = out.split(|b| *b == 0);
    let mut values = Values::new();
    let mut read = 0;
    loop {
        let mut text = || fields.next().map(|f| String::from_utf8_lossy(f).into_owned()).unwrap_or_default();
        match text().as_str() {
            "read" => {
                text();
                read += 1;
            }
            "value" => {
                let (name, index, value) = (text(), text(), text());
                let index = index.parse().map_err(|_| format!("index {index} of {name}"))?;
                values.entry(name).or_default().insert(index, value);
            }
            "end" if read == files => return Ok(values),
            other => return Err(format!("{other:?} after {read} of {files} files")),
        }
    }
}
