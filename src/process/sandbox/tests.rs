use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::*;
use crate::process::{Captured, Process};

/// A place with a directory that is to be written to.
struct Stage {
    dir: TempDir,
    sandbox: Sandbox,
}

impl Stage {
    fn new(bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let work = dir.path().join("work");
        fs::create_dir(&work).unwrap();
        let bounds =
            Bounds { writable: vec![work.clone()], readable: vec![dir.path().to_path_buf()], ..bounds };
        let sandbox = Sandbox::new(dir.path(), bounds).unwrap();
        sandbox.hand_over(&work).unwrap();
        Self { dir, sandbox }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn run(&self, script: &str) -> Captured {
        Process::bash(script).dir(self.work()).confined(&self.sandbox).capture().unwrap()
    }

    fn says(&self, script: &str) -> String {
        let got = self.run(script);
        let both = [got.stdout, got.stderr].concat();
        String::from_utf8(both).unwrap().trim().to_owned()
    }
}

#[test]
fn it_writes_where_it_may_and_nowhere_else() {
    let stage = Stage::new(Bounds::default());
    let beside = stage.dir.path().join("beside");
    fs::write(&beside, "old").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o666)).unwrap();
    let script = format!("echo new > result; mkdir d; mv result d/; echo x > {}", beside.display());
    let got = stage.run(&script);
    assert_ne!(got.status, 0, "{}", stage.sandbox.layers());
    assert_eq!(fs::read_to_string(stage.work().join("d/result")).unwrap(), "new\n", "{got:?}");
    assert_eq!(fs::read_to_string(&beside).unwrap(), "old");
    let said = stage.says("echo x > $TMPDIR/a && echo y > $HOME/b && cat $TMPDIR/a $HOME/b; ls -A $HOME");
    assert_eq!(said, "x\ny\nb");
}

#[test]
fn it_has_no_power_at_all() {
    let stage = Stage::new(Bounds::default());
    let status = stage.says("cat /proc/self/status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    for name in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(name), ["0000000000000000"], "{name}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    if let Some((uid, gid)) = stage.sandbox.user() {
        assert_eq!(field("Uid:"), [uid; 4].map(|id| id.to_string()));
        assert_eq!(field("Gid:"), [gid; 4].map(|id| id.to_string()));
        assert_eq!(field("Groups:"), [""; 0]);
        assert_eq!(field("CapBnd:"), ["0000000000000000"]);
    }
}

#[test]
fn it_ends_as_the_program_does() {
    let stage = Stage::new(Bounds::default());
    for (script, status) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        assert_eq!(stage.run(script).status, status, "{script}");
    }
    let missing = Process::new("/nonexistent").dir(stage.work()).confined(&stage.sandbox).capture();
    assert!(matches!(missing, Err(crate::process::ProcessError::Missing { .. })), "{missing:?}");
}

#[test]
fn nothing_runs_on_when_it_has_ended() {
    let stage = Stage::new(Bounds::default());
    if stage.sandbox.user().is_none() && Machine::here().processes.is_err() {
        return;
    }
    let fifo = stage.work().join("pipe");
    nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o666)).unwrap();
    stage.sandbox.lend(&fifo).unwrap();
    // A process that has it open for writing keeps a reader waiting.
    stage.run("exec 3<>pipe; (setsid sleep 1000 &) ; exit 0");
    stage.sandbox.end_all();
    let read =
        std::fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&fifo).unwrap();
    let begin = std::time::Instant::now();
    loop {
        // 0: nobody has it open; EAGAIN: somebody has.
        match nix::unistd::read(&read, &mut [0]) {
            Ok(0) => break,
            other => assert!(begin.elapsed().as_secs() < 60, "{other:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn no_socket_is_to_be_had() {
    let stage = Stage::new(Bounds::default());
    if Machine::here().filter.is_err() {
        return;
    }
    let said = stage.says("exec 3<>/dev/tcp/127.0.0.1/1; exec 3<>/dev/udp/127.0.0.1/1");
    assert!(said.contains("not permitted") && !said.contains("refused"), "{said}");
}

#[test]
fn a_secret_is_not_read_and_what_it_needs_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (key, header) = (dir.path().join("key"), dir.path().join("header"));
    for file in [&key, &header] {
        fs::write(file, "content").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let bounds = Bounds { secrets: vec![key.clone()], ..Bounds::default() };
    let mut stage = Stage::new(bounds.clone());
    let bounds =
        Bounds { readable: vec![dir.path().to_path_buf(), stage.dir.path().to_path_buf()], ..bounds };
    stage.sandbox = Sandbox::new(stage.dir.path(), bounds).unwrap();
    let said = stage.says(&format!("cat {0} 2>/dev/null; cat {1}", key.display(), header.display()));
    if Machine::here().mounts.is_ok() || Machine::here().landlock.is_ok() {
        assert_eq!(said, "content", "{}", stage.sandbox.layers());
    }
    let check = |files: &[&Path]| {
        let files: Vec<PathBuf> = files.iter().map(|file| file.to_path_buf()).collect();
        stage.sandbox.check(&stage.work(), &stage.work(), &files)
    };
    assert_eq!(check(&[&header]), Ok(()));
    fs::set_permissions(&header, fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(check(&[&stage.work(), &header]), Err(Refusal::Unreadable(header.clone())));
}

#[test]
fn a_directory_is_seen_in_another_place_and_may_be_written_to() {
    let stage = Stage::new(Bounds::default());
    let own = stage.dir.path().join("own");
    fs::create_dir(&own).unwrap();
    stage.sandbox.hand_over(&own).unwrap();
    if Machine::here().mounts.is_err() {
        return;
    }
    let got = Process::bash("pwd; echo x > there")
        .seeing(&own, stage.work())
        .confined(&stage.sandbox)
        .capture()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&got.stdout).trim(), stage.work().to_str().unwrap(), "{got:?}");
    assert!(own.join("there").exists() && !stage.work().join("there").exists());
}

#[test]
fn limits_hold() {
    let limits = Limits { processes: Some(40), memory: Some(1 << 30), file: Some(1 << 20) };
    let stage = Stage::new(Bounds { limits, ..Bounds::default() });
    assert_ne!(stage.run("head -c 2000000 /dev/zero > big").status, 0);
    assert!(stage.work().join("big").metadata().unwrap().len() <= 1 << 20);
    assert_eq!(stage.says("ulimit -c; ulimit -v"), "0\n1048576");
    if stage.sandbox.user().is_some() {
        let said = stage.says("for i in {1..60}; do sleep 0.2 & done 2>&1; wait");
        assert!(said.contains("Resource temporarily unavailable") || said.contains("retry"), "{said}");
    }
}

#[test]
fn what_is_handed_over_comes_back() {
    let stage = Stage::new(Bounds::default());
    stage.run("echo x > a; ln -s /etc/passwd link; mkdir d; chmod 4755 a");
    let before = fs::metadata("/etc/passwd").unwrap().uid();
    stage.sandbox.take_back(&stage.work()).unwrap();
    let file = fs::metadata(stage.work().join("a")).unwrap();
    assert_eq!(file.uid(), geteuid().as_raw());
    assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), before);
    if stage.sandbox.user().is_some() {
        assert_eq!(file.mode() & 0o6000, 0, "a program that changes the user");
    }
}
