//! The file that lines are written to: a thread, a bounded queue before it, and files that are put aside when they are
//! large enough.
//!
//! Upstream: plugin/pkg/audit/log/backend.go, gopkg.in/natefinch/lumberjack.v2
//! Left out: compressing what was put aside.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

/// Lines that wait to be written; with more, requests wait.
const QUEUE: usize = 10_000;

/// When a file is put aside, and for how long it is kept there.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    pub max_size_bytes: u64,
    /// With none, files are kept however old they are.
    pub max_age: Option<Duration>,
    /// With none, any number of files is kept.
    pub max_files: Option<usize>,
}

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    queue: mpsc::Sender<Vec<u8>>,
}

impl Log {
    /// Opens the file, or standard output for `-`, and starts the thread that writes to it: it ends, with all written,
    /// after the last clone of this has gone.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<(Log, JoinHandle<()>)> {
        let (queue, mut lines) = mpsc::channel::<Vec<u8>>(QUEUE);
        let mut target = Target::open(path, rotation)?;
        let thread = std::thread::Builder::new().name("audit-log".to_owned()).spawn(move || {
            while let Some(line) = lines.blocking_recv() {
                let mut written = target.write(&line);
                // What waits already goes with it, in one write.
                while let Ok(line) = lines.try_recv() {
                    written = written.and_then(|()| target.write(&line));
                }
                if let Err(error) = written.and_then(|()| target.flush()) {
                    tracing::error!(%error, "the audit log can't be written");
                }
            }
        })?;
        Ok((Log { queue }, thread))
    }

    /// Writes a line, after those before it.
    pub async fn write(&self, line: Vec<u8>) {
        // The thread lives as long as there is somebody to call this.
        let _ = self.queue.send(line).await;
    }

    /// As [`Log::write`], for those who can't wait: with a full queue the line is lost, and that is said.
    pub fn write_now(&self, line: Vec<u8>) {
        if self.queue.try_send(line).is_err() {
            tracing::warn!("a line of the audit log was lost: the queue is full");
        }
    }
}

enum Target {
    Stdout(io::Stdout),
    File(Rotated),
}

impl Target {
    fn open(path: &Path, rotation: Rotation) -> io::Result<Target> {
        Ok(if path == Path::new("-") {
            Target::Stdout(io::stdout())
        } else {
            Target::File(Rotated::open(path, rotation)?)
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout(stdout) => stdout.write_all(line),
            Target::File(file) => file.write(line, Timestamp::now()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Stdout(stdout) => stdout.flush(),
            Target::File(file) => file.open.flush(),
        }
    }
}

struct Rotated {
    path: PathBuf,
    rotation: Rotation,
    open: BufWriter<File>,
    size_bytes: u64,
}

impl Rotated {
    fn open(path: &Path, rotation: Rotation) -> io::Result<Rotated> {
        let (file, size_bytes) = append_to(path)?;
        Ok(Rotated { path: path.to_owned(), rotation, open: BufWriter::new(file), size_bytes })
    }

    fn write(&mut self, line: &[u8], now: Timestamp) -> io::Result<()> {
        let length = line.len() as u64;
        if self.size_bytes > 0 && self.size_bytes + length > self.rotation.max_size_bytes {
            self.open.flush()?;
            std::fs::rename(&self.path, aside(&self.path, now))?;
            let (file, size_bytes) = append_to(&self.path)?;
            (self.open, self.size_bytes) = (BufWriter::new(file), size_bytes);
            self.clean(now)?;
        }
        self.size_bytes += length;
        self.open.write_all(line)
    }

    /// Removes what was put aside too long ago, or is too much.
    fn clean(&self, now: Timestamp) -> io::Result<()> {
        let (folder, stem, end) = parts(&self.path);
        let mut kept: Vec<String> = std::fs::read_dir(folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| time_of(name, &stem, &end).is_some())
            .collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        for (at, name) in kept.iter().enumerate() {
            let too_many = self.rotation.max_files.is_some_and(|most| at >= most);
            let age = time_of(name, &stem, &end).map(|time| now.duration_since(time));
            let limit = self.rotation.max_age.and_then(|age| SignedDuration::try_from(age).ok());
            let too_old = age.zip(limit).is_some_and(|(age, limit)| age > limit);
            if too_many || too_old {
                std::fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size_bytes = file.metadata()?.len();
    Ok((file, size_bytes))
}

/// The folder, what a file put aside begins with, and what it ends with.
fn parts(path: &Path) -> (&Path, String, String) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    let end = path.extension().map(|end| format!(".{}", text(Some(end)))).unwrap_or_default();
    (folder, format!("{}-", text(path.file_stem())), end)
}

/// `audit-2026-01-02T15-04-05.000.log`.
fn aside(path: &Path, now: Timestamp) -> PathBuf {
    let (folder, stem, end) = parts(path);
    folder.join(format!("{stem}{}{end}", now.strftime("%Y-%m-%dT%H-%M-%S%.3f")))
}

/// When the file of that name was put aside; none for other files.
fn time_of(name: &str, stem: &str, end: &str) -> Option<Timestamp> {
    let text = name.strip_prefix(stem)?.strip_suffix(end)?;
    let (day, time) = text.split_once('T')?;
    format!("{day}T{}Z", time.replacen('-', ":", 2)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_full_is_put_aside_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(folder.path().join("audit-other.log"), "not ours").unwrap();
        let day = Duration::from_secs(86_400);
        let rotation = Rotation { max_size_bytes: 10, max_age: Some(day), max_files: Some(2) };
        let mut file = Rotated::open(&path, rotation).unwrap();
        for time in ["01T00:00:00Z", "01T00:00:01Z", "01T00:00:02Z", "01T00:00:03Z"] {
            file.write(b"123456\n", format!("2026-01-{time}").parse().unwrap()).unwrap();
        }
        let kept = ["audit-2026-01-01T00-00-02.000.log", "audit-2026-01-01T00-00-03.000.log"];
        assert_eq!(names(folder.path()), [kept[0], kept[1], "audit-other.log", "audit.log"]);
        file.write(b"123456\n", "2026-01-05T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(names(folder.path()), ["audit-2026-01-05T00-00-00.000.log", "audit-other.log", "audit.log"]);
    }

    #[tokio::test]
    async fn lines_are_written_in_order_and_after_a_restart_behind_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rotation = Rotation { max_size_bytes: 1 << 20, max_age: None, max_files: None };
        for run in 0..2 {
            let (log, thread) = Log::open(&path, rotation).unwrap();
            for line in 0..100 {
                log.write(format!("{run} {line}\n").into_bytes()).await;
            }
            drop(log);
            thread.join().unwrap();
        }
        let expected: String = (0..2).flat_map(|run| (0..100).map(move |line| format!("{run} {line}\n"))).collect();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
