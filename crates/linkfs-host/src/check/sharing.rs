use linkfs_provider::wire::{
    Ability, Audience, Call, ErrorKind, Permission, Share, SharePage, SharePassword, ShareTerms,
};
use linkfs_provider::{ItemId, ShareId};

use super::bench::Bench;
use super::findings::{Findings, Tried, missing, unchecked};
use super::listing::Seen;
use super::promises;
use super::session::{Session, kind};

/// How long the share may last that is made and revoked: a day.
const LIFE_MS: u64 = 24 * 3600 * 1000;
/// Where a new share is looked for: the newest come first.
const MOST_PAGES: usize = 10;

pub(super) async fn check(
    bench: &mut Bench,
    findings: &mut Findings<'_>,
    seen: &Seen,
    may_share: bool,
) {
    if !bench.abilities.contains(&Ability::Sharing) {
        for promise in [promises::CHECK_SHARE, promises::SHARE] {
            findings.note(promise, Err(unchecked("it has no such ability")));
        }
        return;
    }
    findings.note(promises::CHECK_SHARE, refuses(bench).await);
    let shared = match (may_share, seen.files().next()) {
        (false, _) => Err(unchecked("no share may be made (--share)")),
        (true, None) => Err(unchecked("there is no file to share")),
        (true, Some(file)) => share(bench, &file.id).await,
    };
    findings.note(promises::SHARE, shared);
}

fn terms() -> ShareTerms {
    ShareTerms {
        valid_for_ms: Some(LIFE_MS),
        password: SharePassword::None,
        audience: Audience::Anyone,
        permissions: vec![Permission::Preview, Permission::Download],
        note: None,
    }
}

/// Terms that contradict themselves on every drive.
async fn refuses(bench: &mut Bench) -> Tried {
    let nobody = Audience::Members {
        users: Vec::new(),
        groups: Vec::new(),
        departments: Vec::new(),
    };
    let impossible = [
        (
            "members of whom there is none",
            ShareTerms {
                audience: nobody,
                ..terms()
            },
        ),
        (
            "an end that is now",
            ShareTerms {
                valid_for_ms: Some(0),
                ..terms()
            },
        ),
    ];
    for (what, terms) in impossible {
        let expected = format!("the error {} for {what}", kind(ErrorKind::Invalid));
        let session = bench.session().await?;
        match session.ask(Call::CheckShare { terms }).await? {
            Err(error) if error.kind == ErrorKind::Invalid => {}
            Err(error) => return Err(missing(expected, session.shown(&error))),
            Ok(_) => return Err(missing(expected, "consent")),
        }
    }
    Ok(())
}

async fn share(bench: &mut Bench, file: &ItemId) -> Tried {
    let session = bench.session().await?;
    let call = Call::CheckShare { terms: terms() };
    if let Err(error) = session.ask(call).await? {
        let why = format!(
            "the drive has no open share for a day ({})",
            session.shown(&error)
        );
        return Err(unchecked(why));
    }
    let call = Call::Share {
        items: vec![file.clone()],
        terms: terms(),
    };
    let made: Share = session.value(call).await?;
    let id = made.id.clone();
    let listed = look_at(session, made).await;
    // Whatever is wrong with it, it must not stay.
    for _ in 0..2 {
        let call = Call::Unshare { share: id.clone() };
        if let Err(error) = session.ask(call).await? {
            let came = session.shown(&error);
            return Err(missing("that it is revoked, twice too", came));
        }
    }
    listed
}

async fn look_at(session: &mut Session, made: Share) -> Tried {
    let id = made.id.clone();
    if made.url.expose().is_empty() {
        return Err(missing("an address to hand on", "an empty one"));
    }
    match is_listed(session, &id).await? {
        true => Ok(()),
        false => Err(missing(
            "the new share among the first of `shares`",
            "others alone",
        )),
    }
}

async fn is_listed(session: &mut Session, id: &ShareId) -> Tried<bool> {
    let mut after = None;
    for _ in 0..MOST_PAGES {
        let page: SharePage = session.value(Call::Shares { after }).await?;
        if page.shares.iter().any(|share| share.id == *id) {
            return Ok(true);
        }
        match page.next {
            None => return Ok(false),
            next => after = next,
        }
    }
    Ok(false)
}
