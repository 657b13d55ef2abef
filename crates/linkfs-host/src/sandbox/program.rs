//! What is executed for a plugin: its file, or the interpreter that its first line names.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::SEARCH_PATH;
use super::unfit::Unfit;

/// The longest first line that the kernel reads.
const LONGEST_FIRST_LINE: u64 = 256;

/// A plugin program as it is started.
///
/// A script's `#!` line is resolved here, because a confined process cannot execute a second
/// program: its interpreter is what is executed, with the script as an argument.
#[derive(Debug)]
pub struct Program {
    /// What is executed. Open, so that a file put in its place meanwhile is not.
    pub(super) file: File,
    pub(super) arguments: Vec<CString>,
    /// The script. Its interpreter opens it by its path, and may read this very file there and no other.
    pub(super) script: Option<File>,
}

impl Program {
    /// The program in the file `path`, to be started with `args`.
    ///
    /// # Errors
    /// What the file system says of the file or of its interpreter; `PermissionDenied`, with what is to be
    /// done, when one of them must not be run as it is; `InvalidInput` for a first line that names none.
    pub fn at(path: &Path, args: &[impl AsRef<str>]) -> io::Result<Program> {
        let path = std::path::absolute(path)?;
        let file = open(&path)?;
        let Some(line) = first_line(&file)? else {
            return Program::of(file, vec![path.into_os_string()], args, None);
        };
        let (interpreter, option) = parse(&line).ok_or_else(|| not_runnable(&path, &line))?;
        let script = file;
        let file = open(&interpreter)?;
        if first_line(&file)?.is_some() {
            return Err(not_runnable(&path, &line));
        }
        let mut words = vec![interpreter.into_os_string()];
        words.extend(option.into_iter().map(Into::into));
        words.push(path.into_os_string());
        Program::of(file, words, args, Some(script))
    }

    fn of(
        file: File,
        words: Vec<std::ffi::OsString>,
        args: &[impl AsRef<str>],
        script: Option<File>,
    ) -> io::Result<Program> {
        let words = words.iter().map(|word| word.as_bytes());
        let args = args.iter().map(|arg| arg.as_ref().as_bytes());
        let arguments: Result<_, _> = words.chain(args).map(CString::new).collect();
        Ok(Program {
            file,
            arguments: arguments?,
            script,
        })
    }
}

/// Opens what is to be run. Looked at is the open file: another may have its name at any time.
fn open(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("open {}: {error}", path.display()))
    };
    let file = File::open(path).map_err(named)?;
    let about = file.metadata().map_err(named)?;
    if !about.is_file() {
        let message = format!("{} is not a file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    match Unfit::of(path, &about) {
        Some(unfit) if !is_running(&about) => {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, unfit))
        }
        _ => Ok(file),
    }
}

/// Whether it is the program that runs here: that serves plugins too, and can no more be refused.
fn is_running(about: &fs::Metadata) -> bool {
    let ours = fs::metadata("/proc/self/exe");
    ours.is_ok_and(|ours| (ours.dev(), ours.ino()) == (about.dev(), about.ino()))
}

/// What follows `#!` in a script; `None` for anything else.
fn first_line(file: &File) -> io::Result<Option<String>> {
    let mut start = Vec::new();
    file.take(LONGEST_FIRST_LINE).read_to_end(&mut start)?;
    let Some(rest) = start.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or(rest);
    Ok(Some(String::from_utf8_lossy(line).trim().to_owned()))
}

/// The interpreter that a first line names, and the words between it and the script.
fn parse(line: &str) -> Option<(PathBuf, Vec<String>)> {
    let (interpreter, option) = split(line);
    if Path::new(interpreter).file_name() == Some(OsStr::new("env")) {
        let (name, options) = match option.strip_prefix("-S") {
            // The kernel hands over all that follows as one word; `-S` takes it apart.
            Some(words) => split(words.trim_start()),
            None => (option, ""),
        };
        let options = options.split_ascii_whitespace().map(str::to_owned);
        return Some((found_on_path(name)?, options.collect()));
    }
    let option = (!option.is_empty()).then(|| option.to_owned());
    let is_absolute = interpreter.starts_with('/');
    is_absolute.then(|| (interpreter.into(), option.into_iter().collect()))
}

fn split(line: &str) -> (&str, &str) {
    let (first, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (first, rest.trim())
}

/// Where the plugin would find it: not on our own path, which may lead to what it cannot read.
fn found_on_path(name: &str) -> Option<PathBuf> {
    let is_plain =
        !name.is_empty() && !name.contains(['/', '=', ' ', '\t']) && !name.starts_with('-');
    let mut folders = SEARCH_PATH.split(':').filter(|_| is_plain);
    folders.find_map(|folder| {
        let path = Path::new(folder).join(name);
        path.is_file().then_some(path)
    })
}

fn not_runnable(path: &Path, line: &str) -> io::Error {
    let message = format!(
        "{} starts with \"#!{line}\", which names no interpreter that can be run (looked for on {SEARCH_PATH})",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NO_ARGS: &[&str] = &[];

    fn check(line: &str, expected: Option<(&str, &[&str])>) {
        let found = parse(line).map(|(path, options)| (path.display().to_string(), options));
        let expected = expected.map(|(path, options)| {
            let options = options.iter().map(|&option| option.to_owned()).collect();
            (path.to_owned(), options)
        });
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_first_line_names_its_interpreter() {
        check("/bin/sh", Some(("/bin/sh", &[])));
        check("/bin/sh -e", Some(("/bin/sh", &["-e"])));
        check("/opt/x/python3 -I -u", Some(("/opt/x/python3", &["-I -u"])));
        let sh = found_on_path("sh").expect("every system has a shell");
        let sh = sh.to_str().unwrap();
        check("/usr/bin/env sh", Some((sh, &[])));
        check("/usr/bin/env -S sh -e -u", Some((sh, &["-e", "-u"])));
        check("/bin/env\tsh", Some((sh, &[])));
    }

    #[test]
    fn a_first_line_without_one_is_refused() {
        for line in [
            "",
            "python3",
            "/usr/bin/env",
            "/usr/bin/env no-such-interpreter",
            "/usr/bin/env -i sh",
            "/usr/bin/env X=1 sh",
            "/usr/bin/env ../sh",
        ] {
            check(line, None);
        }
    }

    fn put(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = Program::at(&missing, NO_ARGS).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");

        let script = folder.path().join("script");
        put(&script, "#!/usr/bin/env no-such-interpreter\n", 0o755);
        let error = Program::at(&script, NO_ARGS).unwrap_err().to_string();
        assert!(error.contains("no-such-interpreter"), "{error}");
        assert!(Program::at(folder.path(), NO_ARGS).is_err());
    }

    #[test]
    fn neither_a_script_nor_its_interpreter_may_be_changed_by_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let [script, interpreter] = ["script", "interpreter"].map(|name| folder.path().join(name));
        let first_line = format!("#!{}\n", interpreter.display());
        for (modes, reason) in [
            ([0o755, 0o755], None),
            ([0o757, 0o755], Some("script can be changed by everybody")),
            ([0o644, 0o755], Some("script cannot be executed")),
            (
                [0o755, 0o777],
                Some("interpreter can be changed by everybody"),
            ),
            ([0o755, 0o644], Some("interpreter cannot be executed")),
        ] {
            put(&script, &first_line, modes[0]);
            put(&interpreter, "", modes[1]);
            let error = Program::at(&script, NO_ARGS).err();
            let said = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(
                reason.map_or(said.is_empty(), |reason| said.contains(reason)),
                "{said:?}"
            );
        }
    }
}
