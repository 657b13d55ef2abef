use std::time::Duration;

use super::super::fake::{FakeDrive, share};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    sharer: Sharer,
    provider: Arc<super::super::fake::FakeDrive>,
    target: Target,
}

impl Scene {
    fn new(fake: FakeDrive) -> Scene {
        Scene::with(fake, SharePolicy::default())
    }

    fn with(fake: FakeDrive, policy: SharePolicy) -> Scene {
        let (drive, provider) = fake.open();
        let target = Target {
            drive,
            item: "a".into(),
            is_folder: false,
            path: "docs/a.txt".to_owned(),
            path_on_drive: "docs/a.txt".to_owned(),
        };
        let sharer = Sharer::new(policy, None);
        Scene {
            sharer,
            provider,
            target,
        }
    }

    async fn set(&self, terms: &str) -> Result<()> {
        self.set_as(terms, SetMode::Any).await
    }

    async fn set_as(&self, terms: &str, mode: SetMode) -> Result<()> {
        let caller = Caller::default();
        self.sharer
            .set(&self.target, terms.as_bytes(), mode, &caller)
            .await
    }

    async fn remove(&self) -> Result<()> {
        self.sharer.remove(&self.target, &Caller::default()).await
    }

    async fn get(&self, fact: ShareFact) -> Result<String> {
        let deadline = Instant::now() + MINUTE;
        self.sharer.get(&self.target, fact, deadline).await
    }

    async fn url(&self) -> Option<String> {
        match self.get(ShareFact::Address).await {
            Err(Error::NoAttribute) => None,
            found => Some(found.unwrap()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_is_made_read_changed_and_revoked() {
    let scene = Scene::new(FakeDrive::default());
    assert_eq!(scene.url().await, None);
    scene.set("password=Zx81kk02").await.unwrap();
    assert_eq!(
        scene.url().await.as_deref(),
        Some("https://example.test/s1")
    );
    assert_eq!(scene.get(ShareFact::Password).await.unwrap(), "Zx81kk02");
    assert_eq!(scene.provider.calls(), ["shares", "share"]);
    scene.set("expires=30d note=x").await.unwrap();
    let info: serde_json::Value =
        serde_json::from_str(&scene.get(ShareFact::Info).await.unwrap()).unwrap();
    assert_eq!(info["share"]["terms"]["note"], "x");
    assert_eq!(info["share"]["password"], "Zx81kk02");
    assert_eq!(scene.provider.calls(), ["reshare"]);
    scene.remove().await.unwrap();
    assert_eq!(scene.url().await, None);
    assert_eq!(scene.provider.calls(), ["unshare"]);
    assert!(scene.provider.shares().is_empty());
    assert_eq!(scene.target.drive.shares.counts(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_change_keeps_the_terms_that_it_does_not_name() {
    let scene = Scene::new(FakeDrive::default());
    scene
        .set("expires=30d password=Zx81kk02 note=kept")
        .await
        .unwrap();
    scene.set("allow=preview").await.unwrap();
    let share = &scene.provider.shares()[0];
    let left = share.terms.valid_for.unwrap();
    assert!(
        left > 29 * 24 * 60 * MINUTE && left <= 30 * 24 * 60 * MINUTE,
        "{left:?}"
    );
    assert_eq!(share.password.as_ref().unwrap().expose(), "Zx81kk02");
    assert_eq!(share.terms.note.as_deref(), Some("kept"));
    assert!(!share.terms.permissions.download);
}

#[tokio::test(start_paused = true)]
async fn setting_again_without_terms_changes_nothing() {
    let scene = Scene::new(FakeDrive::default());
    scene.set("").await.unwrap();
    scene.set("").await.unwrap();
    scene.set("{}").await.unwrap();
    assert_eq!(scene.provider.calls(), ["shares", "share"]);
}

#[tokio::test(start_paused = true)]
async fn the_list_is_asked_for_once_a_minute_and_page_by_page() {
    let fake = FakeDrive {
        page_size: 2,
        delay: Duration::from_secs(1),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    for id in ["1", "2", "3"] {
        scene.provider.add(share(id, &["b"]));
    }
    scene.provider.add(share("4", &["a"]));
    let (first, second) = tokio::join!(scene.url(), scene.url());
    assert_eq!(
        (first.as_deref(), second),
        (Some("https://example.test/4"), first.clone())
    );
    assert_eq!(scene.provider.calls(), ["shares", "shares"]);
    scene.provider.clear();
    tokio::time::advance(MINUTE - Duration::from_secs(10)).await;
    assert_eq!(scene.url().await, first);
    tokio::time::advance(MINUTE).await;
    assert_eq!(scene.url().await, None);
    assert_eq!(scene.provider.calls(), ["shares"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_the_pages_that_came_to_the_next() {
    let fake = FakeDrive {
        page_size: 1,
        delay: Duration::from_secs(1),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    for id in ["1", "2", "3", "4", "5"] {
        scene.provider.add(share(id, &["a"]));
    }
    let hurry = Duration::from_millis(3500);
    assert!(tokio::time::timeout(hurry, scene.url()).await.is_err());
    assert_eq!(scene.provider.calls().len(), 4);
    assert_eq!(scene.url().await.as_deref(), Some("https://example.test/5"));
    assert_eq!(scene.provider.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_make_one_share() {
    let fake = FakeDrive {
        delay: Duration::from_secs(1),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    let (first, second) = tokio::join!(scene.set(""), scene.set(""));
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(scene.provider.shares().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn flags_say_whether_it_may_be_there() {
    let scene = Scene::new(FakeDrive::default());
    assert_eq!(
        scene.set_as("", SetMode::Replace).await,
        Err(Error::NoAttribute)
    );
    scene.set_as("", SetMode::Create).await.unwrap();
    let again = scene.set_as("", SetMode::Create).await;
    assert!(matches!(again, Err(Error::AlreadyShared(_))), "{again:?}");
    scene.set_as("note=x", SetMode::Replace).await.unwrap();
    assert_eq!(scene.provider.shares().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn bad_terms_and_breaches_cost_no_call() {
    let policy = SharePolicy {
        longest: Some(30 * 24 * 60 * MINUTE),
        denied: super::super::DeniedPaths::new(&["secret".to_owned()]).unwrap(),
        ..SharePolicy::default()
    };
    let mut scene = Scene::with(FakeDrive::default(), policy);
    for terms in [
        "expires=soon",
        "audience=members",
        "password",
        "{",
        "expires=2001-01-01",
    ] {
        let refused = scene.set(terms).await;
        assert!(
            matches!(refused, Err(Error::BadTerms(_))),
            "{terms}: {refused:?}"
        );
    }
    for terms in ["expires=31d", "expires=never"] {
        let refused = scene.set(terms).await;
        assert!(
            matches!(refused, Err(Error::Forbidden(_))),
            "{terms}: {refused:?}"
        );
    }
    scene.target.path = "secret/a".to_owned();
    assert!(matches!(scene.set("").await, Err(Error::Forbidden(_))));
    assert_eq!(scene.provider.calls(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_open_share_that_the_drive_cannot_change_stays() {
    let fake = FakeDrive {
        can_reshare: false,
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    scene.set("").await.unwrap();
    let refused = scene.set("note=x").await;
    assert!(
        matches!(refused, Err(Error::AlreadyShared(_))),
        "{refused:?}"
    );
    assert!(scene.url().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_drive_without_sharing_says_so() {
    let fake = FakeDrive {
        can_share: false,
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    let results = [
        scene.set("").await,
        scene.remove().await,
        scene.get(ShareFact::Address).await.map(drop),
    ];
    for result in results {
        let Err(Error::Drive(error)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }
    assert_eq!(
        crate::status::of_drive(&scene.target.drive)
            .shares
            .map(|shares| shares.made),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_shared_is_revoked_already() {
    let scene = Scene::new(FakeDrive::default());
    scene.remove().await.unwrap();
    assert_eq!(scene.provider.calls(), ["shares"]);
    // Somebody shares it elsewhere a moment later: an old list does not say that it is not shared.
    tokio::time::advance(SURE_AGE).await;
    scene.provider.add(share("web", &["a"]));
    scene.remove().await.unwrap();
    assert_eq!(scene.provider.calls(), ["shares", "unshare"]);
    assert!(scene.provider.shares().is_empty());
    // And a share that somebody revoked elsewhere is gone.
    scene.set("").await.unwrap();
    scene.provider.clear();
    scene.provider.refuse(ErrorKind::NotFound, None);
    scene.remove().await.unwrap();
    assert_eq!(scene.url().await, None);
}

#[tokio::test(start_paused = true)]
async fn every_share_of_just_this_item_is_revoked_and_no_other() {
    let scene = Scene::new(FakeDrive::default());
    for (id, items) in [
        ("1", &["a"][..]),
        ("2", &["a", "b"]),
        ("3", &["a"]),
        ("4", &["b"]),
    ] {
        scene.provider.add(share(id, items));
    }
    scene.remove().await.unwrap();
    let left: Vec<_> = scene
        .provider
        .shares()
        .into_iter()
        .map(|share| share.id.0)
        .collect();
    assert_eq!(left, ["4", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_drive_asks_for_is_waited_out() {
    let scene = Scene::new(FakeDrive::default());
    scene.provider.refuse(ErrorKind::RateLimited, Some(20));
    scene.url().await;
    scene.provider.refuse(ErrorKind::RateLimited, Some(50));
    scene.provider.refuse(ErrorKind::RateLimited, None);
    let started = Instant::now();
    scene.set("").await.unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(50),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(scene.provider.shares().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_is_down_is_given_up_as_for_any_other_request() {
    let scene = Scene::new(FakeDrive::default());
    for _ in 0..100 {
        scene.provider.refuse(ErrorKind::Unavailable, None);
    }
    let started = Instant::now();
    assert!(scene.set("").await.is_err());
    assert!(scene.provider.calls().len() > 1);
    // The deadline of this drive is 10 s.
    let time = started.elapsed();
    assert!(time <= Duration::from_secs(10), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_told_at_once() {
    let scene = Scene::new(FakeDrive::default());
    scene.provider.refuse(ErrorKind::RateLimited, Some(600));
    let started = Instant::now();
    let Err(Error::Drive(error)) = scene.set("").await else {
        panic!("no error of the drive");
    };
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert!(started.elapsed() < MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_share_whose_answer_was_lost_is_not_asked_for_again() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Broken] {
        let scene = Scene::new(FakeDrive::default());
        scene.url().await;
        scene.provider.refuse(kind, None);
        assert!(scene.set("").await.is_err());
        assert_eq!(scene.provider.calls(), ["shares", "share"], "{kind:?}");
    }
    let fake = FakeDrive {
        delay: Duration::from_secs(50),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    scene
        .target
        .drive
        .shares
        .lock()
        .replace(Instant::now(), Vec::new());
    let refused = scene.set("").await;
    assert!(
        matches!(refused, Err(Error::Deadline { .. })),
        "{refused:?}"
    );
    assert_eq!(scene.provider.calls(), ["share"]);
    // A change may be asked for twice: it comes to the same.
    let scene = Scene::new(FakeDrive::default());
    scene.set("").await.unwrap();
    scene.provider.refuse(ErrorKind::Unavailable, None);
    scene.set("note=x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_share_that_takes_the_drive_half_a_minute_is_waited_for() {
    let fake = FakeDrive {
        delay: Duration::from_secs(31),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    let shares = &scene.target.drive.shares;
    shares.lock().replace(Instant::now(), Vec::new());
    scene.set("").await.unwrap();
    assert_eq!(scene.provider.shares().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_still_being_made_shows_its_number_and_is_not_made_twice() {
    let fake = FakeDrive {
        is_slow: true,
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    scene.set("").await.unwrap();
    assert_eq!(scene.url().await.as_deref(), Some("pending:s1"));
    let info = scene.get(ShareFact::Info).await.unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["share"]["name"], "a.txt");
    let open = scene.sharer.open_share(&scene.target).unwrap();
    let left = open.expires.unwrap().duration_since(SystemTime::now());
    let left = left.unwrap().as_secs_f64() / 86400.0;
    assert!(left > 6.9 && left <= 7.0, "{left} days");
    tokio::time::advance(2 * MINUTE).await;
    scene.set("").await.unwrap();
    let refused = scene.set("note=x").await;
    assert!(
        matches!(refused, Err(Error::AlreadyShared(_))),
        "{refused:?}"
    );
    let calls = scene.provider.calls();
    assert_eq!(
        calls.iter().filter(|call| **call == "share").count(),
        1,
        "{calls:?}"
    );
    // The drive has made it: whoever looks a moment later sees its address.
    scene.provider.add(share("made", &["a"]));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(
        scene.url().await.as_deref(),
        Some("https://example.test/made")
    );
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_checks_everything_and_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let policy = SharePolicy {
        dry_run: true,
        requires_password: true,
        ..SharePolicy::default()
    };
    let mut scene = Scene::with(FakeDrive::default(), policy.clone());
    scene.sharer = Sharer::new(
        policy,
        Some(AuditFile {
            path: path.clone(),
            is_required: true,
        }),
    );
    scene.set("password=auto").await.unwrap();
    assert!(scene.set("").await.is_err());
    assert!(scene.set("x").await.is_err());
    scene.remove().await.unwrap();
    assert_eq!(scene.provider.calls(), Vec::<&str>::new());
    let text = std::fs::read_to_string(path).unwrap();
    let results: Vec<_> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["result"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(results, ["dry run", "refused", "refused", "dry run"]);
}

#[tokio::test(start_paused = true)]
async fn without_its_audit_nothing_is_shared() {
    let mut scene = Scene::new(FakeDrive::default());
    let file = |is_required| AuditFile {
        path: "/dev/null/audit.log".into(),
        is_required,
    };
    scene.sharer = Sharer::new(SharePolicy::default(), Some(file(true)));
    assert!(matches!(scene.set("").await, Err(Error::Forbidden(_))));
    assert!(scene.provider.shares().is_empty());
    scene.sharer = Sharer::new(SharePolicy::default(), Some(file(false)));
    scene.set("").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn slow_shares_leave_room_for_reading() {
    let fake = FakeDrive {
        delay: Duration::from_secs(3),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    scene.url().await;
    let shares = &scene.target.drive.shares;
    let listing = async {
        // Eight shares are asked for by now, of which two are under way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        scene.target.drive.list(&"0".into(), None).await.unwrap();
        (started.elapsed(), shares.counts().1)
    };
    let one = |number: u32| {
        let target = Target {
            item: format!("i{number}").as_str().into(),
            ..scene.target.clone()
        };
        let sharer = &scene.sharer;
        async move {
            sharer
                .set(&target, b"", SetMode::Any, &Caller::default())
                .await
        }
    };
    let (read, ..) = tokio::join!(
        listing,
        one(1),
        one(2),
        one(3),
        one(4),
        one(5),
        one(6),
        one(7),
        one(8)
    );
    assert_eq!(read.0.as_secs(), 3, "it did not wait for them");
    assert!(read.1 >= 4, "{}", read.1);
    assert_eq!(scene.provider.shares().len(), 8);
}

/// Another target on the scene's drive.
fn other(scene: &Scene, item: &str) -> Target {
    Target {
        item: item.into(),
        ..scene.target.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_that_may_have_been_made_is_looked_for_before_it_is_said_to_be_none() {
    let scene = Scene::new(FakeDrive::default());
    assert_eq!(scene.url().await, None);
    tokio::time::advance(Duration::from_secs(1)).await;
    scene.provider.refuse(ErrorKind::Unavailable, None);
    assert!(scene.set("").await.is_err());
    // The drive has made it all the same.
    scene.provider.add(share("lost", &["a"]));
    scene.provider.calls();
    tokio::time::advance(Duration::from_secs(1)).await;
    scene.set("").await.unwrap();
    assert_eq!(scene.provider.calls(), ["shares"], "it is not made twice");
    scene.remove().await.unwrap();
    assert_eq!(scene.provider.shares().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn terms_that_the_drive_cannot_honour_cost_no_call() {
    let scene = Scene::new(FakeDrive::default());
    let refused = scene.set("expires=400d").await;
    assert!(matches!(refused, Err(Error::Drive(_))), "{refused:?}");
    assert_eq!(scene.provider.calls(), [""; 0]);
    scene.set("expires=300d").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pending_share_that_was_revoked_does_not_come_back() {
    let fake = FakeDrive {
        is_slow: true,
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    scene.set("").await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    scene.remove().await.unwrap();
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(scene.url().await, None);
}

#[tokio::test(start_paused = true)]
async fn changing_a_share_that_was_revoked_elsewhere_makes_another() {
    let scene = Scene::new(FakeDrive::default());
    scene.set("").await.unwrap();
    scene.provider.clear();
    let refused = scene.set_as("note=x", SetMode::Replace).await;
    assert_eq!(refused, Err(Error::NoAttribute));
    scene.set("").await.unwrap();
    scene.provider.clear();
    scene.set("note=x").await.unwrap();
    let shares = scene.provider.shares();
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0].terms.note.as_deref(), Some("x"));
}

#[tokio::test(start_paused = true)]
async fn what_is_shared_together_is_shared_once_in_whatever_order() {
    let fake = FakeDrive {
        delay: Duration::from_secs(1),
        ..FakeDrive::default()
    };
    let scene = Scene::new(fake);
    let (a, b) = (scene.target.clone(), other(&scene, "b"));
    let caller = Caller::default();
    let (there, back) = ([a.clone(), b.clone()], [b, a]);
    let (first, second) = tokio::join!(
        scene.sharer.share_together(&there, b"", &caller),
        scene.sharer.share_together(&back, b"", &caller),
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(scene.provider.shares().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_can_still_be_revoked() {
    let mut scene = Scene::new(FakeDrive::default());
    scene.set("").await.unwrap();
    let file = AuditFile {
        path: "/dev/null/audit.log".into(),
        is_required: true,
    };
    scene.sharer = Sharer::new(SharePolicy::default(), Some(file));
    scene.remove().await.unwrap();
    assert!(scene.provider.shares().is_empty());
}

#[tokio::test(start_paused = true)]
async fn names_that_are_shown_otherwise_are_forbidden_by_their_own() {
    let policy = SharePolicy {
        denied: crate::sharing::DeniedPaths::new(&["secret.txt".to_owned()]).unwrap(),
        ..SharePolicy::default()
    };
    let mut scene = Scene::with(FakeDrive::default(), policy);
    scene.target.path = "docs/secret (1a2b3c4d).txt".into();
    scene.set("").await.unwrap();
    scene.target.path_on_drive = "docs/secret.txt".into();
    assert!(matches!(scene.set("").await, Err(Error::Forbidden(_))));
}
