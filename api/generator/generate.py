#!/usr/bin/env python3
"""Writes src/schema/types.txt: the facts about every built-in type, from two published sources.

    generate.py DEFINITIONS K8S_PB_SOURCE > ../src/schema/types.txt
    generate.py DEFINITIONS K8S_PB_SOURCE --messages > ../tests/k8s_pb/generated/messages.rs

DEFINITIONS    v1.35.0-local/_definitions.json of the PyPI package kubernetes-validate: fields, JSON types, required,
               list types and map keys, patch strategies and merge keys, kinds.
K8S_PB_SOURCE  the src folder of the crate k8s-pb: protobuf field numbers and wire types.

With --messages: which struct of k8s-pb each type of the table is, for the test that compares the two.
`fetch.sh` gets both and calls this. The format of the output is described in src/schema.rs. What the two sources
don't say (types with a JSON form of their own, fields whose names differ) stands in the tables below.
"""

import json
import re
import sys
from pathlib import Path

# Types whose JSON is not an object with fields.
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "micro-time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "fields-v1",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": "raw",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "json",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "schema-or-array",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "schema-or-bool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "schema-or-strings",
}

# Long prefixes of definition names and what stands for them in the table.
PREFIXES = [
    ("io.k8s.apimachinery.pkg.apis.meta.", "meta."),
    ("io.k8s.apimachinery.pkg.version.", "version."),
    ("io.k8s.apiextensions-apiserver.pkg.apis.", ""),
    ("io.k8s.kube-aggregator.pkg.apis.", ""),
    ("io.k8s.api.", ""),
]

# (Defaults of map keys, which server-side apply and merges need; the definitions lost them.)
DEFAULTS = {("core.v1.ContainerPort", "protocol"): "TCP", ("core.v1.ServicePort", "protocol"): "TCP"}

# Protobuf names that differ from the JSON name by more than case and underscores.
RENAMED = {
    ("apiextensions.v1.JSONSchemaProps", "ref"): "$ref",
    ("apiextensions.v1.JSONSchemaProps", "schema"): "$schema",
}
for extension in ("preserve-unknown-fields", "embedded-resource", "int-or-string", "list-map-keys", "list-type", "map-type", "validations"):
    RENAMED["apiextensions.v1.JSONSchemaProps", "x_kubernetes_" + extension.replace("-", "_")] = "x-kubernetes-" + extension

# The aggregation layer's messages are not in k8s-pb (kube-aggregator, apiregistration/v1/generated.proto).
AGGREGATOR = {
    "apiregistration.v1.APIService": {"metadata": 1, "spec": 2, "status": 3},
    "apiregistration.v1.APIServiceList": {"metadata": 1, "items": 2},
    "apiregistration.v1.APIServiceSpec": {
        "service": 1, "group": 2, "version": 3, "insecureSkipTLSVerify": 4, "caBundle": 5,
        "groupPriorityMinimum": 7, "versionPriority": 8,
    },
    "apiregistration.v1.APIServiceStatus": {"conditions": 1},
    "apiregistration.v1.APIServiceCondition": {
        "type": 1, "status": 2, "lastTransitionTime": 3, "reason": 4, "message": 5,
    },
    "apiregistration.v1.ServiceReference": {"namespace": 1, "name": 2, "port": 3},
}

# Go pointers to scalars (by field name, or TYPE.FIELD where the name alone would say too much): protobuf writes the
# zero value of every other scalar, where it means absent; behind a pointer it means zero. Neither source says which
# is which. Also the few optional lists that Go writes even when they are empty.
KEEP_EMPTY = set("""
activeDeadlineSeconds averageUtilization backoffLimit backoffLimitPerIndex borrowingLimitPercent collisionCount
completions currentCPUUtilizationPercentage defaultMode deletionGracePeriodSeconds endPort errorCode
failedJobsHistoryLimit fsGroup gracePeriodSeconds lendablePercent leaseDurationSeconds leaseTransitions
maxFailedIndexes maxItems maxLength maxProperties minDomains minItems minLength minProperties minReplicas mode
nominalConcurrencyShares parallelism partition priority progressDeadlineSeconds remainingItemCount replicas
revisionHistoryLimit runAsGroup runAsUser stabilizationWindowSeconds startingDeadlineSeconds
successfulJobsHistoryLimit targetCPUUtilizationPercentage terminatingReplicas terminationGracePeriodSeconds
tolerationSeconds ttlSecondsAfterFinished maximum minimum multipleOf
adminAccess allNodes allocateLoadBalancerNodePorts allowMultipleAllocations allowPrivilegeEscalation
allowVolumeExpansion attachRequired automountServiceAccountToken blockOwnerDeletion bool controller enableServiceLinks
hostProcess hostUsers ignoreStoreReadErrorWithClusterBreakingPotential immutable int manualSelector optional
optionalOldSelf orphanDependents perDeviceNodeSelection podInfoOnMount privileged readOnlyRootFilesystem ready
requiresRepublish runAsNonRoot seLinuxMount serving setHostnameAsFQDN shareProcessNamespace started storageCapacity
suspend terminating userNamespaces
apiGroup appProtocol holderIdentity ingressClassName loadBalancerClass volumeAttributesClassName
maxSurge maxUnavailable minAvailable
core.v1.CSIVolumeSource.readOnly core.v1.FCVolumeSource.lun core.v1.PersistentVolumeClaimSpec.storageClassName
discovery.v1.EndpointPort.name discovery.v1.EndpointPort.port discovery.v1.EndpointPort.protocol
core.v1.ClientIPConfig.timeoutSeconds networking.v1.NetworkPolicyPort.port
discovery.v1.EndpointSlice.ports rbac.v1.ClusterRole.rules rbac.v1.Role.rules
apiextensions.v1.CustomResourceDefinitionStatus.storedVersions
""".split())

WIRE = {"string": "len", "bytes": "len", "message": "len", "int32": "varint", "int64": "varint", "bool": "varint",
        "double": "fixed64", "btree_map": "len", "map": "len"}


def main():
    definitions = json.loads(Path(sys.argv[1]).read_text())["$defs"]
    messages = read_messages(Path(sys.argv[2]))
    if "--messages" in sys.argv:
        return print_messages(definitions, Path(sys.argv[2]))
    lines, complaints = [], []
    for name in sorted(definitions, key=short):
        if name not in SPECIAL:
            lines += type_lines(name, definitions[name], messages, complaints)
    print("\n".join(lines))
    print("\n".join(complaints), file=sys.stderr)


# Types that the definitions lack: src/schema/table.rs adds them.
ADDED = ["PartialObjectMetadata", "PartialObjectMetadataList"]


def print_messages(definitions, source):
    """Lines for the macro `messages!` of tests/k8s_pb.rs."""
    structs = {}
    for path in sorted(source.rglob("*.rs")):
        module = str(path.relative_to(source).parent)
        for struct in re.findall(r"^pub struct (\w+)", path.read_text(), re.MULTILINE):
            structs[module, folded(struct)] = "::".join(module.split("/") + [struct])
    names = [name for name in definitions if name not in SPECIAL]
    names += ["io.k8s.apimachinery.pkg.apis.meta.v1." + name for name in ADDED]
    print("messages! {")
    for name in sorted(names, key=short):
        parts = name.split(".")[2:]
        struct = structs.get(("/".join(parts[:-1]).replace("-", "_"), folded(parts[-1])))
        if struct:
            print(f'    "{short(name)}" {struct};')
    print("}")


def short(name):
    for prefix, replacement in PREFIXES:
        if name.startswith(prefix):
            return replacement + name[len(prefix):]
    return name


def folded(name):
    return name.replace("_", "").replace("r#", "").replace("$", "").lower()


def read_messages(source):
    """{(module path, folded message name): {field: (tag, wire, message path)}} from the prost structs."""
    messages = {}
    for path in sorted(source.rglob("*.rs")):
        module = str(path.relative_to(source).parent)
        struct = attribute = None
        for line in path.read_text().splitlines():
            line = line.strip()
            if line.startswith("pub struct "):
                struct = messages.setdefault((module, folded(line.split()[2])), {})
            elif line.startswith("#[prost("):
                attribute = line
            elif attribute and line.startswith("pub "):
                field, _, kind = line.removeprefix("pub ").rstrip(",").partition(":")
                tag = int(re.search(r'tag = "(\d+)"', attribute).group(1))
                wire = WIRE[re.match(r"#\[prost\((\w+)", attribute).group(1)]
                target = re.sub(r"^.*<|>+$", "", kind).strip().split(" ")[-1]
                struct[field.replace("r#", "")] = (tag, wire, resolve(module, target))
                attribute = None
    return messages


def resolve(module, target):
    """The key of the message that a Rust path names, seen from `module`."""
    parts = [part for part in target.split("::") if part]
    here = module.split("/")
    while parts and parts[0] == "super":
        here, parts = here[:-1], parts[1:]
    return "/".join(here + parts[:-1]), folded(parts[-1]) if parts else ""


def message_of(name, messages):
    parts = name.split(".")[2:]
    module = "/".join(parts[:-1]).replace("-", "_")
    return messages.get((module, folded(parts[-1])))


def tags_of(message, properties, table_name, messages):
    """{JSON name: "2" or, through an inlined message, "2.1"}; and the protobuf fields that fit nowhere."""
    by_folded = {folded(name): name for name in properties}
    tags, lost = {}, []
    for field, (tag, wire, target) in message.items():
        name = RENAMED.get((table_name, field)) or by_folded.get(folded(field))
        inner = messages.get(target) if wire == "len" else None
        if name and inner and set(inner) == {"items"} and kind_of(properties[name]) == "[]string":
            # A list of strings that is a message of its own (metav1.Verbs): as if that message were inlined.
            tags[name] = (f"{tag}.{inner['items'][0]}", wire)
        elif name:
            tags[name] = (str(tag), wire)
        elif inner and any(folded(inner_field) in by_folded for inner_field in inner):
            nested, nested_lost = tags_of(inner, properties, table_name, messages)
            tags.update({name: (f"{tag}.{rest}", wire) for name, (rest, wire) in nested.items()})
            lost += nested_lost
        else:
            lost.append(field)
    return tags, lost


def type_lines(name, definition, messages, complaints):
    table_name, properties = short(name), definition.get("properties", {})
    message = message_of(name, messages)
    if table_name in AGGREGATOR:
        tags, lost = {field: (str(tag), None) for field, tag in AGGREGATOR[table_name].items()}, []
    elif message is None:
        tags, lost = {}, []
        complaints.append(f"no message: {table_name}")
    else:
        tags, lost = tags_of(message, properties, table_name, messages)
    complaints += [f"no JSON field: {table_name} {field}" for field in lost]
    head = [table_name]
    for kind in definition.get("x-kubernetes-group-version-kind", []):
        head.append("kind={group}/{version}/{kind}".format(**kind))
    if definition.get("x-kubernetes-map-type") == "atomic":
        head.append("atomic")
    lines = [" ".join(head)]
    required = definition.get("required", [])
    for field, schema in sorted(properties.items()):
        kind = kind_of(schema)
        tag, wire = tags.get(field, ("-", None))
        if tag == "-" and message and field not in ("apiVersion", "kind"):
            complaints.append(f"no tag: {table_name} {field}")
        if wire and wire != wire_of(kind):
            complaints.append(f"wire type {wire}: {table_name} {field} {kind}")
        words = [field + ("!" if field in required else ""), kind, tag]
        words += list_words(schema) + patch_words(schema)
        if schema.get("x-kubernetes-map-type") == "atomic":
            words.append("atomic")
        if field in KEEP_EMPTY or f"{table_name}.{field}" in KEEP_EMPTY:
            words.append("keep-empty")
        if (table_name, field) in DEFAULTS:
            words.append("default=" + DEFAULTS[table_name, field])
        lines.append(" " + " ".join(words))
    return lines


def kind_of(schema):
    if "$ref" in schema:
        target = schema["$ref"].removeprefix("#/$defs/")
        return SPECIAL.get(target) or short(target)
    kind = schema["type"]
    kind = kind if isinstance(kind, str) else next(one for one in kind if one != "null")
    match kind:
        case "array":
            return "[]" + kind_of(schema["items"])
        case "object":
            return "{}" + kind_of(schema["additionalProperties"])
        case "integer":
            return schema["format"]
        case "number":
            return "double"
        case "boolean":
            return "bool"
        case "string":
            return "bytes" if schema.get("format") == "byte" else "string"


def wire_of(kind):
    kind = kind.removeprefix("[]")
    return {"int32": "varint", "int64": "varint", "bool": "varint", "double": "fixed64"}.get(kind, "len")


def list_words(schema):
    match schema.get("x-kubernetes-list-type"):
        case None:
            return []
        case "map":
            return ["list=map:" + ",".join(schema["x-kubernetes-list-map-keys"])]
        case other:
            return ["list=" + other]


def patch_words(schema):
    strategy = schema.get("x-kubernetes-patch-strategy")
    if not strategy:
        return []
    key = schema.get("x-kubernetes-patch-merge-key")
    return ["patch=" + strategy + (":" + key if key else "")]


main()
