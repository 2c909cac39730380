//! A disk that remembers only what was synced, and perhaps some of the rest.
//!
//! Upstream: lazyfs, which etcd's tests/robustness mounts
//! Left out: names that come back in another order than they were given; sectors that are torn.
//!
//! Data that was not synced may be there or not, in any order, in pieces of a sector. Names that were not synced are
//! there up to some point: file systems with a journal keep their order.

use std::collections::BTreeMap;

use super::recording::Recorded;

const SECTOR_BYTES: u64 = 512;

/// What a power cut leaves of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    Nothing,
    Everything,
    /// A random part, by this seed.
    Some(u64),
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    /// Parts of writes, none longer than a sector.
    pending: Vec<(u64, Vec<u8>)>,
}

enum Naming {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
pub struct Simulated {
    files: Vec<File>,
    /// Names as the running process sees them.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<Naming>,
}

impl Simulated {
    pub fn apply(&mut self, operation: &Recorded) {
        match operation {
            Recorded::Create(name) => {
                self.files.push(File::default());
                self.name(Naming::Create(name.clone(), self.files.len() - 1));
            }
            Recorded::Write(name, offset, bytes) => {
                let file = &mut self.files[self.names[name]];
                let (mut at, mut rest) = (*offset, &bytes[..]);
                while !rest.is_empty() {
                    let length = ((SECTOR_BYTES - at % SECTOR_BYTES) as usize).min(rest.len());
                    file.pending.push((at, rest[..length].to_vec()));
                    at += length as u64;
                    rest = &rest[length..];
                }
            }
            Recorded::Sync(name) => {
                let file = &mut self.files[self.names[name]];
                for (offset, bytes) in std::mem::take(&mut file.pending) {
                    write(&mut file.durable, offset, &bytes);
                }
            }
            Recorded::Rename(from, to) => self.name(Naming::Rename(from.clone(), to.clone())),
            Recorded::Remove(name) => self.name(Naming::Remove(name.clone())),
            Recorded::SyncDirectory => {
                for naming in std::mem::take(&mut self.pending_names) {
                    apply(&mut self.durable_names, &naming);
                }
            }
            Recorded::Answer(_) => {}
        }
    }

    fn name(&mut self, naming: Naming) {
        apply(&mut self.names, &naming);
        self.pending_names.push(naming);
    }

    /// The files that are there after the power is back.
    pub fn after_power_cut(&self, keep: Keep) -> BTreeMap<String, Vec<u8>> {
        let mut random = fastrand::Rng::with_seed(if let Keep::Some(seed) = keep { seed } else { 0 });
        let kept_names = match keep {
            Keep::Nothing => 0,
            Keep::Everything => self.pending_names.len(),
            Keep::Some(_) => random.usize(0..=self.pending_names.len()),
        };
        let mut names = self.durable_names.clone();
        self.pending_names[..kept_names].iter().for_each(|naming| apply(&mut names, naming));
        let mut contents = |index: &usize| {
            let file = &self.files[*index];
            let mut bytes = file.durable.clone();
            for (offset, part) in &file.pending {
                let kept = match keep {
                    Keep::Nothing => false,
                    Keep::Everything => true,
                    Keep::Some(_) => random.bool(),
                };
                if kept {
                    write(&mut bytes, *offset, part);
                }
            }
            bytes
        };
        names.iter().map(|(name, index)| (name.clone(), contents(index))).collect()
    }
}

fn apply(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Create(name, file) => drop(names.insert(name.clone(), *file)),
        Naming::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Naming::Remove(name) => drop(names.remove(name)),
    }
}

fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset as usize..end].copy_from_slice(bytes);
}
