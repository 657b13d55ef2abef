//! linkfs mounts cloud drives as folders. This is the program: arguments, configuration, logging, and the
//! commands; what they do is done by the crates below.

mod args;
mod background;
mod browser;
mod busy;
mod cat;
mod config;
mod control;
mod daemon;
#[cfg(feature = "demo")]
mod demo;
mod descriptors;
mod doctor;
mod drive_path;
mod drives;
#[cfg(feature = "demo")]
mod emulate;
#[cfg(feature = "demo")]
mod emulated;
mod environment;
mod event;
mod link;
mod logging;
mod login;
mod ls;
mod mount;
mod mount_lock;
mod mount_table;
mod mounted;
mod output;
mod pin;
mod places;
mod plugin;
mod plugins;
mod save;
mod secrets;
mod serve;
mod setup;
mod share;
mod shares;
mod spaces;
mod stat;
mod status;
mod units;
mod unmount;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Args, Command, PluginCommand};
use environment::Environment;
use setup::Setup;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            background::failed(&error);
            eprintln!("linkfs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    // Confined, it has nothing of what is taken next.
    if let Command::Plugin(PluginCommand::Serve(name)) = &args.command {
        return plugin::serve(name, args.general.verbose);
    }
    let setup = Setup {
        environment: Environment::take()?,
        general: args.general,
    };
    match args.command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&setup, &args),
        Command::Mount(args) => mount::run(&setup, &args),
        Command::Unmount(args) => unmount::run(&args),
        #[cfg(feature = "demo")]
        Command::Emulate(args) => emulate::run(&setup, &args),
        Command::Login { drive } => login::run(&setup, &drive),
        Command::Drives(args) => drives::run(&setup, &args),
        Command::Ls(args) => ls::run(&setup, &args),
        Command::Stat(args) => stat::run(&setup, &args),
        Command::Cat { file } => cat::run(&setup, &file),
        Command::Link(args) => link::run(&setup, &args),
        Command::Status(args) => status::run(&args),
        Command::Doctor(args) => doctor::run(&setup, &args),
        Command::Pin(args) => pin::pin(&args),
        Command::Plugin(command) => plugin::run(&setup, &command),
        Command::Save(args) => save::save(&args),
        Command::Share(args) => share::share(&args),
        Command::Shares(args) => shares::run(&args),
        Command::Unshare(args) => share::unshare(&args),
        Command::Unpin(args) => pin::unpin(&args),
    }
}
