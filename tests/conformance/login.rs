use linkfs_emulator::{Action, ROOT_ID, Rule, Tree};
use linkfs_provider::{ErrorKind, Provider, ProviderError};
use tokio::task::{JoinSet, yield_now};

use crate::rig::{Rig, Start, list_all};

fn small(start: Start) -> Rig {
    let tree = Tree::new();
    tree.add_generated(ROOT_ID, "file", 1, 10);
    start(tree)
}

async fn look(provider: &dyn Provider) -> Result<(), ProviderError> {
    let root = &provider.about().root;
    provider.list(root, None).await.map(drop)
}

/// How often the drive was asked for a token, whatever the call for it is named.
fn logins(rig: &Rig) -> u64 {
    let other: u64 = rig.calls("auth.login") + rig.calls("auth.refresh");
    other + rig.calls(rig.drive.calls().token)
}

pub(crate) async fn an_expired_login_is_renewed_once_or_reported(start: Start) {
    for index in 0..small(start).logins.len() {
        let rig = small(start);
        let login = &rig.logins[index];
        let provider = rig.open_with(login).await;
        assert_eq!(look(&*provider).await, Ok(()), "login {index}");
        rig.drive.expire_tokens();
        let before = logins(&rig);
        let mut calls = JoinSet::new();
        for _ in 0..10 {
            let provider = provider.clone();
            calls.spawn(async move { look(&*provider).await });
        }
        for answer in calls.join_all().await {
            match answer {
                Ok(()) => {}
                Err(error) => {
                    assert!(!login.renews, "login {index}: {error}");
                    assert_eq!(
                        error.kind,
                        ErrorKind::LoginExpired,
                        "login {index}: {error}"
                    );
                }
            }
        }
        let renewals = logins(&rig) - before;
        assert_eq!(renewals, u64::from(login.renews), "login {index}");
    }
}

pub(crate) async fn a_refused_login_is_for_a_person_to_mend(start: Start) {
    for index in 0..small(start).logins.len() {
        let rig = small(start);
        let provider = rig.open_with(&rig.logins[index]).await;
        let refused = Action::Status {
            code: 401,
            retry_after: None,
            body: None,
        };
        rig.drive.faults().add(Rule::on("any", refused));
        let error = look(&*provider).await.expect_err("the login is refused");
        assert_eq!(
            error.kind,
            ErrorKind::LoginExpired,
            "login {index}: {error}"
        );
    }
}

pub(crate) async fn a_dropped_renewal_leaves_the_provider_usable(start: Start) {
    for index in 0..small(start).logins.len() {
        let rig = small(start);
        if !rig.logins[index].renews {
            continue;
        }
        let provider = rig.open_with(&rig.logins[index]).await;
        assert_eq!(look(&*provider).await, Ok(()), "login {index}");
        rig.drive.expire_tokens();
        let list = rig.drive.calls().list;
        // The first answer of the drive says that the token is over; what comes then is the renewal.
        rig.drive
            .faults()
            .add(Rule::on("any", Action::NeverAnswer).from(2));
        let (before, asked) = (logins(&rig), provider.clone());
        let task = tokio::spawn(async move { look(&*asked).await });
        while logins(&rig) == before {
            yield_now().await;
        }
        task.abort();
        assert!(task.await.expect_err("it was dropped").is_cancelled());
        rig.drive.faults().clear();
        rig.drive.faults().release();
        assert_eq!(look(&*provider).await, Ok(()), "login {index}");
        assert!(rig.calls(list) > 0);
    }
}

/// The configuration is read again and may hold what was traded in long ago.
pub(crate) async fn another_start_needs_no_other_login(start: Start) {
    for index in 0..small(start).logins.len() {
        let rig = small(start);
        let login = &rig.logins[index];
        let first = rig.open_with(login).await;
        let root = first.about().root.clone();
        let items = list_all(&*first, &root).await;
        if login.renews {
            rig.drive.expire_tokens();
            assert_eq!(look(&*first).await, Ok(()), "login {index}");
        }
        drop(first);
        let second = rig.open_with(login).await;
        assert_eq!(list_all(&*second, &root).await, items, "login {index}");
        let item = second.stat(&items[0].id).await;
        assert_eq!(item.as_ref(), Ok(&items[0]), "login {index}");
    }
}
