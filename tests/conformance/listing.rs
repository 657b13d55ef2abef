use std::collections::{BTreeMap, BTreeSet};

use linkfs_emulator::{Action, ROOT_ID, Rule, Tree, fixtures};
use linkfs_provider::{ErrorKind, ItemId, ItemKind};

use crate::drives;
use crate::rig::{Start, link, list_all};

const WIDE: usize = 250;

pub(crate) async fn every_page_gives_its_items_once(start: Start) {
    let tree = fixtures::wide_tree(WIDE);
    let wide = tree.id_at("/wide").expect("the fixture has it");
    let children = tree.children(&wide);
    let rig = start(tree);
    let provider = rig.open().await;
    let items = list_all(&*provider, &rig.id(&wide)).await;
    let found: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    let wanted: Vec<&str> = children.iter().map(|node| node.name.as_str()).collect();
    // All of these drives list the oldest first, and the fixture's names are in that order.
    assert!(provider.about().lists_oldest_first);
    assert_eq!(found, wanted);
    let page_max = rig.drive.calls().page_max;
    let pages = rig.calls(rig.drive.calls().list) as usize;
    assert!(pages >= WIDE.div_ceil(page_max), "{pages} pages");
}

pub(crate) async fn changes_between_pages_lose_and_repeat_nothing(start: Start) {
    let tree = fixtures::wide_tree(WIDE);
    let wide = tree.id_at("/wide").expect("the fixture has it");
    let nodes: Vec<String> = tree.children(&wide).iter().map(|n| n.id.clone()).collect();
    let rig = start(tree.clone());
    let provider = rig.open().await;
    let folder = rig.id(&wide);
    let mut touched = BTreeSet::new();
    let mut removed_unseen = BTreeSet::new();
    let mut seen: BTreeMap<ItemId, u32> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = provider.list(&folder, after.as_ref()).await;
        let page = page.expect("a page");
        for item in &page.items {
            *seen.entry(item.id.clone()).or_default() += 1;
        }
        let Some(next) = page.next else { break };
        let is_unseen = |node: &&String| !seen.contains_key(&rig.id(node));
        let unseen: Vec<&String> = nodes.iter().filter(is_unseen).collect();
        let listed: Vec<&String> = nodes.iter().filter(|node| !is_unseen(node)).collect();
        // Of what was listed: one goes, one gets a name that sorts first, one gets new content.
        let (first, last) = (listed[listed.len() / 2], listed[listed.len() - 1]);
        assert!(tree.remove(first) && tree.rename(last, "0 renamed"));
        assert!(tree.replace_generated(listed[listed.len() - 2], 7));
        // Of what comes: one goes, one gets a name that sorts last.
        if let [soon, later, ..] = unseen[..] {
            assert!(tree.remove(soon) && tree.rename(later, "~ renamed"));
            removed_unseen.insert(soon.clone());
            touched.insert(soon.clone());
        }
        tree.add_file(&wide, &format!("added {}", seen.len()), "new");
        after = Some(next);
    }
    let repeated: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    let is_lost = |node: &&String| !touched.contains(*node) && !seen.contains_key(&rig.id(node));
    let lost: Vec<_> = nodes.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for node in &removed_unseen {
        assert!(!seen.contains_key(&rig.id(node)), "{node} was gone before");
    }
}

pub(crate) async fn odd_names_arrive_as_the_drive_has_them(start: Start) {
    let tree = fixtures::odd_names_tree();
    let odd = tree.id_at("/odd").expect("the fixture has it");
    let children = tree.children(&odd);
    let rig = start(tree);
    let provider = rig.open().await;
    let items = list_all(&*provider, &rig.id(&odd)).await;
    assert_eq!(items.len(), children.len());
    for (item, node) in items.iter().zip(&children) {
        assert_eq!(item.id, rig.id(&node.id));
        assert_eq!(item.name, node.name, "{}", node.id);
        assert_eq!(item.is_folder(), node.is_folder(), "{}", node.name);
        assert_eq!(item.size().0, node.size(), "{}", node.name);
    }
}

pub(crate) async fn stat_tells_what_the_listing_tells(start: Start) {
    let tree = fixtures::odd_names_tree();
    let odd = tree.id_at("/odd").expect("the fixture has it");
    let rig = start(tree);
    let provider = rig.open().await;
    let folder = rig.id(&odd);
    for item in list_all(&*provider, &folder).await {
        let stat = provider.stat(&item.id).await;
        assert_eq!(stat.as_ref(), Ok(&item), "{}", item.name);
    }
    let root = provider.about().root.clone();
    let stat = provider.stat(&root).await.expect("the root is there");
    assert_eq!((stat.is_folder(), &stat.id), (true, &root));
}

pub(crate) async fn what_is_missing_is_not_found(start: Start) {
    let tree = Tree::new();
    let recycled = tree.add_generated(ROOT_ID, "recycled", 1, 10);
    let purged = tree.add_generated(ROOT_ID, "purged", 2, 10);
    let folder = tree.add_folder(ROOT_ID, "gone");
    let inside = tree.add_generated(&folder, "inside", 3, 10);
    let rig = start(tree.clone());
    let provider = rig.open().await;
    let root = provider.about().root.clone();
    assert_eq!(list_all(&*provider, &root).await.len(), 3);
    assert!(tree.remove(&recycled) && tree.purge(&purged) && tree.remove(&folder));
    assert!(list_all(&*provider, &root).await.is_empty());
    for node in [&recycled, &purged, &inside, &"never-was".to_owned()] {
        let id = rig.id(node);
        let stat = provider.stat(&id).await.expect_err(node);
        assert_eq!(stat.kind, ErrorKind::NotFound, "stat {node}: {stat}");
        let link = link(&*provider, &id).await.expect_err(node);
        assert_eq!(link.kind, ErrorKind::NotFound, "link {node}: {link}");
    }
    let listed = provider.list(&rig.id(&folder), None).await;
    let listed = listed.expect_err("the folder is gone");
    assert_eq!(listed.kind, ErrorKind::NotFound, "{listed}");
}

/// The drive itself leads from the address back to the document.
pub(crate) async fn a_web_document_has_a_page_and_no_bytes() {
    let tree = Tree::new();
    let plan = tree.add_file(ROOT_ID, "Plan.adoc", "what the drive counts as its size");
    let rig = drives::dingtalk(tree);
    let provider = rig.open().await;
    let listed = list_all(&*provider, &provider.about().root).await;
    let ItemKind::WebDocument { address } = &listed[0].kind else {
        panic!("{listed:?}")
    };
    let by_url = rig.drive.endpoint() + "/v2.0/wiki/nodes/queryByUrl";
    let operator = rig.logins[0].config["union_id"].as_str().expect("a text");
    let token = rig.logins[2].config["token"].as_str().expect("a text");
    let answer = reqwest::Client::new()
        .post(format!("{by_url}?operatorId={operator}"))
        .header("x-acs-dingtalk-access-token", token)
        .body(serde_json::json!({"url": address.as_str()}).to_string())
        .send()
        .await
        .expect("the drive answers");
    let answer = answer.bytes().await.expect("a body");
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer["node"]["name"], "Plan.adoc", "{answer}");
    let stat = provider.stat(&rig.id(&plan)).await;
    assert_eq!(stat.as_ref(), Ok(&listed[0]));
    let refused = link(&*provider, &rig.id(&plan)).await;
    let refused = refused.expect_err("there is nothing to download");
    assert_eq!(refused.kind, ErrorKind::Unsupported, "{refused}");
}

/// By every way to log in, in as many pages as it takes.
pub(crate) async fn the_spaces_of_the_account_are_told(start: Start) {
    for index in 0..start(Tree::new()).logins.len() {
        let rig = start(Tree::new());
        let login = &rig.logins[index];
        let provider = rig.open_with(login).await;
        let told = provider.spaces().expect("the drive tells");
        let spaces = told.spaces().await.expect("its spaces");
        assert!(spaces.iter().all(|space| !space.name.is_empty()));
        let ids: BTreeSet<&str> = spaces.iter().map(|space| space.id.as_str()).collect();
        let counts = (spaces.len(), ids.len());
        assert_eq!(counts, (rig.spaces, rig.spaces), "login {index}");
        let in_use = ["space", "drive"].map(|key| login.config.get(key));
        let in_use = in_use
            .into_iter()
            .flatten()
            .next()
            .and_then(|id| id.as_str());
        assert!(
            in_use.is_some_and(|id| ids.contains(id)),
            "login {index}: {spaces:?}"
        );
        let down = Action::Status {
            code: 503,
            retry_after: None,
            body: None,
        };
        rig.drive.faults().add(Rule::on("any", down));
        let error = told.spaces().await.expect_err("the drive is down");
        assert_eq!(error.kind, ErrorKind::Unavailable, "login {index}: {error}");
    }
}

pub(crate) async fn usage_is_the_sum_of_the_files(start: Start) {
    let tree = Tree::new();
    for (name, mib) in [("a", 1), ("b", 3)] {
        tree.add_generated(ROOT_ID, name, mib, mib << 20);
    }
    let rig = start(tree);
    let provider = rig.open().await;
    let usage = provider.usage().await.expect("the drive tells");
    assert_eq!(usage.used.0, 4 << 20);
    assert!(usage.total.is_none_or(|total| total > usage.used));
}
