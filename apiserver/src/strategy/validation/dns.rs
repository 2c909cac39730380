//! A pod's DNS settings and host aliases.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validatePodDNSConfig, ValidateHostAliases)
//! Left out: nothing.

use api::{field::Field, names};

use super::{Errors, addresses, looks_like};

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCH_PATHS: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;

/// Checks the DNS settings of a pod.
pub(crate) fn config(config: &Field<'_>, policy: &str, errors: &mut Errors) {
    let (nameservers, searches) = (config.child("nameservers"), config.child("searches"));
    if policy == "None" {
        if config.is_absent() {
            errors.push(config.required("must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if nameservers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(nameservers.required(detail));
            return;
        }
    }
    if nameservers.len() > MAX_NAMESERVERS {
        errors.push(nameservers.invalid(format!("must not have more than {MAX_NAMESERVERS} nameservers")));
    }
    for server in nameservers.items() {
        addresses::ip(&server, errors);
    }
    if searches.len() > MAX_SEARCH_PATHS {
        errors.push(searches.invalid(format!("must not have more than {MAX_SEARCH_PATHS} search paths")));
    }
    let characters = searches.items().map(|search| search.str().len() + 1).sum::<usize>().saturating_sub(1);
    if characters > MAX_SEARCH_CHARACTERS {
        let detail =
            format!("must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list");
        errors.push(searches.invalid(detail));
    }
    for search in searches.items().filter(|search| search.str() != ".") {
        let name = search.str().strip_suffix('.').unwrap_or(search.str());
        let mistakes = names::is_dns1123_subdomain_with_underscore(name);
        errors.extend(mistakes.into_iter().map(|wrong| search.invalid_value(name, wrong)));
    }
    for option in config.child("options").items() {
        if option.child("name").is_empty() {
            errors.push(option.required("must not be empty"));
        }
    }
}

/// Checks the entries that a pod wants in /etc/hosts.
pub(crate) fn host_aliases(aliases: &Field<'_>, errors: &mut Errors) {
    for alias in aliases.items() {
        addresses::ip(&alias.child("ip"), errors);
        for name in alias.child("hostnames").items() {
            looks_like(&name, names::is_dns1123_subdomain, errors);
        }
    }
}
