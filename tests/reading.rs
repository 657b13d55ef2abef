//! Ordinary tools on a mount see exactly what the drive holds.

use std::fs;
use std::path::Path;

use linkfs_emulator::{ROOT_ID, Tree};
use linkfs_tests::{DriveKind, Mounted, mib, on_every_drive, shell, tree_with_file};
use tempfile::TempDir;

on_every_drive! {
    fn every_tool_agrees_with_the_source_folder,
    fn generated_bytes_arrive_exactly_at_every_offset,
    fn contents_and_names_cannot_be_changed,
}

/// A folder as people have them: a few thousand small files, some large ones, a database, odd names.
fn source_folder() -> TempDir {
    let source = tempfile::tempdir().expect("a temporary folder");
    let script = r#"
        for folder in $(seq 1 30); do
            mkdir -p "docs/$folder/deeper"
            for file in $(seq 1 100); do
                echo "file $file of folder $folder, the needle is in number $((file % 7))" > "docs/$folder/note $file.txt"
            done
            head -c $((folder * 20000)) /dev/urandom > "docs/$folder/deeper/random.bin"
        done
        mkdir media empty
        : > "empty file"
        for size in 1 4095 4096 262143 262144 262145 1048577; do head -c $size /dev/urandom > "media/exactly $size"; done
        head -c 200000000 /dev/urandom > media/large.bin
        echo "naïve 文件 🎉" > "media/naïve 文件 🎉 .txt"
        echo dot > .hidden
        sqlite3 media/records.db "create table numbers(n integer primary key, square integer);
            with recursive counter(n) as (select 1 union all select n+1 from counter where n < 20000)
            insert into numbers select n, n*n from counter"
    "#;
    shell(source.path(), script, Path::new("")).success();
    source
}

fn every_tool_agrees_with_the_source_folder(kind: DriveKind) {
    let source = source_folder();
    let tree = Tree::from_folder(source.path()).expect("the folder is read");
    let emulator = kind.start(tree);
    let mount = Mounted::new(&*emulator);

    let differences = shell(mount.folder(), r#"diff -r . "$1""#, source.path());
    assert_eq!(differences.success(), "");

    let copy = tempfile::tempdir().expect("a temporary folder");
    shell(mount.folder(), r#"cp -r . "$1""#, copy.path()).success();
    let differences = shell(copy.path(), r#"diff -r . "$1""#, source.path());
    assert_eq!(differences.success(), "", "cp -r");

    let differing = shell(
        mount.folder(),
        r#"rsync -an --checksum --itemize-changes ./ "$1"/ | grep '^>f' || true"#,
        source.path(),
    );
    assert_eq!(differing.success(), "", "rsync --checksum");

    for line in [
        "tar c --sort=name --mode=0 --owner=0 --group=0 --mtime=@0 . | sha256sum",
        "grep -r --binary-files=without-match 'needle is in number 3' . | sort | sha256sum",
        "find . -type f -size +100k | sort",
        "find . -type f -size -2 -printf '%p %s\n' | sort | sha256sum",
        "find . -name '*.db' -newermt '2000-01-01' -printf '%p %TY-%Tm-%Td %s\n'",
        "find . -type f -printf '%s\n' | sort -n | sha256sum",
        "du --apparent-size --bytes --total $(find . -type f -not -name '* *') | tail -1",
        "python3 -c \"
import hashlib, mmap
with open('media/large.bin', 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
    print(hashlib.sha256(view[150000000:160000000]).hexdigest(), hashlib.sha256(view).hexdigest())\"",
        "sqlite3 media/records.db 'pragma integrity_check; select sum(square), count(*) from numbers; select square from numbers where n = 12345'",
    ] {
        let here = shell(mount.folder(), line, Path::new("")).success();
        let there = shell(source.path(), line, Path::new("")).success();
        assert!(!there.trim().is_empty(), "{line} says nothing");
        assert_eq!(here, there, "{line}");
    }
    assert!(emulator.counters().snapshot().violations.is_empty());
}

fn generated_bytes_arrive_exactly_at_every_offset(kind: DriveKind) {
    let (tree, id) = tree_with_file("big.bin", 7, mib(64) + 12345);
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let file = fs::File::open(mount.path("big.bin")).expect("it opens");
    let end = mib(64) + 12345;
    for (offset, length) in [
        (0, 1),
        (1, 4096),
        (mib(1) - 1, 2),
        (mib(33) + 17, 3 << 20),
        (mib(5), 128 << 10),
        (end - 1, 1),
        (end - 70_000, 70_000),
        (262_144, 262_144),
        (262_143, 262_146),
    ] {
        let mut seen = vec![0; length];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut seen, offset).expect("it reads");
        let expected = tree
            .read(&id, offset, length)
            .expect("the emulator knows the bytes");
        assert!(seen == expected[..], "{length} bytes at {offset}");
    }
    let mut behind = [0; 10];
    let read = std::os::unix::fs::FileExt::read_at(&file, &mut behind, end).expect("it reads");
    assert_eq!(read, 0, "nothing lies behind the end");
}

fn contents_and_names_cannot_be_changed(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.txt", 1, 100);
    tree.add_folder(ROOT_ID, "folder");
    let emulator = kind.start(tree);
    let mount = Mounted::new(&*emulator);
    for line in [
        "echo x > new",
        "echo x >> a.txt",
        "echo x > a.txt",
        "truncate -s 0 a.txt",
        "rm -f a.txt",
        "mkdir new",
        "rmdir folder",
        "mv a.txt b.txt",
        "ln a.txt b.txt",
        "ln -s a.txt b.txt",
        "mknod fifo p",
        "chmod 600 a.txt",
        "chown 1:1 a.txt",
        "touch a.txt",
        "setfattr -n user.comment -v x a.txt",
    ] {
        let said = shell(mount.folder(), line, Path::new("")).failure();
        assert!(said.contains("Read-only file system"), "{line}: {said}");
    }
    assert_eq!(fs::read(mount.path("a.txt")).expect("it reads").len(), 100);
}
