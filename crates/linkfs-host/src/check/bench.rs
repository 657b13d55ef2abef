use std::sync::Arc;

use linkfs_provider::wire::{Ability, About, Hello, Ready};
use serde_json::{Map, Value};

use super::findings::{Tried, missing};
use super::session::Session;
use super::witness::Witness;
use crate::Launch;

/// The plugin as it is checked: a process that can be asked, and a new one when that has ended.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) launch: Arc<Launch>,
    pub(super) witness: Arc<Witness>,
    pub(super) hello: Option<Hello>,
    pub(super) about: Option<About>,
    pub(super) abilities: Vec<Ability>,
    session: Option<Session>,
}

impl Bench {
    pub(super) fn new(launch: Launch) -> Bench {
        Bench {
            launch: Arc::new(launch),
            witness: Arc::default(),
            hello: None,
            about: None,
            abilities: Vec::new(),
            session: None,
        }
    }

    /// What the plugin calls itself, and its version.
    pub(super) fn names(&self) -> (String, String) {
        let hello = self.hello.as_ref();
        let names = hello.map(|hello| (hello.name.clone(), hello.version.clone()));
        names.unwrap_or_else(|| (self.launch.name.clone(), String::new()))
    }

    /// The drive's configuration as it is.
    pub(super) fn config(&self) -> Map<String, Value> {
        self.launch.settings.config.expose().clone()
    }

    pub(super) async fn start(&self) -> Tried<Session> {
        Session::start(&self.launch, &self.witness).await
    }

    /// Goes on with this process.
    /// Takes down what has come of the running process's connections so far.
    pub(super) fn note_traffic(&self) {
        if let Some(session) = &self.session {
            session.note_traffic();
        }
    }

    pub(super) fn keep(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// The process that is asked: the one there is, or another when it has failed.
    pub(super) async fn session(&mut self) -> Tried<&mut Session> {
        if self.session.as_ref().is_none_or(Session::is_over) {
            self.put_away().await;
            self.session = Some(self.open().await?);
        }
        Ok(self.session.as_mut().expect("it was opened"))
    }

    /// Another process with the drive open.
    pub(super) async fn open(&self) -> Tried<Session> {
        let mut session = self.start().await?;
        session.hello().await?;
        let ready: Ready = session.configure(self.config()).await?;
        match ready.error {
            None => Ok(session),
            Some(error) => Err(missing("the drive is opened again", session.shown(&error))),
        }
    }

    /// The process that was asked so far, if it is of use still.
    pub(super) fn take(&mut self) -> Option<Session> {
        self.session.take_if(|session| !session.is_over())
    }

    /// Lets the process end.
    pub(super) async fn put_away(&mut self) {
        if let Some(session) = self.session.take() {
            session.discard().await;
        }
    }
}
