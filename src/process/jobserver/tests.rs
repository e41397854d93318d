use super::*;

fn server(limit: usize, style: Style) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::with(limit, style, dir.path(), None);
    assert!(server.is_shared());
    (dir, server)
}

/// Tokens in the pipe, which are the same ones afterwards.
fn left(server: &Server) -> usize {
    let pool = &server.0.tokens.as_ref().unwrap().pool;
    let count = std::iter::repeat_with(|| pool.take().unwrap()).take_while(|taken| *taken).count();
    pool.put(count).unwrap();
    count
}

fn alone(server: &Server) -> Alone {
    server.alone_unless(&|| false).unwrap()
}

fn no_slot(server: &Server) -> bool {
    server.slot_unless(&|| true).is_none()
}

#[test]
fn there_are_as_many_slots_as_jobs() {
    let (_dir, server) = server(2, Style::Fifo);
    let (one, _two) = (server.slot(), server.slot());
    assert!(no_slot(&server));
    drop(one);
    assert!(!no_slot(&server));
}

#[test]
fn what_waits_is_woken_when_a_slot_comes_back() {
    let (_dir, server) = server(1, Style::Fifo);
    let slot = server.slot();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| drop(server.slot()));
        drop(slot);
        waiting.join().unwrap();
    });
}

#[test]
fn lost_tokens_are_back_once_nothing_runs() {
    let (_dir, server) = server(3, Style::Fifo);
    let pool = &server.0.tokens.as_ref().unwrap().pool;
    let (one, two) = (server.slot(), server.slot());
    assert!(pool.take().unwrap(), "a make takes it, and is killed");
    drop(one);
    let three = server.slot();
    assert_eq!(left(&server), 0, "while another runs, nothing is counted");
    drop((two, three));
    let next = server.slot();
    assert_eq!(left(&server), 2);
    // One too many, from a make that outlived its build.
    pool.put(1).unwrap();
    drop(next);
    let _last = server.slot();
    assert_eq!(left(&server), 2);
}

#[test]
fn who_is_alone_has_one_job_and_nobody_beside() {
    let (_dir, server) = server(4, Style::Fifo);
    let (_own, other) = (server.slot(), server.slot());
    assert!(server.alone_unless(&|| true).is_none(), "another one runs");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| alone(&server));
        drop(other);
        let first = waiting.join().unwrap();
        assert!(no_slot(&server));
        assert_eq!(left(&server), 0);
        drop(first);
        assert_eq!(left(&server), 3);
    });
}

#[test]
fn two_who_want_to_be_alone_take_turns() {
    let (_dir, server) = server(3, Style::Fifo);
    let at_once = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for slot in [server.slot(), server.slot()] {
            let (server, at_once) = (&server, &at_once);
            scope.spawn(move || {
                let alone = alone(server);
                assert_eq!(at_once.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                std::thread::yield_now();
                at_once.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                drop((alone, slot));
            });
        }
    });
    assert_eq!(left(&server), 3);
}

#[test]
fn the_last_token_is_never_kept_back() {
    let (_dir, server) = server(3, Style::Fifo);
    assert_eq!([(); 3].map(|()| server.withhold()), [true, true, false]);
    let slot = server.slot();
    assert!(no_slot(&server));
    assert!(server.give_back());
    drop((slot, server.slot()));
    assert_eq!(left(&server), 2);
    let alone = alone(&server);
    assert!(server.give_back() && !server.give_back());
    assert_eq!(left(&server), 0);
    drop(alone);
    assert_eq!(left(&server), 3);
}

#[test]
fn without_makes_there_is_one_slot() {
    let server = Server::without(4);
    let slot = server.slot();
    assert!(no_slot(&server) && !server.withhold());
    drop(slot);
    assert!(!no_slot(&server));
    drop(alone(&server));
    let process = server.attach(Process::new("make"));
    assert_eq!(process.said_of(FLAGS), None);
}

#[test]
fn a_child_is_told_in_the_style_of_its_make() {
    let (dir, fifo) = server(3, Style::Fifo);
    let flags = |server: &Server, process: Process| {
        server.attach(process).said_of(FLAGS).flatten().unwrap().to_str().unwrap().to_owned()
    };
    let said = flags(&fifo, Process::new("make").env(FLAGS, "k -j9 -- V=1"));
    let begin = format!("k -j3 --jobserver-auth=fifo:{}/.tmp-", dir.path().display());
    assert!(said.starts_with(&begin) && said.ends_with("/jobs -- V=1"), "{said}");

    let (_dir, pipe) = server(3, Style::Pipe);
    let said = flags(&pipe, Process::new("make").env(FLAGS, ""));
    let (_, auth) = said.split_once(" -j3 --jobserver-auth=").unwrap();
    let (read, write) = auth.split_once(',').unwrap();
    let script = format!("head -c 1 <&{read}; echo -n x >&{write}; ls /proc/self/fd | wc -l");
    let got = pipe.attach(Process::bash(&script)).capture().unwrap();
    assert_eq!(String::from_utf8_lossy(&got.stdout), "+6\n", "three, those two, and the directory");
    assert_eq!(left(&pipe), 3);
    let got = Process::bash("ls /proc/self/fd | wc -l").capture().unwrap();
    assert_eq!(String::from_utf8_lossy(&got.stdout), "4\n", "other children have them not");
}

#[test]
fn the_server_of_a_make_that_runs_us_is_joined() {
    let outer = tempfile::tempdir().unwrap();
    let pool = Pool::create(outer.path()).unwrap();
    pool.put(1).unwrap();
    let flags = format!(" -j2 --jobserver-auth=fifo:{}", pool.path.display());
    let server = Server::with(8, Style::Fifo, outer.path(), Some(&flags));
    assert_eq!(server.limit(), 2);
    // The first is what this program is to that make, the second is its token.
    let (one, two) = (server.slot(), server.slot());
    assert!(no_slot(&server) && !pool.take().unwrap());
    drop((one, two));
    let alone = alone(&server);
    let told = server.attach(Process::new("make").env(FLAGS, ""));
    assert_eq!(told.said_of(FLAGS).flatten().unwrap(), " -j1");
    drop(alone);
    assert!(pool.take().unwrap() && !pool.take().unwrap(), "nothing is counted in there");
    // A make of an older style gets the same one by descriptors.
    let server = Server::with(8, Style::Pipe, outer.path(), Some(&flags));
    let told = server.attach(Process::new("make").env(FLAGS, ""));
    assert!(!told.said_of(FLAGS).flatten().unwrap().to_str().unwrap().contains("fifo:"));
    // One that has gone is replaced by one of our own.
    drop(outer);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Server::with(8, Style::Fifo, dir.path(), Some(&flags)).limit(), 8);
}

#[test]
fn no_limit_and_no_place_leave_makes_out() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Server::with(0, Style::Fifo, dir.path(), None).is_shared());
}
