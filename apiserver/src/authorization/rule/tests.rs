//! Covering judged by an oracle that asks one question at a time.

use proptest::prelude::*;

use super::*;

/// A rule over few words, so that rules meet often.
fn any_rule() -> impl Strategy<Value = Rule> {
    let some = |words: &'static [&'static str], least: usize| {
        prop::collection::vec(prop::sample::select(words), least..3)
            .prop_map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let of_resources = (
        some(&["get", "list", "*"], 1),
        some(&["", "apps", "*"], 1),
        some(&["pods", "pods/log", "*/log", "nodes", "*"], 1),
        some(&["a", "b"], 0),
    )
        .prop_map(|(verbs, api_groups, resources, resource_names)| Rule {
            verbs,
            api_groups,
            resources,
            resource_names,
            ..Rule::default()
        });
    let of_paths = (some(&["get", "post", "*"], 1), some(&["/a", "/a/*", "/a/b", "*"], 1))
        .prop_map(|(verbs, non_resource_urls)| Rule { verbs, non_resource_urls, ..Rule::default() });
    prop_oneof![of_resources, of_paths]
}

/// Every question over the words of `any_rule`, and some words that no rule has.
fn questions() -> Vec<Attributes<'static>> {
    let mut all = Vec::new();
    for verb in ["get", "list", "post", "other"] {
        for path in ["/a", "/a/b", "/a/c", "/z"] {
            all.push(Attributes { verb, path, ..Attributes::default() });
        }
        for group in ["", "apps", "other"] {
            for (resource, subresource) in
                [("pods", ""), ("pods", "log"), ("nodes", ""), ("nodes", "log"), ("other", ""), ("other", "log")]
            {
                for name in ["", "a", "b", "z"] {
                    all.push(Attributes {
                        is_resource: true,
                        verb,
                        group,
                        resource,
                        subresource,
                        name,
                        ..Attributes::default()
                    });
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn who_covers_rules_may_do_all_that_they_allow(
        held in prop::collection::vec(any_rule(), 0..4),
        wanted in prop::collection::vec(any_rule(), 1..3),
    ) {
        if uncovered(&held, &wanted).is_empty() {
            for question in questions() {
                let may = |rules: &[Rule]| rules.iter().any(|rule| rule.allows(&question));
                prop_assert!(!may(&wanted) || may(&held), "{question:?}");
            }
        }
    }

    #[test]
    fn everybody_covers_what_they_hold(held in prop::collection::vec(any_rule(), 1..4)) {
        prop_assert_eq!(uncovered(&held, &held), Vec::<Rule>::new());
    }

    #[test]
    fn what_is_uncovered_and_what_is_held_cover_all(
        held in prop::collection::vec(any_rule(), 0..3),
        wanted in prop::collection::vec(any_rule(), 1..3),
    ) {
        let mut together = held.clone();
        together.extend(uncovered(&held, &wanted));
        prop_assert_eq!(uncovered(&together, &wanted), Vec::<Rule>::new());
    }
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Rule {
    let owned = |list: &[&str]| list.iter().map(|each| (*each).to_owned()).collect();
    Rule { verbs: owned(verbs), api_groups: owned(groups), resources: owned(resources), ..Rule::default() }
}

#[test]
fn lacking_rights_are_told_by_resource() {
    let held = [rule(&["get", "list"], &[""], &["pods"])];
    let wanted = [rule(&["get", "delete"], &[""], &["pods", "nodes"]), rule(&["*"], &["apps"], &["*"])];
    let told: Vec<String> = uncovered(&held, &wanted).iter().map(Rule::describe).collect();
    assert_eq!(
        told,
        [
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#,
            r#"{APIGroups:[""], Resources:["nodes"], Verbs:["get" "delete"]}"#,
            r#"{APIGroups:["apps"], Resources:["*"], Verbs:["*"]}"#,
        ]
    );
}
