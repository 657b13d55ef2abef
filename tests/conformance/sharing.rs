use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkfs_emulator::{Action, ROOT_ID, RetryAfter, Rule, Tree};
use linkfs_provider::{
    Audience, ErrorKind, ItemId, Provider, Share, SharePassword, ShareState, ShareTerms, Sharing,
};
use tokio::task::yield_now;

use crate::rig::{Rig, Shares, Start};

/// More than one page of any drive.
const MANY: usize = 120;

/// A drive with a folder and a file in it.
struct Stage {
    rig: Rig,
    folder: ItemId,
    file: ItemId,
}

fn stage(start: Start) -> Stage {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "folder");
    let file = tree.add_generated(&folder, "file", 1, 10);
    let rig = start(tree);
    Stage {
        folder: rig.id(&folder),
        file: rig.id(&file),
        rig,
    }
}

impl Stage {
    fn shares(&self) -> &Shares {
        self.rig.shares.as_ref().expect("the drive shares")
    }

    fn terms(&self) -> &ShareTerms {
        &self.shares().terms
    }

    fn calls(&self) -> u64 {
        self.rig.drive.counters().snapshot().calls.values().sum()
    }

    /// The open shares of an item, told by a provider that has made none of them.
    async fn open_shares_of(&self, item: &ItemId) -> Vec<Share> {
        let provider = self.rig.open().await;
        let mut shares = all(sharing(&*provider)).await;
        shares.retain(|share| share.state == ShareState::Open && share.items.contains(item));
        shares
    }
}

fn sharing(provider: &dyn Provider) -> &dyn Sharing {
    provider.sharing().expect("the provider shares")
}

/// Every share of the account, page by page.
async fn all(sharing: &dyn Sharing) -> Vec<Share> {
    let mut shares = Vec::new();
    let mut after = None;
    loop {
        let page = sharing.shares(after.as_ref()).await.expect("a page");
        shares.extend(page.shares);
        match page.next {
            Some(next) => after = Some(next),
            None => return shares,
        }
    }
}

fn one(item: &ItemId) -> &[ItemId] {
    std::slice::from_ref(item)
}

fn names_nobody(audience: &Audience) -> bool {
    let Audience::Members {
        users,
        groups,
        departments,
    } = audience
    else {
        return false;
    };
    users.is_empty() && groups.is_empty() && departments.is_empty()
}

fn code(share: &Share) -> Option<&str> {
    share.password.as_ref().map(|code| code.expose().as_str())
}

/// Times are set by the drive when the call arrives.
fn is_near(left: SystemTime, right: SystemTime) -> bool {
    let apart = left.duration_since(right).unwrap_or_else(|e| e.duration());
    apart < Duration::from_secs(120)
}

/// Whether the share ends that long from now, or never.
fn ends_after(share: &Share, time: Option<Duration>) -> bool {
    match (share.expires, time) {
        (Some(end), Some(time)) => is_near(end, SystemTime::now() + time),
        (end, time) => end.is_none() && time.is_none(),
    }
}

pub(crate) async fn a_share_has_an_address_and_its_terms(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let terms = stage.terms();
    let mut made = Vec::new();
    for item in [&stage.file, &stage.folder] {
        let share = sharing(&*provider).share(one(item), terms).await;
        let share = share.expect("a share");
        assert!(!share.url.is_empty());
        assert_eq!(share.state, ShareState::Open);
        assert_eq!(share.items, one(item));
        let given = match &terms.password {
            SharePassword::Given(given) => Some(given.expose().as_str()),
            SharePassword::Auto | SharePassword::None => None,
        };
        assert_eq!(code(&share), given);
        assert_eq!(share.terms.note, terms.note);
        assert_eq!(share.terms.audience, terms.audience);
        assert!(ends_after(&share, terms.valid_for), "{share:?}");
        made.push(share);
    }
    assert_ne!(made[0].url, made[1].url);
    assert_ne!(made[0].id, made[1].id);
    let other = stage.rig.open().await;
    let listed = all(sharing(&*other)).await;
    assert_eq!(listed.len(), 2);
    for (share, listed) in made.iter().rev().zip(&listed) {
        assert_eq!(listed.id, share.id, "the newest comes first");
        assert_eq!(listed.url, share.url);
        assert_eq!(listed.items, share.items);
        assert_eq!(code(listed), code(share));
        assert_eq!(listed.expires, share.expires);
        assert_eq!(listed.terms.note, share.terms.note);
    }
}

pub(crate) async fn an_access_code_is_made_up_where_one_is_wanted(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let terms = ShareTerms {
        password: SharePassword::Auto,
        ..stage.terms().clone()
    };
    let mut codes = BTreeSet::new();
    for item in [&stage.file, &stage.folder] {
        let share = sharing(&*provider).share(one(item), &terms).await;
        let share = share.expect("a share");
        codes.insert(code(&share).expect("a code").to_owned());
    }
    assert_eq!(codes.len(), 2, "each share has its own");
    let open = ShareTerms {
        password: SharePassword::None,
        ..stage.terms().clone()
    };
    let share = sharing(&*provider).share(one(&stage.file), &open).await;
    assert_eq!(code(&share.expect("a share")), None);
}

pub(crate) async fn an_open_share_gets_new_terms_or_stays_as_it_is(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let share = sharing(&*provider).share(one(&stage.file), stage.terms());
    let share = share.await.expect("a share");
    let longer = ShareTerms {
        valid_for: stage.terms().valid_for.map(|time| 2 * time),
        note: Some("another note".into()),
        ..stage.terms().clone()
    };
    let changed = sharing(&*provider).reshare(&share.id, &longer).await;
    let listed = stage.open_shares_of(&stage.file).await;
    assert_eq!(listed.len(), 1);
    match changed {
        Ok(changed) => {
            assert_eq!((&changed.id, &changed.url), (&share.id, &share.url));
            assert_eq!(changed.terms.note, longer.note);
            assert!(ends_after(&changed, longer.valid_for), "{changed:?}");
            assert_eq!(listed[0].expires, changed.expires);
            assert_eq!(listed[0].terms.note, longer.note);
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
            assert_eq!(listed[0].expires, share.expires);
        }
    }
}

pub(crate) async fn a_revoked_share_is_gone_and_may_be_revoked_again(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let sharing = sharing(&*provider);
    let kept = sharing.share(one(&stage.folder), stage.terms()).await;
    let kept = kept.expect("a share");
    let share = sharing.share(one(&stage.file), stage.terms()).await;
    let share = share.expect("a share");
    assert_eq!(sharing.unshare(&share.id).await, Ok(()));
    assert!(stage.open_shares_of(&stage.file).await.is_empty());
    assert_eq!(sharing.unshare(&share.id).await, Ok(()));
    let error = sharing.reshare(&share.id, stage.terms()).await;
    let error = error.expect_err("it is gone").kind;
    assert!(matches!(
        error,
        ErrorKind::NotFound | ErrorKind::Unsupported
    ));
    assert_eq!(stage.open_shares_of(&stage.folder).await[0].id, kept.id);
}

pub(crate) async fn every_page_gives_its_shares_once_and_the_newest_first(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let tree = &stage.rig.drive.cloud().tree;
    let mut made = Vec::new();
    for number in 0..MANY {
        let file = tree.add_generated(ROOT_ID, &format!("file {number}"), 1, 1);
        let file = stage.rig.id(&file);
        let share = sharing(&*provider).share(one(&file), stage.terms());
        made.push(share.await.expect("a share").id);
    }
    made.reverse();
    let listed = all(sharing(&*provider)).await;
    let listed: Vec<_> = listed.into_iter().map(|share| share.id).collect();
    assert_eq!(listed, made);
}

pub(crate) async fn terms_that_the_drive_cannot_honour_are_refused_without_a_call(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let share = sharing(&*provider).share(one(&stage.file), stage.terms());
    let share = share.await.expect("a share");
    let before = stage.calls();
    assert!(!stage.shares().refused.is_empty());
    for terms in &stage.shares().refused {
        let error = sharing(&*provider).share(one(&stage.file), terms).await;
        let error = error.expect_err(&format!("{terms:?}"));
        assert_eq!(error.kind, ErrorKind::Invalid, "{terms:?}: {error}");
        if names_nobody(&terms.audience) {
            // Of an open share that can mean that its members are not known, and stay.
            continue;
        }
        let error = sharing(&*provider).reshare(&share.id, terms).await;
        let error = error.expect_err(&format!("{terms:?}"));
        // A drive that cannot change a share at all may say so first.
        assert!(
            matches!(error.kind, ErrorKind::Invalid | ErrorKind::Unsupported),
            "{terms:?}: {error}"
        );
    }
    let too_many = vec![stage.file.clone(); stage.shares().items_max + 1];
    for items in [&too_many[..], &[]] {
        let error = sharing(&*provider).share(items, stage.terms()).await;
        let error = error.expect_err(&format!("{} items", items.len()));
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    }
    assert_eq!(stage.calls(), before, "nothing was asked");
}

pub(crate) async fn a_share_whose_answer_is_lost_is_not_made_twice(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let lost = Rule::on(stage.shares().create, Action::CutBody { at: 0 });
    stage.rig.drive.faults().add(lost.times(1));
    let share = sharing(&*provider).share(one(&stage.file), stage.terms());
    let share = match share.await {
        Ok(share) => share,
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            let again = sharing(&*provider).share(one(&stage.file), stage.terms());
            again.await.expect("a share")
        }
    };
    let listed = stage.open_shares_of(&stage.file).await;
    let listed: Vec<_> = listed.into_iter().map(|share| share.id).collect();
    assert_eq!(listed, [share.id]);
    let second = sharing(&*provider).share(one(&stage.file), stage.terms());
    let is_same = second.await.expect("a share").id == listed[0];
    assert_eq!(is_same, stage.shares().one_per_item);
}

pub(crate) async fn a_share_answered_after_the_callers_deadline_is_not_made_twice(start: Start) {
    let stage = stage(start);
    let provider: Arc<dyn Provider> = stage.rig.open().await;
    let late = Rule::on(stage.shares().create, Action::StallBody { at: 0 });
    stage.rig.drive.faults().add(late.times(1));
    let (asked, item, terms) = (provider.clone(), stage.file.clone(), stage.terms().clone());
    let task = tokio::spawn(async move { sharing(&*asked).share(one(&item), &terms).await });
    while stage.open_shares_of(&stage.file).await.is_empty() {
        yield_now().await;
    }
    task.abort();
    assert!(task.await.expect_err("it was dropped").is_cancelled());
    stage.rig.drive.faults().clear();
    let share = sharing(&*provider).share(one(&stage.file), stage.terms());
    let share = share.await.expect("a share");
    let listed = stage.open_shares_of(&stage.file).await;
    let listed: Vec<_> = listed.into_iter().map(|share| share.id).collect();
    assert_eq!(listed, [share.id]);
}

pub(crate) async fn a_throttled_share_tells_how_long_to_wait(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let throttle = Action::Status {
        code: 429,
        retry_after: Some(RetryAfter::Seconds(7)),
        body: None,
    };
    let sharing = sharing(&*provider);
    // A provider that keeps a list of its own asks about what is in it.
    let first = sharing.share(one(&stage.folder), stage.terms()).await;
    first.expect("a share");
    stage.rig.drive.faults().add(Rule::on("any", throttle));
    let share = sharing.share(one(&stage.file), stage.terms()).await;
    let page = sharing.shares(None).await;
    for error in [
        share.expect_err("it is throttled"),
        page.expect_err("it is throttled"),
    ] {
        assert_eq!(error.kind, ErrorKind::RateLimited, "{error}");
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }
    stage.rig.drive.faults().clear();
    let share = sharing.share(one(&stage.file), stage.terms()).await;
    share.expect("a share");
    assert_eq!(stage.open_shares_of(&stage.file).await.len(), 1);
}

pub(crate) async fn a_login_that_ends_between_shares_is_renewed(start: Start) {
    let renewing = |stage: &Stage| {
        let logins = stage.rig.logins.iter().enumerate();
        let renewing = logins.filter(|(_, login)| login.renews);
        renewing.map(|(index, _)| index).collect::<Vec<_>>()
    };
    let logins = renewing(&stage(start));
    assert!(!logins.is_empty(), "a login renews");
    for index in logins {
        let stage = stage(start);
        let provider = stage.rig.open_with(&stage.rig.logins[index]).await;
        let sharing = sharing(&*provider);
        let share = sharing.share(one(&stage.file), stage.terms()).await;
        let share = share.expect("a share");
        stage.rig.drive.expire_tokens();
        let second = sharing.share(one(&stage.folder), stage.terms()).await;
        second.expect("a share");
        stage.rig.drive.expire_tokens();
        assert_eq!(sharing.unshare(&share.id).await, Ok(()));
        stage.rig.drive.expire_tokens();
        let page = sharing.shares(None).await.expect("a page");
        let open = page.shares.iter();
        let open = open.filter(|share| share.state == ShareState::Open);
        assert_eq!(open.count(), 1, "each was made once");
    }
}

pub(crate) async fn no_access_code_is_shown(start: Start) {
    let stage = stage(start);
    let provider = stage.rig.open().await;
    let terms = stage.terms();
    let SharePassword::Given(given) = &terms.password else {
        panic!("the terms have an access code")
    };
    let sharing = sharing(&*provider);
    let share = sharing.share(one(&stage.file), terms).await;
    let share = share.expect("a share");
    let page = sharing.shares(None).await.expect("a page");
    let mut shown = vec![format!("{terms:?} {share:?} {page:#?}")];
    // A drive that repeats what it was told.
    let echo = format!("bad: {}", given.expose());
    let body = serde_json::json!({"code": "No", "message": echo, "msg": echo}).to_string();
    for code in [400, 403, 429] {
        let refusal = Action::Status {
            code,
            retry_after: None,
            body: Some(body.clone()),
        };
        let faults = stage.rig.drive.faults();
        faults.add(Rule::on(stage.shares().create, refusal.clone()));
        faults.add(Rule::on(stage.shares().change, refusal));
        let errors = [
            sharing.share(one(&stage.folder), terms).await,
            sharing.reshare(&share.id, terms).await,
        ];
        faults.clear();
        for error in errors {
            let error = error.expect_err("it is refused");
            shown.push(format!("{error} {error:?}"));
        }
    }
    for text in &shown {
        assert!(!text.contains(given.expose().as_str()), "{text}");
    }
}
