//! Running a program on a terminal of its own, and what that terminal shows.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

/// How long a test waits for what it wants to see. Only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came out of the terminal.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

/// The rows of a screen, as they are on it: of a line that is wider there are several.
fn rows(shown: &Shown) -> String {
    let screen = shown.parser.screen();
    let rows: Vec<String> =
        screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned() + "\n").collect();
    rows.concat().trim_end().to_owned() + "\n"
}

/// A program on a terminal: it leads a session whose terminal this is, so that Ctrl-C reaches it.
pub struct Terminal {
    child: Child,
    keyboard: File,
    line: OwnedFd,
    shown: Arc<Mutex<Shown>>,
    reader: Option<JoinHandle<()>>,
}

fn at_least_one(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a terminal has rows and columns")
}

impl Terminal {
    /// Starts a command on a terminal with that many rows and columns.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            value.map(|value| session.env(name, value));
        }
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = session.current_dir("/").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(session);
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(Shown {
            // More rows than any test prints: nothing is lost.
            parser: vt100::Parser::new(at_least_one(rows), at_least_one(columns), 1000),
            bytes: Vec::new(),
        }));
        let sink = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When nobody has the other end open any more, reading fails.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                let mut shown = sink.lock().unwrap();
                shown.parser.process(&buffer[..read]);
                shown.bytes.extend_from_slice(&buffer[..read]);
            }
        });
        Self { child, keyboard, line: pty.slave, shown, reader: Some(reader) }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap()
    }

    /// The process.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What the screen shows now, without what has scrolled away.
    pub fn screen(&self) -> String {
        rows(&self.shown())
    }

    /// Everything that was written to it so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.shown().bytes).into_owned()
    }

    /// Waits until the screen shows what is wanted, and returns what it shows.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            let ended = self.child.try_wait().unwrap();
            let late = begin.elapsed() > PATIENCE;
            assert!(!late && ended.is_none(), "no {what} ({ended:?}):\n{screen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another number of columns.
    pub fn resize(&mut self, columns: u16) {
        let line = Stdio::from(self.line.try_clone().unwrap());
        let done = Command::new("stty").args(["cols", &columns.to_string()]).stdin(line).status().unwrap();
        assert!(done.success());
        let rows = self.shown().parser.screen().size().0;
        self.shown().parser.screen_mut().set_size(rows, at_least_one(columns));
    }

    /// Waits for the end: the exit status, what the screen shows at last, and all that was written.
    #[track_caller]
    pub fn end(mut self) -> (i32, String, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        };
        let Self { line, keyboard, reader, shown, .. } = self;
        drop(line);
        reader.unwrap().join().unwrap();
        drop(keyboard);
        let shown = shown.lock().unwrap();
        let written = String::from_utf8_lossy(&shown.bytes).into_owned();
        (status.code().unwrap_or(-1), rows(&shown), written)
    }
}
