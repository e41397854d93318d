use super::*;
use crate::fs::root::Root;

fn layout(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(Root::at(dir.path()));
    std::fs::create_dir_all(layout.etc().join("framework.conf.d")).unwrap();
    for (name, text) in files {
        std::fs::write(layout.etc().join(name), text).unwrap();
    }
    (dir, layout)
}

/// Every setting with its text and its place: the name of the file and the line.
fn said(layout: &Layout, kernel: Option<&KernelRelease>) -> Vec<(String, String, String)> {
    let place = |said: &Said| {
        let name = said.file.file_name().unwrap().to_string_lossy();
        said.line.map_or_else(|| name.to_string(), |line| format!("{name}:{line}"))
    };
    let all = load_framework(layout, kernel).unwrap().said;
    all.into_iter().map(|(name, said)| (name, said.text.clone(), place(&said))).collect()
}

fn rows(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter().map(|(name, text, place)| ((*name).into(), (*text).into(), (*place).into())).collect()
}

#[test]
fn without_files_nothing_is_said() {
    let (_dir, layout) = layout(&[]);
    assert_eq!(load_framework(&layout, None).unwrap(), Framework::default());
}

#[test]
fn files_apply_in_order_of_their_names() {
    let (_dir, layout) = layout(&[
        ("framework.conf", "# comment\nautoinstall_all_kernels=\"yes\"\nverbose=1\nsource_tree=/usr/src\n"),
        ("framework.conf.d/20-b.conf", "verbose=\nsign_file=/b\n"),
        (
            "framework.conf.d/10-a.conf",
            "sign_file=/a mok_signing_key=\"$dkms_tree/key\"\ndkms_tree=/srv/dkms\n",
        ),
        ("framework.conf.d/.hidden.conf", "sign_file=/hidden"),
        ("framework.conf.d/other", "sign_file=/other"),
    ]);
    let expected = rows(&[
        ("autoinstall_all_kernels", "yes", "framework.conf:2"),
        ("dkms_tree", "/srv/dkms", "10-a.conf:2"),
        ("mok_signing_key", "/var/lib/dkms/key", "10-a.conf:1"),
        ("sign_file", "/b", "20-b.conf:2"),
        ("source_tree", "/usr/src", "framework.conf:4"),
        ("verbose", "", "20-b.conf:1"),
    ]);
    assert_eq!(said(&layout, None), expected);
}

#[test]
fn the_kernel_can_be_used() {
    let (_dir, layout) = layout(&[("framework.conf", "sign_file='/usr/src/linux-$kernelver/sign'\n")]);
    let kernel = KernelRelease::new("6.12").unwrap();
    for (kernel, text) in [(Some(&kernel), "/usr/src/linux-6.12/sign"), (None, "/usr/src/linux-/sign")] {
        assert_eq!(said(&layout, kernel), rows(&[("sign_file", text, "framework.conf:1")]));
    }
    assert!(load_framework(&layout, None).unwrap().names_kernel);
}

#[test]
fn code_is_run_by_bash_and_the_line_is_found_where_it_can_be() {
    let (_dir, layout) = layout(&[
        (
            "framework.conf",
            "# rebuild=inputs\nif [ -d / ]; then\n  post_transaction=\"echo $((1+1))\"; fi\nrebuild=abi\n\
             source_tree=/usr/src\nverbose=1\n",
        ),
        (
            "framework.conf.d/a.conf",
            "name=sign_file; declare $name=/s; no_rebuild=1\n[ -f / ] && verbose=2\n",
        ),
    ]);
    let expected = rows(&[
        ("post_transaction", "echo 2", "framework.conf:3"),
        ("rebuild", "abi", "framework.conf:4"),
        ("sign_file", "/s", "a.conf"),
        ("verbose", "1", "framework.conf:6"),
    ]);
    assert_eq!(said(&layout, None), expected, "what a file leaves as it was, it has not set");
    std::fs::write(layout.etc().join("framework.conf"), "if").unwrap();
    assert!(matches!(load_framework(&layout, None), Err(ConfError::Shell { .. })));
}
