//! Tries on a plugin's program what every plugin promises, for those who write one.
//!
//! - `promises` lists them, and `findings` collects what came out;
//! - `session` is one running process, spoken to line by line, and `bench` sees to it that there is one;
//! - `witness` keeps what was seen of all processes;
//! - each of the others tries a group of promises.
//!
//! The drive is asked as little as that takes: pages of a few folders, some items, two links for some files.
//! Nothing is changed on it unless a share may be made.

mod bench;
mod fetch;
mod findings;
mod handshake;
mod hosts;
mod life;
mod links;
mod listing;
mod memory;
mod promises;
mod protocol;
mod secrecy;
mod session;
mod settings;
mod sharing;
mod signature;
mod witness;

use crate::Launch;
use bench::Bench;
use findings::Findings;

pub use findings::{Finding, Outcome};
pub use promises::Promise;

/// What is checked, and how thoroughly.
#[derive(Debug)]
pub struct Check {
    /// How the plugin is started. Its redactor has to know the secrets of the settings.
    pub launch: Launch,
    /// Names that the drive is known to have in its top folder.
    pub names: Vec<String>,
    /// How many calls the plugin's memory is watched for.
    pub calls: u32,
    /// Whether a share may be made, and revoked.
    pub may_share: bool,
}

/// What came out.
#[derive(Debug)]
pub struct Report {
    /// What the plugin calls itself.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// Every promise, in the order in which they were tried.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Tries every promise, and tells of each as soon as it is known.
    pub async fn run(self, tell: impl FnMut(&Finding)) -> Report {
        let mut findings = Findings::new(tell);
        let mut bench = Bench::new(self.launch);
        if handshake::check(&mut bench, &mut findings).await {
            settings::check(&mut bench, &mut findings).await;
            let seen = listing::check(&mut bench, &mut findings, &self.names).await;
            links::check(&mut bench, &mut findings, &seen).await;
            protocol::check(&mut bench, &mut findings).await;
            sharing::check(&mut bench, &mut findings, &seen, self.may_share).await;
            memory::check(&mut bench, &mut findings, self.calls).await;
            life::check(&mut bench, &mut findings, &seen).await;
            hosts::check(&bench, &mut findings);
        }
        secrecy::check(&mut bench, &mut findings).await;
        let (name, version) = bench.names();
        Report {
            name,
            version,
            findings: findings.complete("the drive was not opened"),
        }
    }
}
