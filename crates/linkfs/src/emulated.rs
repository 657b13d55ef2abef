//! The drives that can be emulated.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use linkfs_emulator::{EmulatedDrive, Tree, dingtalk, koodrive, pds};

/// Which drive to emulate.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    Koodrive,
    Pds,
    Dingtalk,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Koodrive, Kind::Pds, Kind::Dingtalk];

    /// Starts the drive; its API is on `port` of 127.0.0.1, or on any free one.
    pub(crate) fn start(self, tree: Tree, port: Option<u16>) -> Result<Box<dyn EmulatedDrive>> {
        let api_address = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)));
        let started: io::Result<Box<dyn EmulatedDrive>> = match self {
            Kind::Koodrive => koodrive::Emulator::start_blocking(koodrive::Options {
                api_address,
                ..koodrive::Options::with_tree(tree)
            })
            .map(|drive| Box::new(drive) as _),
            Kind::Pds => pds::Emulator::start_blocking(pds::Options {
                api_address,
                ..pds::Options::with_tree(tree)
            })
            .map(|drive| Box::new(drive) as _),
            Kind::Dingtalk => dingtalk::Emulator::start_blocking(dingtalk::Options {
                api_address,
                ..dingtalk::Options::with_tree(tree)
            })
            .map(|drive| Box::new(drive) as _),
        };
        started.context("cannot start the emulated drive")
    }
}
