use std::time::{Duration, Instant};

use linkfs_provider::Link;
use linkfs_provider::wire::{self, Call, ErrorKind, Item, Outcome};

use super::bench::Bench;
use super::fetch::{self, Head};
use super::findings::{Findings, Tried, missing, unchecked};
use super::listing::Seen;
use super::session::{Session, kind, seconds, shown};
use super::{promises, signature};

/// So many links are asked for at once.
const MOST_LINKS: usize = 5;
/// Times in headers and addresses are whole seconds, and some pass on the way.
const TOLERANCE: Duration = Duration::from_secs(5);

type Answers = Vec<Outcome<wire::Link>>;

/// A file with its link, and when that was asked for.
struct Linked {
    file: Item,
    link: Link,
    asked: Instant,
}

pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>, seen: &Seen) {
    let all = [
        promises::LINKS,
        promises::LINK_ORDER,
        promises::LINK_FAILURE,
        promises::LINK_WORKS,
        promises::LINK_LIFE,
        promises::LINK_AGAIN,
    ];
    let per_call = bench.about.as_ref().map_or(1, |about| about.links_per_call);
    let files = choose(seen, per_call);
    if files.is_empty() {
        for promise in all {
            let why = "no file with bytes was found in the folders that were listed";
            findings.note(promise, Err(unchecked(why)));
        }
        return;
    }
    let linked = linked(bench, &files).await;
    let count = linked.as_ref().map(drop).map_err(Clone::clone);
    findings.note(promises::LINKS, count);
    let linked = linked.unwrap_or_default();
    let heads = fetch_all(&linked).await;
    findings.note(promises::LINK_ORDER, order(&linked, &heads));
    let failure = failure(bench, &files, seen, per_call).await;
    findings.note(promises::LINK_FAILURE, failure);
    let works = findings.note(promises::LINK_WORKS, works(&linked, &heads));
    findings.note(promises::LINK_LIFE, life(&linked, &heads));
    let again = match linked.first() {
        Some(first) if works => again(bench, first).await,
        _ => Err(unchecked("there is no link that works")),
    };
    findings.note(promises::LINK_AGAIN, again);
}

/// Files of different sizes, as far as there are any: by these it shows which file a link is for.
fn choose(seen: &Seen, per_call: usize) -> Vec<Item> {
    let mut chosen: Vec<Item> = Vec::new();
    for file in seen.files() {
        if chosen.iter().all(|other| other.size != file.size) {
            chosen.push(file.clone());
        }
    }
    chosen.truncate(per_call.min(MOST_LINKS));
    chosen
}

async fn ask(session: &mut Session, files: Vec<linkfs_provider::ItemId>) -> Tried<Answers> {
    let count = files.len();
    let answers: Answers = session.value(Call::Links { files }).await?;
    match answers.len() == count {
        true => Ok(answers),
        false => {
            let came = format!("{}", answers.len());
            Err(missing(format!("{count} answers for {count} files"), came))
        }
    }
}

/// A link for each of the files.
async fn linked(bench: &mut Bench, files: &[Item]) -> Tried<Vec<Linked>> {
    let asked = Instant::now();
    let session = bench.session().await?;
    let ids = files.iter().map(|file| file.id.clone()).collect();
    let answers = ask(session, ids).await?;
    let mut linked = Vec::new();
    for (file, answer) in files.iter().zip(answers) {
        let link = link(bench, answer)?;
        let file = file.clone();
        linked.push(Linked { file, link, asked });
    }
    Ok(linked)
}

fn link(bench: &Bench, answer: Outcome<wire::Link>) -> Tried<Link> {
    match answer {
        Outcome::Ok(link) => {
            Link::try_from(link).map_err(|error| missing("a link with an address", error.message))
        }
        Outcome::Error(error) => {
            bench.witness.add_message(&error.message);
            Err(missing("a link", shown(&bench.launch.redactor, &error)))
        }
    }
}

async fn fetch_all(linked: &[Linked]) -> Vec<Result<Head, String>> {
    let mut heads = Vec::new();
    for one in linked {
        heads.push(fetch::first_byte(&one.link).await);
    }
    heads
}

fn sizes(linked: &[Linked]) -> Vec<u64> {
    linked.iter().filter_map(|one| one.file.size).collect()
}

fn totals(heads: &[Result<Head, String>]) -> Vec<u64> {
    let totals = heads.iter().map(|head| head.as_ref().ok()?.total);
    totals.collect::<Option<_>>().unwrap_or_default()
}

/// Whether the right files come, but each under another's link.
fn is_mixed_up(linked: &[Linked], heads: &[Result<Head, String>]) -> bool {
    let (mut sizes, mut totals) = (sizes(linked), totals(heads));
    let is_in_order = sizes == totals;
    sizes.sort_unstable();
    totals.sort_unstable();
    !is_in_order && sizes == totals
}

fn order(linked: &[Linked], heads: &[Result<Head, String>]) -> Tried {
    let (sizes, totals) = (sizes(linked), totals(heads));
    if is_mixed_up(linked, heads) {
        let expected = format!("files of {sizes:?} bytes");
        return Err(missing(expected, format!("{totals:?}")));
    }
    match sizes.len() {
        0 => Err(unchecked("there is no link")),
        1 => Err(unchecked(
            "it takes two files of different sizes in one call",
        )),
        _ if sizes == totals => Ok(()),
        _ => Err(unchecked("the links do not give their files")),
    }
}

fn works(linked: &[Linked], heads: &[Result<Head, String>]) -> Tried {
    if linked.is_empty() {
        return Err(unchecked("there is no link"));
    }
    // That is another promise.
    let is_mixed_up = is_mixed_up(linked, heads);
    for (one, head) in linked.iter().zip(heads) {
        let size = one.file.size.unwrap_or_default();
        gives(head, (!is_mixed_up).then_some(size))?;
    }
    Ok(())
}

fn gives(head: &Result<Head, String>, size: Option<u64>) -> Tried {
    let expected = match size {
        Some(size) => format!("206 with the first of {size} bytes"),
        None => "206 with the first byte".to_owned(),
    };
    match head {
        Err(reason) => Err(missing(expected, reason)),
        Ok(head) if head.status != 206 => Err(missing(expected, format!("{}", head.status))),
        Ok(Head { total: None, .. }) => Err(missing(
            expected,
            "206 without `Content-Range: bytes 0-0/SIZE`",
        )),
        Ok(Head { total, .. }) if size.is_some() && *total != size => Err(missing(
            expected,
            format!("the first of {} bytes", total.unwrap_or_default()),
        )),
        Ok(_) => Ok(()),
    }
}

fn life(linked: &[Linked], heads: &[Result<Head, String>]) -> Tried {
    let mut told = false;
    for (one, head) in linked.iter().zip(heads) {
        let life = one.link.valid_for;
        if life.is_zero() {
            return Err(missing("a link that holds for a while", "`valid_for_ms` 0"));
        }
        let ends = one
            .link
            .urls
            .iter()
            .filter_map(|url| signature::end(url.expose()));
        // The drive's clock counts, and its answer tells it.
        let now = head.as_ref().ok().and_then(|head| head.date);
        if let (Some(end), Some(now)) = (ends.min(), now) {
            told = true;
            let left = end.duration_since(now).unwrap_or_default();
            at_most(life, left)?;
        }
    }
    match told {
        true => Ok(()),
        false => Err(unchecked(
            "no address tells its end in a form that is known",
        )),
    }
}

fn at_most(life: Duration, left: Duration) -> Tried {
    match life <= left.saturating_add(TOLERANCE) {
        true => Ok(()),
        false => {
            let expected = format!("at most the {} that its address has left", seconds(left));
            Err(missing(expected, seconds(life)))
        }
    }
}

/// A missing file between others.
async fn failure(bench: &mut Bench, files: &[Item], seen: &Seen, per_call: usize) -> Tried {
    if per_call < 2 {
        return Err(unchecked("a call takes one file alone"));
    }
    let good = &files[0].id;
    let last = (per_call > 2).then(|| files[files.len() - 1].id.clone());
    let expected = format!("a link, the error {} and a link", kind(ErrorKind::NotFound));
    let mut came = String::new();
    for unknown in seen.unknown_ids() {
        let ids = [good.clone(), unknown].into_iter().chain(last.clone());
        let answers = ask(bench.session().await?, ids.collect()).await?;
        let mut words = Vec::new();
        for answer in &answers {
            words.push(match answer {
                Outcome::Ok(_) => "a link".to_owned(),
                Outcome::Error(error) => {
                    bench.witness.add_message(&error.message);
                    shown(&bench.launch.redactor, error)
                }
            });
        }
        let fails = |answer: &Outcome<_>| matches!(answer, Outcome::Error(error) if error.kind == ErrorKind::NotFound);
        let is_link = |answer: &Outcome<_>| matches!(answer, Outcome::Ok(_));
        let are_links = answers.iter().step_by(2).all(is_link);
        if are_links && fails(&answers[1]) {
            return Ok(());
        }
        came = words.join(", ");
    }
    Err(missing(expected, came))
}

/// The same file's link once more.
async fn again(bench: &mut Bench, first: &Linked) -> Tried {
    let second = linked(bench, std::slice::from_ref(&first.file)).await?;
    let Some(second) = second.first() else {
        return Err(unchecked("there is no second link"));
    };
    let passed = second.asked.duration_since(first.asked);
    let least = first.link.valid_for.saturating_sub(passed + TOLERANCE);
    let life = second.link.valid_for;
    if life < least {
        let expected = format!("{} at least, as the first link has left", seconds(least));
        return Err(missing(expected, seconds(life)));
    }
    for link in [&first.link, &second.link] {
        // Whose bytes they are is another promise.
        gives(&fetch::first_byte(link).await, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_link_may_hold_for_less_than_its_address_says() {
        let second = Duration::from_secs;
        for (life, left, is_kept) in [
            (60, 60, true),
            (1, 3600, true),
            (62, 60, true),
            (3600, 900, false),
            (60, 0, false),
        ] {
            assert_eq!(
                at_most(second(life), second(left)).is_ok(),
                is_kept,
                "{life} {left}"
            );
        }
    }
}
