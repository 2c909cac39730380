//! Each checker finds a seeded violation, and is content with a right history.

use super::*;

const ASKED_LATER: u64 = 1000;

/// A run in which two clients wrote `a` and `b`, listed, and a watch followed.
fn good() -> Vec<Record> {
    let called = |client, id, at_ns, request| Record::Called(Called { client, id, at_ns, request });
    let returned = |client, id, at_ns, answer| Record::Returned { client, id, at_ns, answer };
    let create = |key: &str, tag: &str| Request::Create { key: key.into(), tag: tag.into() };
    let update =
        |key: &str, tag: &str, expected| Request::Update { key: key.into(), tag: tag.into(), expected: Some(expected) };
    let change = |revision, key: &str, tag: Option<&str>, label: &str| {
        let (key, tag, label) = (key.into(), tag.map(Into::into), label.into());
        Record::Changed(Change { revision, key, tag, label })
    };
    let item = |key: &str, revision, tag: &str| Item { key: key.into(), revision, tag: tag.into() };
    let opened = |watch, label: Option<&str>, after| {
        let (prefix, label) = ("/".into(), label.map(Into::into));
        Record::WatchOpened(WatchOpened { watch, at_ns: 1, prefix, label, after })
    };
    let shown = |watch, event| Record::Shown { watch, at_ns: 900, event };
    vec![
        called(1, 0, 10, create("/a", "t1")),
        returned(1, 0, 20, Answer::Written { revision: 2 }),
        called(2, 0, 15, create("/b", "t2")),
        returned(2, 0, 30, Answer::Written { revision: 3 }),
        called(1, 1, 40, update("/a", "t3", 2)),
        returned(1, 1, 50, Answer::Written { revision: 4 }),
        called(2, 1, 45, update("/a", "t4", 2)),
        returned(2, 1, 60, Answer::Refused),
        called(1, 2, 70, Request::List { prefix: "/".into(), at: None }),
        returned(1, 2, 80, Answer::Listed { revision: 4, items: vec![item("/a", 4, "t3"), item("/b", 3, "t2")] }),
        called(1, 3, 90, Request::Delete { key: "/b".into(), expected: None }),
        returned(1, 3, 100, Answer::Written { revision: 5 }),
        called(2, 2, 95, create("/c", "t5")),
        change(2, "/a", Some("t1"), "x"),
        change(3, "/b", Some("t2"), "x"),
        change(4, "/a", Some("t3"), "y"),
        change(5, "/b", None, ""),
        change(6, "/c", Some("t5"), "y"),
        opened(1, None, 2),
        shown(1, Event::Added(item("/b", 3, "t2"))),
        shown(1, Event::Modified(item("/a", 4, "t3"))),
        shown(1, Event::Bookmark { revision: 4 }),
        shown(1, Event::Deleted(item("/b", 5, "t2"))),
        opened(2, Some("x"), 1),
        shown(2, Event::Added(item("/a", 2, "t1"))),
        shown(2, Event::Added(item("/b", 3, "t2"))),
        shown(2, Event::Deleted(item("/a", 4, "t1"))),
        shown(2, Event::Deleted(item("/b", 5, "t2"))),
        Record::Compacted { revision: 6, at_ns: 800 },
        shown(2, Event::Gone),
    ]
}

/// The good history after `spoil` breaks the invariant `expected`, and perhaps others with it.
fn check_finds(expected: &str, spoil: impl FnOnce(&mut Vec<Record>)) {
    check_says(expected, "", spoil);
}

/// As [`check_finds`], with words that only the checker meant has: several hold the same invariant.
fn check_says(expected: &str, words: &str, spoil: impl FnOnce(&mut Vec<Record>)) {
    let mut records = good();
    spoil(&mut records);
    let violations = check(&records);
    let is_meant = |found: &Violation| found.invariant == expected && found.what.contains(words);
    assert!(violations.iter().any(is_meant), "{expected} ({words}) is not among {violations:?}");
}

fn changes_of(records: &mut [Record]) -> impl Iterator<Item = &mut Change> {
    records.iter_mut().filter_map(|record| if let Record::Changed(change) = record { Some(change) } else { None })
}

fn is_change(record: &Record, revision: u64) -> bool {
    matches!(record, Record::Changed(change) if change.revision == revision)
}

fn is_shown(record: &Record, of_watch: u32) -> bool {
    matches!(record, Record::Shown { watch, .. } if *watch == of_watch)
}

#[test]
fn a_right_history_has_no_violations() {
    assert_eq!(check(&good()), []);
}

#[test]
fn a_lost_write_is_found() {
    check_finds("I01", |records| records.retain(|record| !is_change(record, 4)));
    check_finds("I01", |records| records.retain(|record| !is_change(record, 5)));
}

#[test]
fn a_lost_delete_is_found_though_nobody_was_told_its_revision() {
    let done = |records: &mut Vec<Record>| {
        for record in records {
            if let Record::Returned { client: 1, id: 3, answer, .. } = record {
                *answer = Answer::Done;
            }
        }
    };
    let mut records = good();
    done(&mut records);
    assert_eq!(check(&records), []);
    check_finds("I01", |records| {
        done(records);
        records.retain(|record| !is_change(record, 5));
    });
}

#[test]
fn a_revision_that_goes_back_or_is_used_twice_is_found() {
    check_finds("I02", |records| {
        let index = records.iter().position(|record| is_change(record, 3)).unwrap();
        records.swap(index, index + 1);
    });
    check_finds("I02", |records| {
        changes_of(records).filter(|change| change.revision == 4).for_each(|change| {
            change.tag = Some("other".into());
        })
    });
    check_finds("I02", |records| {
        records.push(Record::Changed(Change {
            revision: 9,
            key: "/a".into(),
            tag: Some("t1".into()),
            label: String::new(),
        }))
    });
}

#[test]
fn an_order_against_real_time_is_found() {
    check_says("I03", "had returned before the one at 2 was called", |records| {
        for record in records {
            if let Record::Called(Called { client: 1, id: 0, at_ns, .. }) = record {
                *at_ns = ASKED_LATER;
            }
        }
    });
}

#[test]
fn a_refusal_without_a_reason_and_a_refused_write_that_took_place_are_found() {
    check_finds("I03", |records| {
        for record in records {
            if let Record::Called(Called { client: 2, id: 1, request, .. }) = record {
                *request = Request::Create { key: "/nobody-wrote-this".into(), tag: "t4".into() };
            }
        }
    });
    check_finds("I04", |records| {
        records.push(Record::Changed(Change {
            revision: 9,
            key: "/a".into(),
            tag: Some("t4".into()),
            label: String::new(),
        }))
    });
}

#[test]
fn a_write_over_something_it_did_not_expect_is_found() {
    check_finds("I03", |records| {
        for record in records {
            if let Record::Called(Called { client: 1, id: 1, request: Request::Update { expected, .. }, .. }) = record {
                *expected = Some(3);
            }
        }
    });
}

#[test]
fn a_list_that_is_no_state_and_a_stale_one_are_found() {
    check_finds("I06", |records| {
        for record in records {
            if let Record::Returned { answer: Answer::Listed { items, .. }, .. } = record {
                items.pop();
            }
        }
    });
    check_finds("I03", |records| {
        for record in records {
            if let Record::Returned { answer: Answer::Listed { revision, items }, .. } = record {
                *revision = 3;
                items[0] = Item { key: "/a".into(), revision: 2, tag: "t1".into() };
            }
        }
    });
}

#[test]
fn a_list_from_the_future_and_one_of_another_revision_than_asked_are_found() {
    check_says("I03", "ended when at most 3 had been asked for", |records| {
        let update = |record: &Record| matches!(record, Record::Called(Called { client: 1, id: 1, .. }));
        let index = records.iter().position(update).unwrap();
        // The list is told of revision 4 before the write of it is called.
        for record in &mut records[index..=index + 1] {
            match record {
                Record::Called(called) => called.at_ns = 85,
                Record::Returned { at_ns, .. } => *at_ns = 86,
                _ => {}
            }
        }
    });
    check_finds("I06", |records| {
        for record in records {
            if let Record::Called(Called { request: Request::List { at, .. }, .. }) = record {
                *at = Some(3);
            }
        }
    });
}

#[test]
fn a_broken_promise_is_said_in_words_and_its_history_kept() {
    let mut records = good();
    records.retain(|record| !is_change(record, 4));
    let run = format!("of-a-test-{}", std::process::id());
    let said = std::panic::catch_unwind(|| assert_holds(&run, &records)).unwrap_err();
    let said = said.downcast::<String>().unwrap();
    assert!(said.contains("I01: /a=Some(\"t3\") was acknowledged at revision 4 and is not there"), "{said}");
    let path = std::env::temp_dir().join(format!("skiff-history-{run}.jsonl"));
    assert!(said.contains(&path.display().to_string()), "{said}");
    assert_eq!(read(io::BufReader::new(std::fs::File::open(&path).unwrap())).unwrap(), records);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_watch_that_drops_repeats_or_reorders_is_found() {
    for watch in [1, 2] {
        let first = good().iter().position(|record| is_shown(record, watch)).unwrap();
        check_finds("I05", |records| drop(records.remove(first)));
        check_finds("I05", |records| records.insert(first, records[first].clone()));
        check_finds("I05", |records| records.swap(first, first + 1));
    }
}

#[test]
fn a_bookmark_that_comes_early_is_found() {
    check_finds("I05", |records| {
        for record in records {
            if let Record::Shown { event: Event::Bookmark { revision }, .. } = record {
                *revision = 5;
            }
        }
    });
}

#[test]
fn an_event_of_the_wrong_type_or_outside_the_selection_is_found() {
    check_finds("I05", |records| {
        for record in records {
            if let Record::Shown { event, .. } = record
                && let Event::Modified(item) = event
            {
                *event = Event::Added(item.clone());
            }
        }
    });
    check_finds("I05", |records| {
        for record in records {
            if let Record::WatchOpened(WatchOpened { watch: 2, label, .. }) = record {
                *label = Some("y".into());
            }
        }
    });
}

#[test]
fn a_bookmark_that_goes_back_is_found() {
    check_finds("I05", |records| {
        let index =
            records.iter().position(|record| matches!(record, Record::Shown { event: Event::Bookmark { .. }, .. }));
        let earlier = Record::Shown { watch: 1, at_ns: 900, event: Event::Bookmark { revision: 3 } };
        records.insert(index.unwrap() + 1, earlier);
    });
}

#[test]
fn a_watch_that_ends_in_the_middle_of_a_revision_is_found() {
    // One transaction wrote both, and only one was shown before the watch ended.
    let together = |records: &mut Vec<Record>| {
        let call = |id, tag: &str| {
            let request = Request::Create { key: format!("/{tag}"), tag: tag.into() };
            Record::Called(Called { client: 3, id, at_ns: 500, request })
        };
        let change = |tag: &str| {
            let (key, tag, label) = (format!("/{tag}"), Some(tag.into()), "z".into());
            Record::Changed(Change { revision: 7, key, tag, label })
        };
        let opened = WatchOpened { watch: 3, at_ns: 1, prefix: "/".into(), label: None, after: 6 };
        let shown = |tag: &str| {
            let item = Item { key: format!("/{tag}"), revision: 7, tag: tag.into() };
            Record::Shown { watch: 3, at_ns: 900, event: Event::Added(item) }
        };
        records.extend([call(0, "d"), call(1, "e"), change("d"), change("e")]);
        records.extend([Record::WatchOpened(opened), shown("d"), shown("e")]);
    };
    let mut records = good();
    together(&mut records);
    assert_eq!(check(&records), []);
    check_finds("I05", |records| {
        together(records);
        records.pop();
    });
}

#[test]
fn a_410_for_what_is_still_there_is_found() {
    check_finds("I07", |records| records.retain(|record| !matches!(record, Record::Compacted { .. })));
    check_finds("I07", |records| {
        for record in records {
            if let Record::Compacted { revision, .. } = record {
                *revision = 5;
            }
        }
    });
    check_finds("I07", |records| {
        for record in records {
            if let Record::Compacted { at_ns, .. } = record {
                *at_ns = ASKED_LATER;
            }
        }
    });
}

#[test]
fn a_change_that_nobody_asked_for_is_found() {
    let phantom = |key: &str, tag: Option<&str>| {
        let (key, tag) = (key.into(), tag.map(Into::into));
        Record::Changed(Change { revision: 9, key, tag, label: String::new() })
    };
    check_finds("I04", |records| records.push(phantom("/d", Some("from nowhere"))));
    check_finds("I04", |records| records.push(phantom("/a", None)));
    check_finds("I04", |records| {
        changes_of(records).filter(|change| change.revision == 6).for_each(|change| change.key = "/elsewhere".into())
    });
}

#[test]
fn a_history_survives_being_written_and_a_line_that_was_cut_off() {
    let mut file = Vec::new();
    write(&mut file, &good()).unwrap();
    assert_eq!(read(&file[..]).unwrap(), good());
    file.truncate(file.len() - 5);
    assert_eq!(read(&file[..]).unwrap(), good()[..good().len() - 1]);
    assert!(read(&b"{\"nonsense\":1}\n"[..]).is_err());
}
