//! How large `device` may be in the selectors of devices, and what they may cost.
//!
//! Upstream: dynamic-resource-allocation/cel/compile.go, k8s.io/api/resource/v1/types.go

use std::{collections::BTreeMap, sync::LazyLock};

use super::Bounds;

/// What a selector may cost at most (CELSelectorExpressionMaxCost).
pub const LIMIT: u64 = 1_000_000;

const MAX_DOMAIN: u64 = 63;
const MAX_ID: u64 = 32;
const MAX_DRIVER: u64 = 63;
const MAX_ATTRIBUTES_AND_CAPACITIES: u64 = 32;
const MAX_ATTRIBUTE_VALUE: u64 = 64;

static DEVICE: LazyLock<Bounds> = LazyLock::new(|| {
    let fields = [
        ("driver", of(MAX_DRIVER)),
        // So that looking at it costs what it does.
        ("allowMultipleAllocations", of(1)),
        ("attributes", by_domain(Bounds { has_values_as_fields: true, ..by_id(of(MAX_ATTRIBUTE_VALUE)) })),
        ("capacity", by_domain(by_id(of(0)))),
    ];
    let fields: BTreeMap<String, Bounds> = fields.map(|(name, bounds)| (name.to_owned(), bounds)).into();
    Bounds { fields, ..Bounds::default() }
});

/// The bounds of the variables of a selector.
pub fn bounds_of(variable: &str) -> Option<&'static Bounds> {
    (variable == "device").then_some(&*DEVICE)
}

fn of(max: u64) -> Bounds {
    Bounds { max, ..Bounds::default() }
}

fn by_domain(values: Bounds) -> Bounds {
    Bounds::map_of(of(MAX_DOMAIN), values, MAX_ATTRIBUTES_AND_CAPACITIES)
}

fn by_id(values: Bounds) -> Bounds {
    Bounds::map_of(of(MAX_ID), values, MAX_ATTRIBUTES_AND_CAPACITIES)
}
