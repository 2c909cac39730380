//! A script of commands with what they print beside them, as one text that people read:
//!
//! ```text
//! # Comments and empty lines stay as they are.
//! $ kubectl get configmaps
//! | NAME   DATA   AGE
//! | a      1      AGE
//! $ kubectl get nothing
//! @ 1.32 1.35
//! | what two of the clients print
//! @ 1.37
//! | what the third prints
//! ? 1
//! ```
//!
//! Every client runs it in a shell of its own. `? 1` is how the command ended, unless well. In what is printed only
//! what must vary is masked, by rules that lie beside the scripts. `UPDATE_EXPECT=1` writes what was printed into the
//! scripts, for reading with `git diff`.
//!
//! Upstream: test/cmd
//! Left out: commands of several lines; they are files beside the scripts.

pub mod masks;
pub mod shell;

use std::{collections::BTreeMap, fmt::Write, iter::Peekable, path::Path, process::Command, str::Lines};

pub use masks::Masks;
pub use shell::Shell;

/// A script as it is written.
pub struct Script {
    clients: Vec<String>,
    blocks: Vec<Block>,
}

enum Block {
    /// A comment or an empty line.
    Remark(String),
    Step(Step),
}

struct Step {
    command: String,
    /// What each client printed, by its name, and its exit status.
    outputs: BTreeMap<String, String>,
}

impl Script {
    /// Reads a script for these clients.
    ///
    /// # Panics
    /// Something stands where no command has been yet.
    pub fn parse(text: &str, clients: &[&str]) -> Script {
        let mut lines = text.lines().peekable();
        let mut blocks = Vec::new();
        while let Some(line) = lines.next() {
            blocks.push(match line.strip_prefix("$ ") {
                Some(command) => Block::Step(Step::parse(command, &mut lines, clients)),
                None => {
                    assert!(line.is_empty() || line.starts_with('#'), "neither a command nor a remark: {line}");
                    Block::Remark(line.to_owned())
                }
            });
        }
        Script { clients: clients.iter().map(|&name| name.to_owned()).collect(), blocks }
    }

    /// The commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Step(step) => Some(step.command.as_str()),
            Block::Remark(_) => None,
        })
    }

    /// Takes what a client printed, masked, for every command in order.
    pub fn record(&mut self, client: &str, outputs: Vec<String>) {
        let steps = self.blocks.iter_mut().filter_map(|block| match block {
            Block::Step(step) => Some(step),
            Block::Remark(_) => None,
        });
        for (step, output) in steps.zip(outputs) {
            step.outputs.insert(client.to_owned(), output);
        }
    }

    /// The script as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for block in &self.blocks {
            match block {
                Block::Remark(line) => writeln!(text, "{line}").expect("memory takes everything"),
                Block::Step(step) => step.render(&self.clients, &mut text),
            }
        }
        text
    }
}

impl Step {
    fn parse(command: &str, lines: &mut Peekable<Lines<'_>>, clients: &[&str]) -> Step {
        let mut outputs: BTreeMap<String, String> = BTreeMap::new();
        let mut of: Vec<&str> = clients.to_vec();
        let is_output = |line: &&str| ["|", "@ ", "? "].iter().any(|start| line.starts_with(start));
        while let Some(line) = lines.next_if(is_output) {
            if let Some(named) = line.strip_prefix("@ ") {
                of = named.split(' ').collect();
                continue;
            }
            for &client in &of {
                let output = outputs.entry(client.to_owned()).or_default();
                output.push_str(line.strip_prefix('|').map_or(line, |line| line.strip_prefix(' ').unwrap_or(line)));
                output.push('\n');
            }
        }
        Step { command: command.to_owned(), outputs }
    }

    fn render(&self, clients: &[String], text: &mut String) {
        writeln!(text, "$ {}", self.command).expect("memory takes everything");
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for client in clients {
            let output = self.outputs.get(client).map_or("", String::as_str);
            match groups.iter_mut().find(|(known, _)| *known == output) {
                Some((_, of)) => of.push(client),
                None => groups.push((output, vec![client])),
            }
        }
        for (output, of) in &groups {
            if groups.len() > 1 {
                writeln!(text, "@ {}", of.join(" ")).expect("memory takes everything");
            }
            for line in output.lines() {
                let written = if line.starts_with("? ") { line.to_owned() } else { format!("| {line}") };
                writeln!(text, "{}", written.trim_end()).expect("memory takes everything");
            }
        }
    }
}

/// How two texts differ, as `diff -u` shows it; empty if they are equal.
pub fn difference(expected: &Path, actual: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("actual");
    std::fs::write(&file, actual).expect("a file of our own");
    let output = Command::new("diff").arg("-u").arg(expected).arg(&file).output().expect("diff is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A remark.\n\n$ a\n| one\n|\n| two\n$ b\n@ x\n| X\n? 1\n@ y z\n| Y\n$ c\n";

    #[test]
    fn a_script_that_printed_the_same_again_is_written_the_same() {
        let mut script = Script::parse(TEXT, &["x", "y", "z"]);
        assert_eq!(script.commands().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(script.render(), TEXT);
        script.record("y", vec!["one\n\ntwo\n".into(), "Y\n".into(), String::new()]);
        assert_eq!(script.render(), TEXT);
    }

    #[test]
    fn clients_that_print_the_same_stand_together() {
        let mut script = Script::parse(TEXT, &["x", "y", "z"]);
        script.record("x", vec!["one\n".into(), "Y\n".into(), "? 2\n".into()]);
        let expected = "# A remark.\n\n$ a\n@ x\n| one\n@ y z\n| one\n|\n| two\n$ b\n| Y\n$ c\n@ x\n? 2\n@ y z\n";
        assert_eq!(script.render(), expected);
    }
}
