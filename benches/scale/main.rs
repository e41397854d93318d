//! Makes a machine of any size, to run programs on: `cargo bench --bench scale -- DIR MODULES KERNELS [FILES [OWN]]`.

use dkms_hook::fs::root::Root;
use dkms_hook::tree::layout::Layout;

#[path = "../support/tree.rs"]
mod tree;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |n: usize, default: usize| {
        words.get(n).map_or(default, |word| word.parse().expect("a number of modules, kernels or files"))
    };
    let Some(dir) = words.first() else { return };
    std::fs::create_dir_all(dir).expect("the directory can be made");
    let layout = Layout::new(Root::at(std::fs::canonicalize(dir).expect("it is there")));
    tree::Tree { modules: number(1, 30), kernels: number(2, 8), files: number(3, 5), own: number(4, 0) }
        .make(&layout);
}
