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

#[test]
fn without_files_all_is_default() {
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
    let framework = load_framework(&layout, None).unwrap();
    assert!(framework.autoinstall_all_kernels && !framework.verbose);
    assert_eq!(framework.sign_file.as_deref(), Some("/b"));
    assert_eq!(framework.mok_signing_key.as_deref(), Some("/var/lib/dkms/key"));
    assert_eq!(framework.dkms_tree, Some("/srv/dkms".into()));
    assert_eq!(framework.source_tree, None, "it is what the layout says already");
}

#[test]
fn the_kernel_can_be_used_and_options_can_be_empty() {
    let text = "sign_file='/usr/src/linux-$kernelver/sign'\ncompress_xz_opts=\"\"\ntry_sign_modules=true\n\
                parallel_jobs=8\n";
    let (_dir, layout) = layout(&[("framework.conf", text)]);
    let kernel = KernelRelease::new("6.12").unwrap();
    let framework = load_framework(&layout, Some(&kernel)).unwrap();
    assert_eq!(framework.sign_file.as_deref(), Some("/usr/src/linux-6.12/sign"));
    assert_eq!(framework.compress_xz_opts.as_deref(), Some(""));
    assert_eq!(framework.compress_gzip_opts, None);
    assert_eq!(framework.parallel_jobs, Some(8));
    let framework = load_framework(&layout, None).unwrap();
    assert_eq!(framework.sign_file.as_deref(), Some("/usr/src/linux-/sign"));
}

#[test]
fn code_is_run_by_bash_and_nonsense_is_ignored() {
    let text = "if [ -d / ]; then post_transaction=\"echo $((1+1))\"; fi\nparallel_jobs=many\n";
    let (_dir, layout) = layout(&[("framework.conf", text)]);
    let framework = load_framework(&layout, None).unwrap();
    assert_eq!(framework.post_transaction.as_deref(), Some("echo 2"));
    assert_eq!(framework.parallel_jobs, None);
    assert_eq!(framework.rebuild, Rebuild::Inputs);
    for (text, rebuild) in [("rebuild=\"abi\"\n", Rebuild::Abi), ("rebuild=often\n", Rebuild::Inputs)] {
        std::fs::write(layout.etc().join("framework.conf"), text).unwrap();
        assert_eq!(load_framework(&layout, None).unwrap().rebuild, rebuild, "{text}");
    }
    std::fs::write(layout.etc().join("framework.conf"), "if").unwrap();
    assert!(matches!(load_framework(&layout, None), Err(ConfError::Shell { .. })));
}
