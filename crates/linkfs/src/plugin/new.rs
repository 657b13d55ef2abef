//! `linkfs plugin new NAME --lang LANGUAGE [DIR]`: the beginning of a plugin, which can be mounted as it is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::args::{Language, PluginNewArgs};
use crate::{output, plugins};

const PYTHON: &str = include_str!("../../templates/plugin/python");
const SH: &str = include_str!("../../templates/plugin/sh");
const RUST_MANIFEST: &str = include_str!("../../templates/plugin/rust/Cargo.toml");
const RUST_MAIN: &str = include_str!("../../templates/plugin/rust/src/main.rs");

/// Longer names are none that anybody types.
const LONGEST_NAME: usize = 40;

pub(crate) fn run(args: &PluginNewArgs) -> Result<()> {
    ensure!(
        is_plugin_name(&args.name),
        "\"{}\" cannot be a plugin's name: expected lower-case letters, digits and \"-\", a letter first",
        output::shown(&args.name)
    );
    ensure!(
        plugins::BUILT_IN
            .iter()
            .all(|plugin| plugin.name != args.name),
        "the plugin \"{}\" comes with linkfs and goes before others of its name: choose another",
        args.name
    );
    let path = args.folder.join(format!("linkfs-plugin-{}", args.name));
    let program = match args.lang {
        Language::Python => write(&path, &filled(PYTHON, args), 0o755).map(|()| path.clone())?,
        Language::Sh => write(&path, &filled(SH, args), 0o755).map(|()| path.clone())?,
        Language::Rust => write_crate(&path, args)?,
    };
    output::text(&next_steps(args, &path, &program))
}

/// It becomes a file's name, a crate's and a word on the command line.
fn is_plugin_name(name: &str) -> bool {
    let fits =
        name.len() <= LONGEST_NAME && name.starts_with(|first: char| first.is_ascii_lowercase());
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    fits && name.bytes().all(is_part)
}

fn filled(template: &str, args: &PluginNewArgs) -> String {
    template.replace("{{name}}", &args.name)
}

/// Writes a crate; gives where its program will be.
fn write_crate(folder: &Path, args: &PluginNewArgs) -> Result<PathBuf> {
    let source = args.source.as_deref().unwrap_or(Path::new("."));
    let provider = std::path::absolute(source.join("crates/linkfs-provider"))?;
    ensure!(
        provider.join("Cargo.toml").is_file(),
        "{} is not the source of linkfs: it has no crates/linkfs-provider",
        source.display()
    );
    let provider = provider
        .to_str()
        .with_context(|| format!("the path {} is no text", provider.display()))?;
    let provider = toml::Value::from(provider).to_string();
    let manifest = filled(RUST_MANIFEST, args).replace("{{provider}}", &provider);
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let sources = folder.join("src");
    fs::create_dir(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
    write(&folder.join("Cargo.toml"), &manifest, 0o644)?;
    write(&sources.join("main.rs"), &filled(RUST_MAIN, args), 0o644)?;
    let name = format!("linkfs-plugin-{}", args.name);
    Ok(folder.join("target/release").join(name))
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn next_steps(args: &PluginNewArgs, path: &Path, program: &Path) -> String {
    let (name, path) = (&args.name, output::shown(&path.display().to_string()));
    let build = match args.lang {
        Language::Rust => format!("  cargo build --release --manifest-path {path}/Cargo.toml\n"),
        Language::Python | Language::Sh => String::new(),
    };
    let program = output::shown(&program.display().to_string());
    format!(
        "wrote {path}

Put it where linkfs looks for plugins:
{build}  install -D {program} ~/.config/linkfs/plugins/linkfs-plugin-{name}

Give it a drive, in ~/.config/linkfs/config.toml, with a file that a web server has:
  [drives.{name}]
  plugin = \"{name}\"
  url = \"https://example.com/a-file.bin\"
  size = 1234                   # its exact length
  # allow_private_hosts = true  # for a server on this machine, such as `linkfs emulate web`

Mount it, and after a change have it taken without unmounting:
  linkfs mount {name} DIR
  linkfs plugin reload DIR

PLUGINS.md of linkfs tells what a plugin is asked and what it may answer.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_like_a_command() {
        for name in ["shelf", "a", "my-drive-2"] {
            assert!(is_plugin_name(name), "{name}");
        }
        let long = "a".repeat(LONGEST_NAME + 1);
        for name in [
            "", "-a", "2a", "Shelf", "a b", "a/b", "..", "a_b", "é", &long,
        ] {
            assert!(!is_plugin_name(name), "{name}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let args = PluginNewArgs {
            name: "shelf".to_owned(),
            lang: Language::Rust,
            folder: PathBuf::new(),
            source: None,
        };
        for template in [PYTHON, SH, RUST_MAIN, RUST_MANIFEST] {
            let text = filled(template, &args).replace("{{provider}}", "");
            assert!(text.contains("shelf") && !text.contains("{{"), "{text}");
        }
    }
}
