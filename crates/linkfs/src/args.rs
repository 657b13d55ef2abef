use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};
use linkfs_provider::ByteCount;
use serde::Serialize;

use crate::drive_path::DrivePath;
#[cfg(feature = "demo")]
use crate::emulated;
use crate::units;

/// Mounts cloud drives as folders.
///
/// Files are read through signed links, straight from the drive's storage. Try it without an
/// account: `linkfs demo`.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) general: General,
}

const EXAMPLES: &str = "\
Examples:
  linkfs demo                       mount emulated drives on ~/linkfs-demo
  linkfs mount work ~/work          mount the drive [drives.work] of the configuration
  linkfs ls work:/reports           list a folder without mounting
  linkfs unmount ~/work

The configuration is ~/.config/linkfs/config.toml.";

/// What every command takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct General {
    /// The configuration file [default: ~/.config/linkfs/config.toml]
    ///
    /// The variable LINKFS_CONFIG names it too.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Log more: -v tells of mounts, -vv of every request, -vvv of every block
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Append the log to this file
    ///
    /// Without it the log goes to stderr, and that of a mount in the background to
    /// ~/.local/state/linkfs/linkfs.log.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try linkfs: mount emulated drives, no account needed
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Mount a drive, or all drives as folders
    #[command(override_usage = "linkfs mount [OPTIONS] [DRIVE[:/PATH]] DIR", after_help = MOUNT_EXAMPLES)]
    Mount(MountArgs),
    /// Take a mount away
    #[command(visible_alias = "umount")]
    Unmount(UnmountArgs),
    /// Serve an emulated drive over HTTP, for tries and tests
    #[cfg(feature = "demo")]
    Emulate(EmulateArgs),
    /// Log in to a drive, with a browser or by hand
    ///
    /// Prints the address to open, reads from stdin what the browser brings back, and keeps the new
    /// tokens. Mounts of the drive go on with them at once.
    Login {
        /// The drive
        drive: String,
    },
    /// Show the configured drives and whether they answer, or the spaces of their accounts
    Drives(DrivesArgs),
    /// List a folder
    Ls(PathArgs),
    /// Show what is known of a file or folder
    Stat(PathArgs),
    /// Write a file's content to stdout
    Cat {
        /// The file: DRIVE:/PATH
        file: DrivePath,
    },
    /// Print a fresh direct link to a file; whoever has it can read the file while it holds
    ///
    /// Prints the address alone, or JSON where the link needs headers too.
    Link(PathArgs),
    /// Show how a mount is doing, or which mounts there are
    Status(StatusArgs),
    /// Look for what keeps linkfs from working on this machine, and say what to do
    Doctor(OutputArgs),
    /// See to the plugins, which know the drives
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Fetch files of a mount whole, and keep them on disk until they are unpinned
    ///
    /// Needs `size` in the section `[cache]` of the configuration. Returns when all of them are there.
    Pin(PinArgs),
    /// Let pinned files go when the disk cache needs room
    Unpin(UnpinArgs),
    /// Share files and folders of a mount: print a link for other people
    ///
    /// Changes the terms of what is shared already. Terms that are not given come from the section `[share]`
    /// of the configuration. Prints the address alone when it goes to a program, and the code and the end of
    /// the share too when it goes to a person.
    #[command(after_help = SHARE_EXAMPLES)]
    Share(ShareArgs),
    /// List what is shared
    Shares(SharesArgs),
    /// Revoke the links to files and folders of a mount
    Unshare(UnshareArgs),
    /// Save what somebody else shared into a folder of a mount
    ///
    /// The drive does it on its own; the command returns when that has ended, and goes on in the mount when it is
    /// interrupted.
    Save(SaveArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the plugins there are
    ///
    /// Beside those that come with linkfs these are the programs linkfs-plugin-NAME in
    /// ~/.config/linkfs/plugins and on PATH.
    List(OutputArgs),
    /// Write the beginning of a plugin: a drive that can be mounted, to be changed into your own
    ///
    /// PLUGINS.md tells how to go on.
    New(PluginNewArgs),
    /// Try on a plugin whether it does what every plugin has to do
    ///
    /// Starts it as a mount would, and prints a line for each promise. Nothing is changed on the drive without --share.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Take a new version of a drive's plugin, without a break
    ///
    /// The calls under way are answered by the process that has them. When the new version cannot open the drive, the
    /// old one stays.
    Reload(PluginProcessArgs),
    /// End a drive's plugin at once, and start it anew
    Restart(PluginProcessArgs),
    /// The name of a plugin that comes with linkfs: serves it on stdin and stdout, as linkfs itself starts it.
    #[command(external_subcommand)]
    Serve(Vec<String>),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  linkfs plugin check ./linkfs-plugin-shelf url=https://shelf.example token='{ env = \"SHELF_TOKEN\" }'
  linkfs plugin check shelf                     with the drive of the configuration that uses it
  linkfs plugin check shelf --drive home --expect 'a\\b' --expect ' leading blank'

A VALUE is read as TOML where it is TOML, and as text otherwise.";

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// The plugin's name, or a path to its program
    #[arg(value_name = "PROGRAM|NAME")]
    pub(crate) plugin: String,
    /// The settings to open a drive with; without any, the configured drive that uses the plugin
    #[arg(value_name = "KEY=VALUE", value_parser = key_and_value, conflicts_with = "drive")]
    pub(crate) settings: Vec<(String, String)>,
    /// The configured drive to open, where several use the plugin
    #[arg(long)]
    pub(crate) drive: Option<String>,
    /// A name that the drive's top folder is known to hold; as odd as it can be
    #[arg(long, value_name = "NAME")]
    pub(crate) expect: Vec<String>,
    /// Make a share of a file, for anyone and a day, and revoke it
    #[arg(long)]
    pub(crate) share: bool,
    /// Watch the plugin's memory for fewer calls
    #[arg(long)]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        // The text may be a secret.
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PluginProcessArgs {
    /// The mount
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// The drive, where the mount has several
    pub(crate) drive: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PluginNewArgs {
    /// What the plugin shall be called: lower-case letters, digits and "-"
    pub(crate) name: String,
    /// The language to write it in
    #[arg(long)]
    pub(crate) lang: Language,
    /// The folder to write it into [default: the one you are in]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, default_value = ".", hide_default_value = true)]
    pub(crate) folder: PathBuf,
    /// The source of linkfs, for a plugin in Rust: the crate linkfs-provider in it is not published elsewhere
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, required_if_eq("lang", "rust"))]
    pub(crate) source: Option<PathBuf>,
}

/// What a plugin can be begun in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Language {
    /// One file, with the standard library alone
    Python,
    /// A crate, with the contract's own types
    Rust,
    /// One file for any POSIX shell, with its built-in commands alone
    Sh,
}

const SHARE_EXAMPLES: &str = "\
Examples:
  linkfs share ~/work/plan.pdf                      for as long as the configuration says
  linkfs share ~/work/plan.pdf --expires 30d --password auto
  linkfs share ~/work/reports --audience members --users u-17,u-18
  linkfs share ~/work/plan.pdf --qr                 show a code for a phone's camera";

const MOUNT_EXAMPLES: &str = "\
Examples:
  linkfs mount ~/cloud                  every drive, each as a folder
  linkfs mount work ~/work              one drive
  linkfs mount work:/reports ~/reports  one folder of a drive
  linkfs mount work ~/work -f -v        stay in the foreground and tell what happens

The command returns when the mount can be used, or says why it cannot.";

#[derive(Debug, ClapArgs)]
pub(crate) struct MountArgs {
    /// What to mount, all drives without it; and the folder to mount it on
    // One list, because two places of which the first may be missing allow no option between them.
    #[arg(value_names = ["DRIVE[:/PATH]", "DIR"], num_args = 1..=2, required = true, value_hint = ValueHint::DirPath)]
    places: Vec<PathBuf>,
    /// Stay in the foreground; Ctrl-C unmounts
    #[arg(short, long)]
    pub(crate) foreground: bool,
    /// The most memory for file content, such as 512MiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_memory)]
    pub(crate) memory: Option<ByteCount>,
    /// End every request after this long, with an error if it must, such as 30s
    #[arg(long, value_name = "TIME", value_parser = units::parse_deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Let other users enter the mount
    ///
    /// For users other than root it needs `user_allow_other` in /etc/fuse.conf.
    #[arg(long)]
    pub(crate) allow_other: bool,
}

impl MountArgs {
    /// What to mount; `None` for all drives.
    pub(crate) fn what(&self) -> Result<Option<DrivePath>, String> {
        let [what, _folder] = self.places.as_slice() else {
            return Ok(None);
        };
        let text = what.to_str().ok_or("the drive's name is no text")?;
        text.parse().map(Some)
    }

    /// The folder to mount it on.
    pub(crate) fn folder(&self) -> &Path {
        self.places.last().expect("at least one is required")
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UnmountArgs {
    /// The mounted folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Detach it now although it is used; it ends with its last user
    #[arg(short, long)]
    pub(crate) lazy: bool,
}

/// Demo: where the files come from and where they are shown.
#[cfg(feature = "demo")]
#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// The folder to mount on [default: ~/linkfs-demo]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    /// Let one emulated drive, a KooDrive, hold the files of this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) from: Option<PathBuf>,
    /// Stay in the foreground; Ctrl-C unmounts
    #[arg(short, long)]
    pub(crate) foreground: bool,
}

#[cfg(feature = "demo")]
#[derive(Debug, ClapArgs)]
pub(crate) struct EmulateArgs {
    /// What to emulate
    #[arg(value_name = "DRIVE")]
    pub(crate) what: emulated::What,
    /// The folder whose files it holds
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    /// Its port on 127.0.0.1, or that of its API; any free one without it
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    /// The mounted folder; all mounts without it
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PinArgs {
    /// Files on a mount, and folders with all that is in them
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// Return at once; the mount goes on fetching
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UnpinArgs {
    /// Files on a mount, and folders with all that is in them
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShareArgs {
    /// Files and folders on a mount
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) terms: TermArgs,
    /// Show the address as a QR code
    #[arg(long, conflicts_with = "json")]
    pub(crate) qr: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The terms of a share, as the mount reads them.
#[derive(Debug, ClapArgs, Serialize)]
pub(crate) struct TermArgs {
    /// How long: 12h, 7d, a date, or never
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// The access code: auto (made up), none, or - (read from stdin)
    ///
    /// A code on the command line could be read by every user of this machine, so none is taken there.
    #[arg(long, value_name = "auto|none|-", value_parser = ["auto", "none", "-"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Who may open it
    #[arg(long, value_parser = ["anyone", "org", "members"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    /// Members by the drive's ids, separated by commas
    #[arg(long, value_name = "IDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<String>,
    /// Groups by the drive's ids, separated by commas
    #[arg(long, value_name = "IDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<String>,
    /// Departments by the drive's ids, separated by commas
    #[arg(long, value_name = "IDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    departments: Option<String>,
    /// What they may do: preview, download, edit, save, separated by commas
    #[arg(long, value_name = "WORDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<String>,
    /// A note kept with the share
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SharesArgs {
    /// The mounted folder; all mounts without it
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UnshareArgs {
    /// Files and folders on a mount
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SaveArgs {
    /// The address that somebody has handed on
    pub(crate) url: String,
    /// The folder on a mount that it shall be saved into
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) to: PathBuf,
    /// The access code: - (read from stdin)
    ///
    /// A code on the command line could be read by every user of this machine, so none is taken there.
    #[arg(long, value_name = "-", value_parser = ["-"])]
    pub(crate) password: Option<String>,
    /// Return at once, with the name of the task in .linkfs/tasks
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DrivesArgs {
    /// List the spaces that this drive's account can open
    #[arg(value_name = "DRIVE")]
    pub(crate) drive: Option<String>,
    /// List the spaces of every drive's account
    #[arg(long)]
    pub(crate) spaces: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PathArgs {
    /// The file or folder: DRIVE:/PATH
    pub(crate) path: DrivePath,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_may_stand_behind_the_command() {
        for line in [
            "linkfs mount /mnt",
            "linkfs mount work:/a /mnt -f -vv --memory 64MiB --deadline 5s",
            "linkfs -v --config c.toml mount work /mnt --allow-other",
            "linkfs mount work -f /mnt",
            "linkfs mount work --memory 64MiB /mnt --allow-other",
            "linkfs umount --lazy /mnt",
            "linkfs ls work:/a --json --config c.toml",
            "linkfs status",
            "linkfs doctor --json",
            "linkfs plugin check ./p --quick --expect a --share url=u token={env='T'}",
            "linkfs plugin check p --drive work --json",
            "linkfs pin /mnt/a /mnt/b --no-wait",
            "linkfs unpin /mnt/a",
            "linkfs share /mnt/a /mnt/b --expires 7d --password auto --audience members --users a,b",
            "linkfs share --password - /mnt/a --qr",
            "linkfs shares --json",
            "linkfs unshare /mnt/a",
            "linkfs save https://x.test/s --to /mnt/a --password - --no-wait",
        ] {
            Args::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            "linkfs",
            "linkfs mount",
            "linkfs mount a b c",
            "linkfs mount /mnt --memory lots",
            "linkfs ls",
            "linkfs pin",
            "linkfs ls :/a",
            "linkfs share",
            "linkfs plugin check",
            "linkfs plugin check p url",
            "linkfs plugin check p url=u --drive work",
            "linkfs share /mnt/a --password fake-code",
            "linkfs save https://x.test/s",
            "linkfs save https://x.test/s --to /mnt/a --password fake-code",
            "linkfs share /mnt/a --audience everybody",
        ] {
            let error = Args::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
