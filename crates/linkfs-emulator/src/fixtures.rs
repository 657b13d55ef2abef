//! Ready-made drives.

use jiff::{Timestamp, ToSpan};

use crate::{Content, NewNode, ROOT_ID, Tree};

const GIGABYTE: u64 = 1 << 30;

/// A small friendly drive, with one file that is too large to download for fun.
pub fn demo_tree() -> Tree {
    let tree = Tree::new();
    let mut plant = Planter {
        tree: &tree,
        at: start(),
    };
    plant.file(ROOT_ID, "Welcome.txt", WELCOME.into());
    let reports = plant.folder(ROOT_ID, "Reports");
    plant.file(&reports, "rainfall.csv", rainfall().as_str().into());
    plant.file(&reports, "summary.md", SUMMARY.into());
    plant.file(&reports, "annual report.pdf", pdf().as_str().into());
    let photos = plant.folder(ROOT_ID, "Photos");
    for index in 1..=5 {
        let content = Content::Generated {
            seed: 100 + index,
            size: 2_400_000 + index * 1_111,
        };
        plant.file(&photos, &format!("IMG_{index:04}.jpg"), content);
    }
    let notes = plant.folder(ROOT_ID, "笔记");
    plant.file(&notes, "想法.txt", "一个云盘，就是一个文件夹。\n".into());
    let big = plant.folder(ROOT_ID, "big");
    let content = Content::Generated {
        seed: 1,
        size: GIGABYTE,
    };
    plant.file(&big, "one-gigabyte.bin", content);
    tree
}

/// A folder `odd` of everything that names and types can do to a client, and a 5 GiB file.
pub fn odd_names_tree() -> Tree {
    let tree = Tree::new();
    let mut plant = Planter {
        tree: &tree,
        at: start(),
    };
    let odd = plant.folder(ROOT_ID, "odd");
    let names = [
        "a/b.txt",
        ".",
        "..",
        "",
        "100%.txt",
        "a%2Fb.txt",
        "%2E",
        "nul\0byte",
        "trailing  ",
        " leading",
        "new\nline",
        "emoji 🎉🐈.txt",
        "e\u{301}.txt",
        "\u{e9}.txt",
        "back\\slash",
        "tab\there",
        "quo\"te",
        ".linkfs",
        "-rf",
        "*",
        "name (1).txt",
    ];
    for name in names {
        plant.file(&odd, name, name.into());
    }
    plant.file(&odd, "empty.txt", "".into());
    plant.file(&odd, &"长".repeat(250), "long".into());
    plant.file(
        &odd,
        &format!("{}.txt", "名".repeat(246)),
        "long with a suffix".into(),
    );
    plant.file(
        &odd,
        &format!("{}.txt", "名".repeat(245)),
        "nearly the same".into(),
    );
    for text in ["first", "second", "third"] {
        plant.file(&odd, "twice.txt", text.into());
    }
    plant.at -= 1.second();
    let same_time = plant.at;
    for text in ["one", "other"] {
        plant.at = same_time;
        plant.file(&odd, "same time.txt", text.into());
    }
    let folder = plant.folder(&odd, "file and folder");
    plant.file(&folder, "inside.txt", "inside".into());
    plant.file(&odd, "file and folder", "a file".into());
    plant.add(NewNode {
        parent: odd.clone(),
        name: "smart".into(),
        type_code: Some(11),
        ..NewNode::default()
    });
    plant.folder(&odd, "empty folder");
    let sparse = Content::Generated {
        seed: 5,
        size: 5 * GIGABYTE,
    };
    plant.file(&odd, "five-gigabytes.bin", sparse);
    tree
}

/// A folder `wide` of `count` small files, for listings of many pages.
pub fn wide_tree(count: usize) -> Tree {
    let tree = Tree::new();
    let mut plant = Planter {
        tree: &tree,
        at: start(),
    };
    let folder = plant.folder(ROOT_ID, "wide");
    for index in 0..count {
        let seed = index as u64;
        let content = Content::Generated {
            seed,
            size: 1000 + seed % 100,
        };
        plant.file(&folder, &format!("file-{index:06}.bin"), content);
    }
    tree
}

/// Adds nodes a second apart from a fixed time, so that a fixture is the same in every run.
struct Planter<'a> {
    tree: &'a Tree,
    at: Timestamp,
}

impl Planter<'_> {
    fn folder(&mut self, parent: &str, name: &str) -> String {
        self.add(NewNode {
            parent: parent.into(),
            name: name.into(),
            ..NewNode::default()
        })
    }

    fn file(&mut self, parent: &str, name: &str, content: Content) -> String {
        let content = Some(content);
        self.add(NewNode {
            parent: parent.into(),
            name: name.into(),
            content,
            ..NewNode::default()
        })
    }

    fn add(&mut self, new: NewNode) -> String {
        self.at += 1.second();
        self.tree.add(NewNode {
            created: Some(self.at),
            ..new
        })
    }
}

fn start() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a timestamp")
}

const WELCOME: &str = "Welcome!

This folder is a cloud drive. Nothing in it was downloaded before you opened it:
reading a file fetches the part you read, and keeps it for the next time.

Try:
  head Reports/rainfall.csv
  grep -r cloud .
  tail -c 100 big/one-gigabyte.bin | xxd
  setfattr -n user.linkfs.share -v expires=7d Welcome.txt
  getfattr --only-values -n user.linkfs.share Welcome.txt
";

const SUMMARY: &str = "# Summary

Rain fell on 214 of 365 days. See `rainfall.csv` for each of them.
";

fn rainfall() -> String {
    let days =
        (1..=365_u32).map(|day| format!("{day},{}.{}\n", day * 7919 % 23, day * 104_729 % 10));
    std::iter::once("day,millimetres\n".to_owned())
        .chain(days)
        .collect()
}

/// The smallest file that PDF readers open, with one empty page.
fn pdf() -> String {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
    ];
    let mut text = String::from("%PDF-1.4\n");
    let mut table = String::from("0000000000 65535 f \n");
    for (number, object) in (1..).zip(objects) {
        table += &format!("{:010} 00000 n \n", text.len());
        text += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let start = text.len();
    format!(
        "{text}xref\n0 4\n{table}trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures_are_the_same_in_every_run() {
        for make in [demo_tree, odd_names_tree] {
            let ids = |tree: Tree| {
                tree.all()
                    .iter()
                    .map(|node| node.id.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(ids(make()), ids(make()));
        }
    }

    #[test]
    fn the_demo_holds_what_its_welcome_mentions() {
        let tree = demo_tree();
        let big = tree.id_at("/big/one-gigabyte.bin").unwrap();
        assert_eq!(tree.node(&big).unwrap().size(), GIGABYTE);
        assert!(tree.id_at("/Reports/rainfall.csv").is_some());
        assert!(tree.id_at("/笔记/想法.txt").is_some());
    }

    #[test]
    fn odd_names_include_duplicates_with_equal_and_different_times() {
        let tree = odd_names_tree();
        let children = tree.children(&tree.id_at("/odd").unwrap());
        let times = |name: &str| {
            let named = children.iter().filter(|node| node.name == name);
            named.map(|node| node.created).collect::<Vec<_>>()
        };
        let (twice, same) = (times("twice.txt"), times("same time.txt"));
        assert_eq!((twice.len(), same.len()), (3, 2));
        assert!(twice[0] < twice[1]);
        assert_eq!(same[0], same[1]);
    }
}
