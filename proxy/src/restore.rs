//! Decides what `iptables-restore --noflush` must be told to bring the kernel from some rules to others.
//!
//! Each table changes at once, but one after the other. So that no moment between lets through what both states
//! refuse, or drops what both let through, what refuses is added first, then the translation changes, then what no
//! longer refuses goes.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (which writes filter, then nat)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use crate::ruleset::{Chain, Hook, Ruleset, Table};

/// The input for `iptables-restore --noflush`; `None` when nothing must change. Chains that stay as they are are not in it.
pub fn input(current: &Ruleset, desired: &Ruleset) -> Option<String> {
    let nat = commit("nat", &current.nat, &desired.nat);
    if nat.is_none() {
        return commit("filter", &current.filter, &desired.filter);
    }
    let widened = union(&current.filter, &desired.filter);
    let steps = [commit("filter", &current.filter, &widened), nat, commit("filter", &widened, &desired.filter)];
    Some(steps.into_iter().flatten().collect())
}

/// Both: the rules that are wanted, followed by those that will go.
fn union(current: &Table, desired: &Table) -> Table {
    let mut chains = desired.chains.clone();
    for (name, rules) in &current.chains {
        let chain = chains.entry(name.clone()).or_default();
        if chain != rules {
            let wanted: BTreeSet<String> = chain.iter().cloned().collect();
            Arc::make_mut(chain).extend(rules.iter().filter(|rule| !wanted.contains(*rule)).cloned());
        }
    }
    let mut hooks = desired.hooks.clone();
    hooks.extend(current.hooks.iter().filter(|hook| !desired.hooks.contains(hook)).cloned());
    Table { chains, hooks }
}

fn commit(name: &str, current: &Table, desired: &Table) -> Option<String> {
    let changed = |(chain, rules): &(&String, &Chain)| current.chains.get(*chain) != Some(*rules);
    let changed: BTreeMap<&String, &Chain> = desired.chains.iter().filter(changed).collect();
    let gone: Vec<&String> = current.chains.keys().filter(|chain| !desired.chains.contains_key(*chain)).collect();
    let hooks = hook_changes(&current.hooks, &desired.hooks);
    if changed.is_empty() && gone.is_empty() && hooks.is_empty() {
        return None;
    }
    let mut text = format!("*{name}\n");
    // To name a chain makes it or, when it is there, empties it.
    for chain in changed.keys().copied().chain(gone.iter().copied()) {
        let _ = writeln!(text, ":{chain} - [0:0]");
    }
    for (chain, rules) in changed {
        rules.iter().for_each(|rule| {
            let _ = writeln!(text, "-A {chain} {rule}");
        });
    }
    text.push_str(&hooks);
    for chain in gone {
        let _ = writeln!(text, "-X {chain}");
    }
    text.push_str("COMMIT\n");
    Some(text)
}

/// Puts missing hooks at the top of their chains, in their order, and takes out what is too much.
fn hook_changes(current: &[Hook], desired: &[Hook]) -> String {
    let mut text = String::new();
    let mut surplus = current.to_vec();
    let mut missing = Vec::new();
    for hook in desired {
        match surplus.iter().position(|known| known == hook) {
            Some(place) => drop(surplus.remove(place)),
            None => missing.push(hook),
        }
    }
    for Hook { chain, rule } in missing.into_iter().rev() {
        let _ = writeln!(text, "-I {chain} 1 {rule}");
    }
    for Hook { chain, rule } in surplus {
        let _ = writeln!(text, "-D {chain} {rule}");
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    /// A table from lines: `CHAIN rule`, upper-case built-in chains being hooks.
    fn table(lines: &[&str]) -> Table {
        let mut table = Table::default();
        for line in lines {
            let (chain, rule) = line.split_once(' ').unwrap_or((line, ""));
            if matches!(chain, "INPUT" | "FORWARD" | "OUTPUT" | "PREROUTING") {
                table.hooks.push(Hook { chain: chain.into(), rule: rule.into() });
            } else {
                table.chain(chain).extend((!rule.is_empty()).then(|| rule.to_owned()));
            }
        }
        table
    }

    fn check(current: (&[&str], &[&str]), desired: (&[&str], &[&str]), expected: Expect) {
        let ruleset = |(nat, filter): (&[&str], &[&str])| Ruleset { nat: table(nat), filter: table(filter) };
        expected.assert_eq(&input(&ruleset(current), &ruleset(desired)).unwrap_or_default());
    }

    #[test]
    fn nothing_is_said_when_nothing_changes() {
        check((&["OUTPUT -j A", "A -j B"], &["C"]), (&["OUTPUT -j A", "A -j B"], &["C"]), expect![""]);
    }

    #[test]
    fn only_the_chain_that_changed_is_written() {
        check(
            (&["A -j B", "B one", "B two"], &[]),
            (&["A -j B", "B one", "B three"], &[]),
            expect![[r#"
                *nat
                :B - [0:0]
                -A B one
                -A B three
                COMMIT
            "#]],
        );
    }

    #[test]
    fn a_chain_is_deleted_after_what_led_to_it() {
        check(
            (&["A -j B", "B one"], &[]),
            (&["A"], &[]),
            expect![[r#"
                *nat
                :A - [0:0]
                :B - [0:0]
                -X B
                COMMIT
            "#]],
        );
    }

    #[test]
    fn a_refusal_is_there_before_the_translation_goes_and_goes_after_the_translation_came() {
        check(
            (&["A web", "A mail"], &["R refuse-shop"]),
            (&["A shop", "A mail"], &["R refuse-web"]),
            expect![[r#"
                *filter
                :R - [0:0]
                -A R refuse-web
                -A R refuse-shop
                COMMIT
                *nat
                :A - [0:0]
                -A A shop
                -A A mail
                COMMIT
                *filter
                :R - [0:0]
                -A R refuse-web
                COMMIT
            "#]],
        );
    }

    #[test]
    fn hooks_are_put_in_front_in_their_order_and_doubled_ones_are_removed() {
        check(
            (&[], &["INPUT -j A", "INPUT -j A", "INPUT -j OLD", "A"]),
            (&[], &["INPUT -j A", "FORWARD -j A", "FORWARD -j B", "A"]),
            expect![[r#"
                *filter
                -I FORWARD 1 -j B
                -I FORWARD 1 -j A
                -D INPUT -j A
                -D INPUT -j OLD
                COMMIT
            "#]],
        );
    }

    /// What `iptables-restore --noflush` does with its input: our rules and those of others in one kernel.
    ///
    /// Panics where the real one refuses: at what is not there, and at a chain deleted while it is full or in use.
    #[derive(Debug, Clone, PartialEq)]
    struct Kernel(BTreeMap<String, BTreeMap<String, Vec<String>>>);

    impl Kernel {
        fn restore(&mut self, input: &str) {
            let mut table = String::new();
            for line in input.lines() {
                if let Some(name) = line.strip_prefix('*') {
                    name.clone_into(&mut table);
                    continue;
                }
                let chains = self.0.get_mut(&table).unwrap();
                let words: Vec<&str> = line.splitn(3, ' ').collect();
                match words[..] {
                    ["COMMIT"] => {}
                    ["-A", chain, rule] => chains.get_mut(chain).unwrap().push(rule.to_owned()),
                    ["-I", chain, place] => {
                        let rule = place.strip_prefix("1 ").unwrap().to_owned();
                        chains.get_mut(chain).unwrap().insert(0, rule);
                    }
                    ["-D", chain, rule] => {
                        let rules = chains.get_mut(chain).unwrap();
                        rules.remove(rules.iter().position(|known| known == rule).unwrap());
                    }
                    ["-X", chain] => {
                        assert_eq!(chains.remove(chain), Some(Vec::new()), "{chain} is empty");
                        let jump = format!("-j {chain}");
                        assert!(
                            !chains.values().flatten().any(|rule| rule.ends_with(&jump)),
                            "nothing leads to {chain}"
                        );
                    }
                    [declared, ..] => {
                        chains.insert(declared.strip_prefix(':').unwrap().to_owned(), Vec::new());
                    }
                    [] => unreachable!("a line has a first word"),
                }
            }
        }

        /// As `iptables-save` prints it.
        fn saved(&self) -> String {
            let mut text = String::new();
            for (table, chains) in &self.0 {
                let _ = writeln!(text, "*{table}");
                text.extend(chains.keys().map(|chain| format!(":{chain} - [0:0]\n")));
                let of_chain = |(chain, rules): (&String, &Vec<String>)| -> String {
                    rules.iter().map(|rule| format!("-A {chain} {rule}\n")).collect()
                };
                text.extend(chains.iter().map(of_chain));
            }
            text
        }

        /// What is left without our chains and what leads to them.
        fn foreign(&self) -> Kernel {
            let mut kernel = self.clone();
            for chains in kernel.0.values_mut() {
                chains.retain(|chain, _| !chain.starts_with("KUBE-"));
                chains.values_mut().for_each(|rules| rules.retain(|rule| !rule.contains("-j KUBE-")));
            }
            kernel
        }
    }

    /// Our chains of a table, each with some rules, and hooks that lead to them from chains of others.
    fn any_table() -> impl Strategy<Value = Table> {
        let rule = prop_oneof![Just("one"), Just("two"), Just("-j ACCEPT")].prop_map(str::to_owned);
        let name = prop_oneof![Just("KUBE-SERVICES"), Just("KUBE-SVC-A"), Just("KUBE-SVC-B"), Just("KUBE-IP-C")];
        let chains = prop::collection::btree_map(name.prop_map(str::to_owned), prop::collection::vec(rule, 0..4), 0..4);
        let hooks = prop::collection::vec((prop_oneof![Just("INPUT"), Just("FORWARD")], 0..4usize), 0..4);
        (chains, hooks).prop_map(|(mut chains, hooks)| {
            let names: Vec<String> = chains.keys().cloned().collect();
            // Each chain leads to the next, so that the order of deletions matters.
            for (chain, next) in names.iter().zip(names.iter().skip(1)) {
                chains.get_mut(chain).unwrap().push(format!("-j {next}"));
            }
            let hook = |(chain, target): (&str, usize)| {
                let rule = format!("-m comment --comment \"ours\" -j {}", names.get(target)?);
                Some(Hook { chain: chain.to_owned(), rule })
            };
            let hooks = hooks.into_iter().filter_map(hook).collect();
            Table { hooks, chains: chains.into_iter().map(|(name, rules)| (name, Arc::new(rules))).collect() }
        })
    }

    fn any_ruleset() -> impl Strategy<Value = Ruleset> {
        (any_table(), any_table()).prop_map(|(nat, filter)| Ruleset { nat, filter })
    }

    /// A kernel that has these rules among those of others.
    fn kernel(ours: &Ruleset) -> Kernel {
        let of_table = |table: &Table| {
            let rules_of = |(name, chain): (&String, &Chain)| (name.clone(), chain.to_vec());
            let mut chains: BTreeMap<String, Vec<String>> = table.chains.iter().map(rules_of).collect();
            for (chain, rules) in [("DOCKER", &["-i docker0 -j RETURN"] as &[&str]), ("INPUT", &["-j DROP"])] {
                chains.insert(chain.to_owned(), rules.iter().map(|rule| (*rule).to_owned()).collect());
            }
            chains.insert("FORWARD".to_owned(), vec!["-j DOCKER".to_owned(), "-j DROP".to_owned()]);
            table.hooks.iter().rev().for_each(|hook| chains.get_mut(&hook.chain).unwrap().insert(1, hook.rule.clone()));
            chains
        };
        Kernel([("nat".to_owned(), of_table(&ours.nat)), ("filter".to_owned(), of_table(&ours.filter))].into())
    }

    fn sorted_hooks(mut ruleset: Ruleset) -> Ruleset {
        ruleset.nat.hooks.sort();
        ruleset.filter.hooks.sort();
        ruleset
    }

    proptest! {
        #[test]
        fn whatever_was_there_the_kernel_has_what_is_wanted_and_what_is_foreign_stays(
            current in any_ruleset(), desired in any_ruleset()
        ) {
            let mut kernel = kernel(&current);
            let foreign = kernel.foreign();
            let seen = crate::saved::parse(&kernel.saved());
            if let Some(input) = input(&seen, &desired) {
                kernel.restore(&input);
            }
            let now = crate::saved::parse(&kernel.saved());
            prop_assert_eq!(input(&now, &desired), None, "a second run has nothing to do");
            prop_assert_eq!(sorted_hooks(now), sorted_hooks(desired));
            prop_assert_eq!(kernel.foreign(), foreign);
        }
    }
}
