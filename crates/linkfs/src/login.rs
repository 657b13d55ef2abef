//! `linkfs login DRIVE`: a person opens a page and brings back a code. The provider keeps the tokens
//! that it buys, where the mounts of the drive find them.

use std::io::{self, BufRead, IsTerminal, Read};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use linkfs_provider::{ErrorKind, Login, Provider, Secret};

use crate::config::{DriveConfig, Setting, SettingValue};
use crate::output;
use crate::setup::{Setup, Workers};

/// More than the longest address that a browser shows.
const LONGEST_CODE: u64 = 64 << 10;

pub(crate) fn run(setup: &Setup, name: &str) -> Result<()> {
    setup.start_log()?;
    let config = setup.config()?;
    let drive = config.drive(name)?;
    let deadline = config.mount.deadline;
    let workers = Workers::start()?;
    let opened = workers.run(setup.open(&config, name, deadline))?;
    let Some(login) = opened.provider.login() else {
        let answer = workers.run(answers(&*opened.provider, deadline));
        return without_login(name, drive, answer);
    };
    let step = workers.run(within(deadline, login.begin()))?;
    output::text(&format!("{}\n\n  {}\n\n", step.instructions, step.url))?;
    let code = read_code()?;
    workers.run(finish(login, code, deadline))?;
    workers
        .run(answers(&*opened.provider, deadline))
        .context("the login succeeded and is kept, but the drive does not answer with it")?;
    output::text(&format!(
        "logged in to \"{name}\"; mounts of it go on by themselves\n"
    ))
}

async fn finish(login: &dyn Login, code: Secret<String>, deadline: Duration) -> Result<()> {
    within(deadline, login.finish(code)).await
}

/// Whether the drive lets the account in: its top folder can be listed.
async fn answers(provider: &dyn Provider, deadline: Duration) -> Result<()> {
    let listed = provider.list(&provider.about().root, None);
    within(deadline, listed).await.map(|_page| ())
}

async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = linkfs_provider::Result<T>>,
) -> Result<T> {
    let answer = tokio::time::timeout(deadline, answer).await;
    Ok(answer.with_context(|| format!("no answer within {} s", deadline.as_secs_f32()))??)
}

/// One line of stdin.
fn read_code() -> Result<Secret<String>> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        eprint!("Paste it here: ");
    }
    let mut line = String::new();
    let mut stdin = io::stdin().lock().take(LONGEST_CODE);
    // The error would be about the bytes, and may show some.
    let read = stdin.read_line(&mut line);
    ensure!(
        read.is_ok(),
        "cannot read the code from stdin: expected a line of text"
    );
    let code = line.trim();
    ensure!(
        !code.is_empty(),
        "nothing was pasted: there is no code on stdin"
    );
    Ok(Secret::new(code.to_owned()))
}

/// What to do for a drive whose token a person gets elsewhere.
fn without_login(name: &str, drive: &DriveConfig, answer: Result<()>) -> Result<()> {
    let error = match answer {
        Ok(()) => return output::text(&format!("drive \"{name}\" needs no login: it answers\n")),
        Err(error) => error,
    };
    let cause = error.downcast_ref::<linkfs_provider::ProviderError>();
    if cause.is_some_and(|cause| cause.kind != ErrorKind::LoginExpired) {
        return Err(error.context(format!("drive \"{name}\" does not answer")));
    }
    let secrets = drive.secret_settings();
    let Some((key, setting)) = secrets.first() else {
        bail!(
            "{}: drive \"{name}\" has no token; its plugin says: {error:#}",
            drive.place
        );
    };
    let place = &setting.place;
    Err(anyhow!(
        "{place}: drive \"{name}\" has no login to go through: put a new `{key}` {}, then unmount and \
         mount again ({error:#})",
        whereabouts(setting)
    ))
}

fn whereabouts(setting: &Setting) -> String {
    match &setting.value {
        SettingValue::Plain(_) => "there".to_owned(),
        SettingValue::Environment(name) => format!("into the environment variable {name}"),
        SettingValue::File(path) => format!("into the file {}", path.display()),
        SettingValue::Command(_) => "where the command there gets it".to_owned(),
    }
}
