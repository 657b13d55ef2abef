use linkfs_emulator::{EmulatedDrive, LinkPolicy, Tree, dingtalk, koodrive, pds};
use serde_json::Value;

/// The drives that linkfs mounts. What a test says of one it says of all, see [`on_every_drive`].
///
/// [`on_every_drive`]: crate::on_every_drive
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveKind {
    KooDrive,
    Pds,
    DingTalk,
}

/// How to start one of the drives.
#[derive(Debug)]
pub struct DriveSetup {
    kind: DriveKind,
    tree: Tree,
    links: LinkPolicy,
    knobs: Value,
}

impl DriveKind {
    /// A running drive with this content.
    ///
    /// # Panics
    /// When there are no ports for it.
    #[track_caller]
    pub fn start(self, tree: Tree) -> Box<dyn EmulatedDrive> {
        self.setup(tree).start()
    }

    /// A drive with this content that behaves as well as it can, not running yet.
    pub fn setup(self, tree: Tree) -> DriveSetup {
        DriveSetup {
            kind: self,
            tree,
            links: self.links(),
            knobs: Value::Object(Default::default()),
        }
    }

    /// How this drive's links live unless a test says otherwise.
    pub fn links(self) -> LinkPolicy {
        match self {
            DriveKind::KooDrive => koodrive::Options::default().links,
            DriveKind::Pds => pds::Options::default().links,
            DriveKind::DingTalk => dingtalk::Options::default().links,
        }
    }
}

impl DriveSetup {
    #[must_use]
    pub fn links(self, links: LinkPolicy) -> Self {
        Self { links, ..self }
    }

    /// Sets one of the emulator's knobs, by its name.
    #[must_use]
    pub fn knob(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.knobs[name] = value.into();
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When there are no ports for it, or no such knob.
    #[track_caller]
    pub fn start(self) -> Box<dyn EmulatedDrive> {
        let Self {
            kind,
            tree,
            links,
            knobs,
        } = self;
        match kind {
            DriveKind::KooDrive => Box::new(
                koodrive::Emulator::start_blocking(koodrive::Options {
                    tree,
                    links,
                    knobs: serde_json::from_value(knobs).expect("KooDrive has the knobs"),
                    ..koodrive::Options::default()
                })
                .expect("the emulator starts"),
            ),
            DriveKind::Pds => Box::new(
                pds::Emulator::start_blocking(pds::Options {
                    tree,
                    links,
                    knobs: serde_json::from_value(knobs).expect("PDS has the knobs"),
                    ..pds::Options::default()
                })
                .expect("the emulator starts"),
            ),
            DriveKind::DingTalk => Box::new(
                dingtalk::Emulator::start_blocking(dingtalk::Options {
                    tree,
                    links,
                    knobs: serde_json::from_value(knobs).expect("DingTalk has the knobs"),
                    ..dingtalk::Options::default()
                })
                .expect("the emulator starts"),
            ),
        }
    }
}

/// Makes a test of each function for each drive: `koodrive::name`, `pds::name`, `dingtalk::name`. The
/// functions take a [`DriveKind`]. Those after `except dingtalk:` are not for DingTalk.
#[macro_export]
macro_rules! on_every_drive {
    ($(fn $name:ident,)+ $(except dingtalk: $(fn $other:ident,)+)?) => {
        mod koodrive {
            $crate::on_every_drive!(@KooDrive $($name)+ $($($other)+)?);
        }
        mod pds {
            $crate::on_every_drive!(@Pds $($name)+ $($($other)+)?);
        }
        mod dingtalk {
            $crate::on_every_drive!(@DingTalk $($name)+);
        }
    };
    (@$kind:ident $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                super::$name($crate::DriveKind::$kind);
            }
        )+
    };
}
