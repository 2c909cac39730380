//! Where one client runs one script: a folder with the scripts' files, an environment, a limit on the time of each
//! command.
//!
//! Upstream: none

use std::{
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

/// How long a command may take on a busy machine; one that takes longer ends with status 124.
const PATIENCE_SECONDS: &str = "120";

pub struct Shell {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

impl Shell {
    /// A shell in a new `folder`, with what lies in `files` and `programs` by their names.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn new(folder: PathBuf, files: &Path, programs: &[(&str, PathBuf)]) -> anyhow::Result<Shell> {
        std::fs::create_dir_all(folder.join(".bin"))?;
        let copied = Command::new("cp").arg("-r").arg(files.join(".")).arg(&folder).status()?;
        ensure!(copied.success(), "{} can't be copied", files.display());
        for (name, program) in programs {
            symlink(program, folder.join(".bin").join(name))?;
        }
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.join(".bin").display());
        let home = folder.display().to_string();
        Ok(Shell { folder, environment: vec![("PATH".into(), path), ("HOME".into(), home)] })
    }

    /// Sets a variable of its environment.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Runs a command and returns all that it prints, in the order of its writing, and a line `? N` if it fails.
    ///
    /// # Errors
    /// It can't be run.
    pub fn run(&self, command: &str) -> anyhow::Result<String> {
        let both = format!("exec 2>&1\n{command}");
        let mut shell = Command::new("timeout");
        shell.args(["-k", "5", PATIENCE_SECONDS, "bash", "-c", &both]).current_dir(&self.folder).env_clear();
        shell.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        let output = shell.output().context("timeout is part of every Linux")?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        match (output.status.code(), output.status.signal()) {
            (Some(0), _) => {}
            (Some(code), _) => text += &format!("? {code}\n"),
            (None, signal) => text += &format!("? signal {}\n", signal.unwrap_or_default()),
        }
        Ok(text)
    }
}
