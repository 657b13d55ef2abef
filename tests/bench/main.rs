//! The benchmark: linkfs beside curl, on the same emulated drive, in the same run.
//!
//! Each scenario takes turns, round by round: the limit, which is mostly one curl process on signed
//! links, then a fresh mount made by the program as its users run it. The drive is a process of its own,
//! so that its work is not counted as ours. Every byte that the mount gives is checked. Where rclone is
//! installed, it reads the same files in turn.

mod args;
mod cached;
mod carriage;
mod cloud;
mod curl;
mod figures;
mod first_byte;
mod listing;
mod load;
mod mount;
mod peer;
mod report;
mod rig;
mod scenario;
mod scenarios;
mod serve;
mod share;
mod stock;
mod usage;
mod warm;

use std::process::ExitCode;

use args::{Action, Options};
use report::Report;
use rig::Rig;
use scenario::Scenario;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode, String> {
    match action {
        Action::Plugin => return Ok(carriage::serve_plugin()),
        Action::Serve(stock) => serve::serve(stock),
        Action::List => scenarios::all(false).iter().for_each(report::describe),
        Action::Run(options) => measure(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(options: &Options) -> Result<(), String> {
    let chosen = choose(options)?;
    rig::remove_leftovers();
    let curl_start = curl::start_time();
    let mut report = Report::begin(curl_start);
    let mut rig = None;
    for scenario in chosen {
        let rig = Rig::for_stock(&mut rig, scenario.stock, curl_start);
        report.add(scenario.measure(rig, options.rounds));
    }
    report.end();
    match &options.json {
        Some(path) => report
            .write_json(path)
            .map_err(|error| format!("cannot write {}: {error}", path.display())),
        None => Ok(()),
    }
}

/// The named scenarios, or all that are worth their time.
fn choose(options: &Options) -> Result<Vec<Scenario>, String> {
    let mut all = scenarios::all(options.is_quick);
    if options.names.is_empty() {
        all.retain(|scenario| !(options.is_quick && scenario.is_long));
        return Ok(all);
    }
    let is_known = |name: &&String| all.iter().any(|scenario| scenario.name == **name);
    if let Some(unknown) = options.names.iter().find(|name| !is_known(name)) {
        return Err(format!("there is no scenario {unknown}; --list shows them"));
    }
    all.retain(|scenario| options.names.iter().any(|name| scenario.name == name));
    Ok(all)
}
