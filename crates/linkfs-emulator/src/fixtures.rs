//! Ready-made drives.

use crate::{ROOT_ID, Tree};

/// A folder of `count` small files, for listings of many pages.
pub fn wide_tree(count: usize) -> Tree {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "wide");
    for index in 0..count {
        let seed = index as u64;
        tree.add_generated(
            &folder,
            &format!("file-{index:06}.bin"),
            seed,
            1000 + seed % 100,
        );
    }
    tree
}
