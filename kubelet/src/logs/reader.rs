//! Reads a container's log as a client asked for it: the last lines, from a time on, on and on until the container ends.
//!
//! Upstream: pkg/kubelet/kuberuntime/logs/logs.go
//! Left out: one stream only (`stream=Stdout`); files that were rotated away before the reading began.

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::pin;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader};
use tokio::sync::mpsc;

use super::changes::Changes;
use super::{Entry, parse};

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub tail_lines: Option<u64>,
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
}

const CHUNK_BYTES: usize = 32 << 10;

/// Sends the log to `out`. With `ended` it goes on until that is done, or the client has gone: once a container has
/// ended, everything it wrote must be in the log.
///
/// # Errors
/// The log can't be read.
pub async fn copy(
    path: &Path,
    options: Options,
    ended: Option<impl Future<Output = ()>>,
    out: mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let Some(ended) = ended else {
        return Reader::open(path, &options).await?.drain(&out).await.map(drop);
    };
    let mut ended = pin!(ended);
    // Watching begins before reading: what is written in between is read twice or heard, never missed.
    let mut changes = Changes::of(path.parent().unwrap_or(path))?;
    let mut reader = Reader::open(path, &options).await?;
    let mut is_over = false;
    while reader.drain(&out).await? && !is_over {
        tokio::select! {
            changed = changes.next() => changed?,
            () = &mut ended => is_over = true, // read what came last
            () = out.closed() => return Ok(()),
        }
        if reader.was_rotated().await? {
            if !reader.drain(&out).await? {
                return Ok(());
            }
            reader.reopen().await?;
        }
    }
    Ok(())
}

struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    inode: u64,
    filter: Filter,
    /// A line that the runtime has not finished yet.
    line: Vec<u8>,
}

impl Reader {
    async fn open(path: &Path, options: &Options) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        let start = match options.tail_lines {
            Some(lines) => tail_start(&mut file, lines).await?,
            None => 0,
        };
        file.seek(SeekFrom::Start(start)).await?;
        let inode = file.metadata().await?.ino();
        let file = BufReader::new(file);
        Ok(Self { path: path.into(), file, inode, filter: Filter::new(options.clone()), line: Vec::new() })
    }

    /// Reads to the end of the file. False when the client has all it asked for, or has gone.
    async fn drain(&mut self, out: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<bool> {
        let mut chunk = Vec::new();
        loop {
            let read = self.file.read_until(b'\n', &mut self.line).await?;
            if self.line.ends_with(b"\n") {
                self.filter.take(&self.line, &mut chunk);
                self.line.clear();
            }
            let is_done = read == 0 || self.filter.is_full();
            if (is_done && !chunk.is_empty()) || chunk.len() >= CHUNK_BYTES {
                if out.send(Ok(std::mem::take(&mut chunk).into())).await.is_err() {
                    return Ok(false);
                }
            }
            if is_done {
                return Ok(!self.filter.is_full());
            }
        }
    }

    /// Whether another file has taken the name.
    async fn was_rotated(&self) -> io::Result<bool> {
        match tokio::fs::metadata(&self.path).await {
            Ok(metadata) => Ok(metadata.ino() != self.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false), // renamed; the new one is to come
            Err(error) => Err(error),
        }
    }

    async fn reopen(&mut self) -> io::Result<()> {
        let file = File::open(&self.path).await?;
        self.inode = file.metadata().await?.ino();
        self.file = BufReader::new(file);
        self.line.clear();
        Ok(())
    }
}

/// Picks what was asked for out of the lines of a log.
struct Filter {
    options: Options,
    left: Option<usize>,
}

impl Filter {
    fn new(options: Options) -> Self {
        let left = options.limit_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self { options, left }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    fn take(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(entry) = parse(line).filter(|entry| self.is_recent(entry)) else { return };
        let mut text = Vec::new();
        if self.options.timestamps {
            text.extend_from_slice(entry.time.as_bytes());
            text.push(b' ');
        }
        text.extend(entry.text());
        if let Some(left) = &mut self.left {
            text.truncate(*left);
            *left -= text.len();
        }
        out.extend(text);
    }

    fn is_recent(&self, entry: &Entry<'_>) -> bool {
        let Some(since) = self.options.since else { return true };
        entry.time.parse::<Timestamp>().is_ok_and(|time| time >= since)
    }
}

/// Where the last `lines` lines of a file begin. What is behind the last newline is no line yet, and comes with them.
async fn tail_start(file: &mut File, lines: u64) -> io::Result<u64> {
    const BLOCK_BYTES: u64 = 4096;
    let mut end = file.metadata().await?.len();
    let mut newlines = 0;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(start)).await?;
        block.clear();
        let read = (&mut *file).take(end - start).read_to_end(&mut block).await?;
        for (at, byte) in block.iter().enumerate().rev() {
            newlines += u64::from(*byte == b'\n');
            if newlines > lines {
                return Ok(start + at as u64 + 1);
            }
        }
        if read == 0 {
            break;
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(second: u32, text: &str) -> String {
        format!("2026-01-01T00:00:{second:02}.000000000Z stdout F {text}\n")
    }

    fn log(lines: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        (0..lines).for_each(|number| file.write_all(line(number, &format!("n{number}")).as_bytes()).unwrap());
        file
    }

    async fn read(file: &Path, options: Options) -> String {
        let (sender, mut receiver) = mpsc::channel(64);
        copy(file, options, None::<std::future::Ready<()>>, sender).await.unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = receiver.recv().await {
            all.extend(chunk.unwrap());
        }
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn the_last_lines_are_found_across_blocks() {
        let file = log(60);
        for (lines, expected) in [(0, ""), (1, "n59\n"), (2, "n58\nn59\n")] {
            let options = Options { tail_lines: Some(lines), ..Options::default() };
            assert_eq!(read(file.path(), options).await, expected);
        }
        let all = read(file.path(), Options { tail_lines: Some(60), ..Options::default() }).await;
        assert_eq!(all.lines().count(), 60);
        let more = read(file.path(), Options { tail_lines: Some(1000), ..Options::default() }).await;
        assert_eq!(more, all);
        assert_eq!(read(file.path(), Options::default()).await, all);
    }

    #[tokio::test]
    async fn lines_from_a_time_on_come_with_their_times() {
        let file = log(4);
        let since = "2026-01-01T00:00:02Z".parse().ok();
        let options = Options { since, timestamps: true, ..Options::default() };
        let expected = "2026-01-01T00:00:02.000000000Z n2\n2026-01-01T00:00:03.000000000Z n3\n";
        assert_eq!(read(file.path(), options).await, expected);
    }

    #[tokio::test]
    async fn a_limit_cuts_within_a_line() {
        let options = Options { limit_bytes: Some(4), ..Options::default() };
        assert_eq!(read(log(4).path(), options).await, "n0\nn");
    }

    #[tokio::test]
    async fn following_goes_on_over_a_rotation_until_the_container_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let write = |text: String| {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write(line(0, "old") + &line(1, "a"));
        let (sender, mut out) = mpsc::channel(64);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let options = Options { tail_lines: Some(1), ..Options::default() };
        let log = path.clone();
        let ended = async { ended.await.unwrap() };
        let copying = tokio::spawn(async move { copy(&log, options, Some(ended), sender).await });
        assert_eq!(out.recv().await.unwrap().unwrap(), "a\n");
        write("2026-01-01T00:00:02Z stdout F half".into());
        write(" a line\n".into());
        assert_eq!(out.recv().await.unwrap().unwrap(), "half a line\n");
        write(line(3, "last of the old file"));
        std::fs::rename(&path, folder.path().join("0.log.20260101-000003")).unwrap();
        write(line(4, "first of the new"));
        let mut all = Vec::new();
        while !all.ends_with(b"new\n") {
            all.extend(out.recv().await.unwrap().unwrap());
        }
        assert_eq!(all, b"last of the old file\nfirst of the new\n");
        end.send(()).unwrap();
        copying.await.unwrap().unwrap();
        assert!(out.recv().await.is_none());
    }
}
