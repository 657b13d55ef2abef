//! The drives that can be emulated.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::builder::PossibleValue;
use linkfs_emulator::{EmulatedDrive, Tree, dingtalk, koodrive, pds};

/// What to emulate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Drive(Kind),
    /// A plain web server.
    Web,
}

impl clap::ValueEnum for What {
    fn value_variants<'a>() -> &'a [What] {
        const ALL: [What; 4] = [
            What::Drive(Kind::Koodrive),
            What::Drive(Kind::Pds),
            What::Drive(Kind::Dingtalk),
            What::Web,
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            What::Drive(kind) => kind.to_possible_value(),
            What::Web => {
                let help = "No drive but a plain web server, for a plugin to lead to";
                Some(PossibleValue::new("web").help(help))
            }
        }
    }
}

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
        let api_address = address(port);
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

/// `port` of this machine alone, or any free one.
pub(crate) fn address(port: Option<u16>) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)))
}
