use std::time::Duration;

use linkfs_emulator::{Action, EmulatedDrive, ROOT_ID, Rule, Tree};
use linkfs_provider::{ErrorKind, Link, SignedUrl};

use crate::rig::{Start, link, links};

/// How long the tests' files are, and how much of one a test reads.
const SIZE: u64 = 1000;
const RANGE: (u64, usize) = (100, 50);

/// What the object storage gives for one address of a link.
#[derive(Debug, PartialEq, Eq)]
enum Fetched {
    Bytes(Vec<u8>),
    Refused(u16),
}

/// Reads the range as the caller of a provider does: the link's headers and `Range`, nothing else.
async fn fetch(url: &SignedUrl, link: &Link) -> Fetched {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("an HTTP client");
    let (start, length) = (RANGE.0, RANGE.1 as u64);
    let mut request = client.get(url.expose());
    request = request.header("Range", format!("bytes={start}-{}", start + length - 1));
    for (name, value) in &link.headers {
        request = request.header(name, value.expose());
    }
    let answer = request.send().await.expect("the storage answers");
    match answer.status().as_u16() {
        206 => Fetched::Bytes(answer.bytes().await.expect("a body").to_vec()),
        status => Fetched::Refused(status),
    }
}

/// The true bytes of the range.
fn truth(drive: &dyn EmulatedDrive, node: &str) -> Fetched {
    let bytes = drive.tree().read(node, RANGE.0, RANGE.1);
    Fetched::Bytes(bytes.expect("a file of the tree").to_vec())
}

fn files(count: u64) -> (Tree, Vec<String>) {
    let tree = Tree::new();
    let add = |seed| tree.add_generated(ROOT_ID, &format!("file {seed}"), seed, SIZE);
    let nodes = (1..=count).map(add).collect();
    (tree, nodes)
}

pub(crate) async fn each_file_of_a_batch_has_its_own_answer(start: Start) {
    let (tree, nodes) = files(8);
    let rig = start(tree.clone());
    let provider = rig.open().await;
    assert!(tree.purge(&nodes[0]) && tree.remove(&nodes[3]) && tree.purge(&nodes[7]));
    let answers = links(&*provider, &rig.ids(&nodes)).await;
    for (index, answer) in answers.iter().enumerate() {
        match (answer, [0, 3, 7].contains(&index)) {
            (Ok(link), false) => {
                let fetched = fetch(&link.urls[0], link).await;
                assert_eq!(fetched, truth(&*rig.drive, &nodes[index]), "file {index}");
            }
            (Err(error), true) => assert_eq!(error.kind, ErrorKind::NotFound, "file {index}"),
            (answer, _) => panic!("file {index}: {answer:?}"),
        }
    }
}

pub(crate) async fn a_batch_is_matched_by_id_and_not_by_place(start: Start) {
    let (tree, nodes) = files(5);
    let rig = start(tree);
    let provider = rig.open().await;
    let sign = rig.drive.calls().sign;
    rig.drive.faults().add(Rule::on(sign, Action::ReverseItems));
    for (node, link) in nodes.iter().zip(links(&*provider, &rig.ids(&nodes)).await) {
        let link = link.expect("a link");
        let fetched = fetch(&link.urls[0], &link).await;
        assert_eq!(fetched, truth(&*rig.drive, node));
    }
}

/// Whatever the clock of the drive shows: ours is not asked.
pub(crate) async fn a_link_holds_as_long_as_it_says(start: Start) {
    const HOURS: i64 = 3_600_000;
    for offset_ms in [0, 5 * HOURS, -5 * HOURS] {
        let (tree, nodes) = files(1);
        let rig = start(tree);
        let clock = rig.drive.clock();
        clock.set_offset_ms(offset_ms);
        clock.freeze(clock.now());
        let provider = rig.open().await;
        let id = rig.id(&nodes[0]);
        let link = link(&*provider, &id).await.expect("a link");
        assert!(link.valid_for > Duration::from_secs(60), "{link:?}");
        clock.advance(link.valid_for - Duration::from_secs(1));
        for url in &link.urls {
            let fetched = fetch(url, &link).await;
            assert_eq!(fetched, truth(&*rig.drive, &nodes[0]), "{url:?}");
        }
        // Dates of HTTP have whole seconds, so a provider may be one too careful.
        clock.advance(Duration::from_secs(3));
        for url in &link.urls {
            let fetched = fetch(url, &link).await;
            assert!(matches!(fetched, Fetched::Refused(400..500)), "{fetched:?}");
        }
    }
}
