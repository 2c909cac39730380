//! The routes that the pod network needs: to the other nodes' pods, and for cluster IPs.
//!
//! Upstream: the route controllers of its clouds; host-gw of flannel
//! Left out: tunnels: nodes must reach each other in one hop.
//!
//! Every route of ours carries one protocol number, so that `ip route show proto 115` lists them, what an earlier run
//! left is found, and no route of others is ever touched.

use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};
use tracing::{debug, info};

use crate::observed;
use crate::ruleset::Settings;

/// No routing daemon has this number (see iproute2's rt_protos).
const OURS: RouteProtocol = RouteProtocol::Other(115);
/// Any other route to the same network is preferred to our refusal.
const LAST: u32 = 4096;

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub destination: Ipv4Net,
    pub way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To another node.
    Via(Ipv4Addr),
    /// Out of the interface that has this address, and from it. Packets are given another destination on their way.
    OnLink { source: Ipv4Addr },
    /// To nowhere, at once.
    Unreachable,
}

/// The routes that this node should have.
///
/// * The pods of every other node, by that node.
/// * Cluster IPs: without a route a connection would fail before a rule is asked, and with it its source is this
///   node's address, which every pod can answer to.
/// * This node's own pods, as unreachable: a pod that is there has a route of its own that is more exact, and one that
///   is gone should not be looked for on the default route.
pub fn wanted(settings: &Settings, nodes: &[Arc<Node>]) -> Vec<Route> {
    let mut wanted = Vec::new();
    if let Some(source) = settings.node_ip {
        wanted.push(Route { destination: settings.service_cidr, way: Way::OnLink { source } });
    }
    if let Some(destination) = settings.node_cidr {
        wanted.push(Route { destination, way: Way::Unreachable });
    }
    for node in nodes.iter().filter(|node| node.name_any() != settings.place.node_name) {
        let (Some(address), Some(destination)) = (observed::address(node), observed::pod_range(node)) else { continue };
        let is_ours = Some(address) == settings.node_ip || Some(destination) == settings.node_cidr;
        if !is_ours && !wanted.iter().any(|route| route.destination == destination) {
            wanted.push(Route { destination, way: Way::Via(address) });
        }
    }
    wanted
}

/// Makes our routes in the kernel those that are wanted.
///
/// A route of others to the same network stays: somebody else looks after it.
///
/// # Errors
/// The kernel can't be asked; or the first route that it refused, after the others were set.
pub async fn set(wanted: &[Route]) -> anyhow::Result<()> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let result = reconcile(&handle, wanted).await;
    connection.abort();
    result
}

async fn reconcile(handle: &Handle, wanted: &[Route]) -> anyhow::Result<()> {
    let current = ours(handle).await?;
    let mut first_error = Ok(());
    for (route, message) in current.iter().filter(|(route, _)| !route.as_ref().is_some_and(|it| wanted.contains(it))) {
        debug!(?route, "removing route");
        keep_first(&mut first_error, route, handle.route().del(message.clone()).execute().await);
    }
    for route in wanted.iter().filter(|route| !current.iter().any(|(known, _)| known.as_ref() == Some(*route))) {
        info!(?route, "adding route");
        keep_first(&mut first_error, &Some(route.clone()), add(handle, route).await);
    }
    first_error
}

fn keep_first(first: &mut anyhow::Result<()>, route: &Option<Route>, result: Result<(), rtnetlink::Error>) {
    const EXISTS: i32 = -17;
    match result {
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == EXISTS => {
            debug!(?route, "somebody else has a route there");
        }
        Err(error) if first.is_ok() => *first = Err(anyhow::Error::new(error).context(format!("route {route:?}"))),
        _ => {}
    }
}

/// The routes that carry our number; `None` for one of a form that we don't make (any more).
async fn ours(handle: &Handle) -> anyhow::Result<Vec<(Option<Route>, RouteMessage)>> {
    let all = handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    let all: Vec<RouteMessage> = all.try_collect().await?;
    let ours = all
        .into_iter()
        .filter(|message| message.header.protocol == OURS && message.header.table == RouteHeader::RT_TABLE_MAIN);
    Ok(ours.map(|message| (read(&message), message)).collect())
}

async fn add(handle: &Handle, route: &Route) -> Result<(), rtnetlink::Error> {
    let interface = match route.way {
        Way::OnLink { source } => interface_of(handle, source).await?,
        Way::Via(_) | Way::Unreachable => None,
    };
    handle.route().add(message(route, interface)).execute().await
}

/// The number of the interface that has an address.
async fn interface_of(handle: &Handle, address: Ipv4Addr) -> Result<Option<u32>, rtnetlink::Error> {
    let mut found = handle.address().get().set_address_filter(address.into()).execute();
    Ok(found.try_next().await?.map(|found| found.header.index))
}

fn message(route: &Route, interface: Option<u32>) -> RouteMessage {
    let builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .protocol(OURS)
        .destination_prefix(route.destination.network(), route.destination.prefix_len());
    match route.way {
        Way::Via(gateway) => builder.gateway(gateway),
        Way::OnLink { source } => {
            // 0 is no interface: where none has the address, the kernel refuses and says so.
            builder.pref_source(source).scope(RouteScope::Link).output_interface(interface.unwrap_or_default())
        }
        Way::Unreachable => builder.kind(RouteType::Unreachable).priority(LAST),
    }
    .build()
}

fn read(message: &RouteMessage) -> Option<Route> {
    let address = |of: fn(&RouteAttribute) -> Option<&RouteAddress>| -> Option<Ipv4Addr> {
        match message.attributes.iter().find_map(of)? {
            RouteAddress::Inet(address) => Some(*address),
            _ => None,
        }
    };
    let destination = address(|attribute| match attribute {
        RouteAttribute::Destination(address) => Some(address),
        _ => None,
    })?;
    let gateway = address(|attribute| match attribute {
        RouteAttribute::Gateway(address) => Some(address),
        _ => None,
    });
    let source = address(|attribute| match attribute {
        RouteAttribute::PrefSource(address) => Some(address),
        _ => None,
    });
    let way = match (message.header.kind, gateway, source) {
        (RouteType::Unreachable, _, _) => Way::Unreachable,
        (RouteType::Unicast, Some(gateway), _) => Way::Via(gateway),
        (RouteType::Unicast, None, Some(source)) => Way::OnLink { source },
        _ => return None,
    };
    Some(Route { destination: Ipv4Net::new(destination, message.header.destination_prefix_length).ok()?, way })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_to_the_kernel_is_read_back() {
        let source = Ipv4Addr::new(192, 168, 0, 1);
        for way in [Way::Via(source), Way::OnLink { source }, Way::Unreachable] {
            let route = Route { destination: "10.244.1.0/24".parse().unwrap(), way };
            assert_eq!(read(&message(&route, Some(2))), Some(route));
        }
    }

    #[test]
    fn other_nodes_pods_are_reached_by_their_nodes() {
        let node = |name: &str, address: &str, range: &str| -> Arc<Node> {
            let node = json!({"metadata": {"name": name}, "spec": {"podCIDR": range},
                "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]}});
            Arc::new(serde_json::from_value(node).unwrap())
        };
        let mut settings = crate::ruleset::Settings {
            place: crate::categories::Place { node_name: "n1".into(), zone: None },
            node_ip: Some(Ipv4Addr::new(192, 168, 0, 1)),
            node_cidr: Some("10.244.0.0/24".parse().unwrap()),
            cluster_cidr: "10.244.0.0/16".parse().unwrap(),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            masquerade_mark: 0x4000,
            masquerade_all: false,
            localhost_node_ports: true,
            node_port_addresses: Vec::new(),
            comments: true,
        };
        let nodes = [node("n1", "192.168.0.1", "10.244.0.0/24"), node("n2", "192.168.0.2", "10.244.1.0/24")];
        let words = |routes: Vec<Route>| -> Vec<String> {
            routes.iter().map(|route| format!("{} {:?}", route.destination, route.way)).collect()
        };
        let expected = [
            "10.96.0.0/16 OnLink { source: 192.168.0.1 }",
            "10.244.0.0/24 Unreachable",
            "10.244.1.0/24 Via(192.168.0.2)",
        ];
        assert_eq!(words(wanted(&settings, &nodes)), expected);
        // Before our own Node is there, nothing of it is known.
        (settings.node_ip, settings.node_cidr) = (None, None);
        assert_eq!(words(wanted(&settings, &nodes[1..])), ["10.244.1.0/24 Via(192.168.0.2)"]);
    }
}
