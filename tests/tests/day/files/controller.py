"""A small controller with the Python client: every ConfigMap with the label source=yes gets a Secret of its name.

Lists and watches, makes, changes and removes what it must, runs a command in a pod, and ends when all has come true.
"""

import base64
import os
import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

NAMESPACE = os.environ["NS"]
SELECTOR = "source=yes"


def desired(source):
    owner = client.V1OwnerReference(
        api_version="v1", kind="ConfigMap", name=source.metadata.name, uid=source.metadata.uid, controller=True
    )
    metadata = client.V1ObjectMeta(name=source.metadata.name, owner_references=[owner])
    return client.V1Secret(metadata=metadata, string_data=source.data or {})


def reconcile(core, source):
    secret = desired(source)
    try:
        core.create_namespaced_secret(NAMESPACE, secret)
    except ApiException as refused:
        if refused.reason != "Conflict":
            raise
        core.patch_namespaced_secret(source.metadata.name, NAMESPACE, secret)


def config_map(name, value):
    metadata = client.V1ObjectMeta(name=name, labels={"source": "yes"})
    return client.V1ConfigMap(metadata=metadata, data={"value": value})


def value_of(core, name):
    return base64.b64decode(core.read_namespaced_secret(name, NAMESPACE).data["value"]).decode()


def main():
    config.load_kube_config()
    core = client.CoreV1Api()
    print("server", client.VersionApi().get_code().minor)

    core.create_namespaced_config_map(NAMESPACE, config_map("first", "1"))
    listed = core.list_namespaced_config_map(NAMESPACE, label_selector=SELECTOR)
    for source in listed.items:
        reconcile(core, source)
    print("listed", [source.metadata.name for source in listed.items], value_of(core, "first"))

    core.create_namespaced_config_map(NAMESPACE, config_map("second", "2"))
    core.patch_namespaced_config_map("first", NAMESPACE, {"data": {"value": "changed"}})
    core.delete_namespaced_config_map("second", NAMESPACE)
    stream_of = watch.Watch().stream(
        core.list_namespaced_config_map,
        NAMESPACE,
        label_selector=SELECTOR,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=60,
    )
    for event in stream_of:
        kind, source = event["type"], event["object"]
        print("watched", kind, source.metadata.name, (source.data or {}).get("value"))
        if kind == "DELETED":
            break
        if source.metadata.name == "first":
            reconcile(core, source)
    print("reconciled", value_of(core, "first"))

    try:
        core.create_namespaced_config_map(NAMESPACE, config_map("first", "again"))
    except ApiException as refused:
        print("refused", refused.status, refused.reason)

    pod = client.V1Pod(
        metadata=client.V1ObjectMeta(name="python"),
        spec=client.V1PodSpec(
            termination_grace_period_seconds=0,
            containers=[client.V1Container(name="c", image="busybox:1.36", command=["sleep", "3600"])],
        ),
    )
    core.create_namespaced_pod(NAMESPACE, pod)
    for event in watch.Watch().stream(
        core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=python", timeout_seconds=120
    ):
        if event["object"].status.phase == "Running":
            break
    command = ["sh", "-c", "echo out of $HOSTNAME; echo err >&2"]
    said = stream(
        core.connect_get_namespaced_pod_exec,
        "python",
        NAMESPACE,
        command=command,
        stdout=True,
        stderr=False,
        stdin=False,
        tty=False,
    )
    print("exec", said.strip())
    core.delete_namespaced_pod("python", NAMESPACE)
    core.delete_namespaced_config_map("first", NAMESPACE)
    core.delete_collection_namespaced_secret(NAMESPACE)
    print("left", [secret.metadata.name for secret in core.list_namespaced_secret(NAMESPACE).items])

    apps = client.AppsV1Api()
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    }
    apps.create_namespaced_deployment(NAMESPACE, body)
    apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 1}})
    print("scaled", apps.read_namespaced_deployment_scale("web", NAMESPACE).spec.replicas)
    gone = apps.delete_namespaced_deployment("web", NAMESPACE)
    print("deleted", gone["status"] if isinstance(gone, dict) else gone.status)


if __name__ == "__main__":
    sys.exit(main())
